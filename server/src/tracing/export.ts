/**
 * The way of spans out of the process: gathered, bounded, sent in batches, and
 * lost rather than waited for. What is lost is counted, and told once a minute.
 */
import { type Context, TraceFlags } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type Span,
  type SpanExporter,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace";
import type { OtlpConfig, SpanBatchConfig } from "../config/config.ts";
import { systemMonotonicMs } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { SpanMetrics } from "../lib/tracing.ts";
import { version } from "../lib/version.ts";

/** Least time between two warnings of lost spans, in milliseconds. */
const warnEveryMs = 60_000;

type OtlpOptions = NonNullable<ConstructorParameters<typeof OTLPTraceExporter>[0]>;

/** Exports by OTLP over HTTP, as protobuf. */
export function createOtlpExporter(config: OtlpConfig): SpanExporter {
  const { url, headers, timeoutMs, gzip, ca, clientCert, clientKey } = config;
  return new OTLPTraceExporter({
    url,
    headers: { ...headers },
    timeoutMillis: timeoutMs,
    compression: (gzip ? "gzip" : "none") as NonNullable<OtlpOptions["compression"]>,
    userAgent: `vestibule/${version}`,
    httpAgentOptions: {
      keepAlive: true,
      ...(ca !== undefined && { ca }),
      ...(clientCert !== undefined && { cert: clientCert, key: clientKey }),
    },
  });
}

/** Which exporter spans go to, and how many at a time. */
export interface SpanOutletOptions {
  readonly exporter: SpanExporter;
  readonly batch: SpanBatchConfig;
  readonly log: Log;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs?: () => number;
}

/** Takes ended spans and hands them to an exporter. */
export class SpanOutlet implements SpanProcessor {
  readonly #exporter: SpanExporter;
  readonly #batches: BatchSpanProcessor;
  readonly #mostWaiting: number;
  readonly #log: Log;
  readonly #monotonicMs: () => number;
  #waiting = 0;
  #exported = 0;
  #lost = 0;
  #toldLost = 0;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #isFailing = false;

  constructor({ exporter, batch, log, monotonicMs }: SpanOutletOptions) {
    this.#exporter = exporter;
    this.#mostWaiting = batch.mostWaiting;
    this.#log = log;
    this.#monotonicMs = monotonicMs ?? systemMonotonicMs;
    this.#batches = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => this.#export(spans, done),
        shutdown: () => exporter.shutdown(),
      },
      scheduledDelayMillis: batch.delayMs,
      exportTimeoutMillis: batch.exportTimeoutMs,
      maxQueueSize: batch.mostWaiting,
      maxExportBatchSize: batch.perExport,
    });
  }

  metrics(): SpanMetrics {
    return { exported: this.#exported, lost: this.#lost, waiting: this.#waiting };
  }

  onStart(span: Span, parent: Context): void {
    this.#batches.onStart(span, parent);
  }

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return;
    // The processor would drop it as well, and tell nobody.
    if (this.#waiting >= this.#mostWaiting) {
      this.#lost += 1;
      return;
    }
    this.#waiting += 1;
    this.#batches.onEnd(span);
  }

  async forceFlush(): Promise<void> {
    await this.#batches.forceFlush();
  }

  async shutdown(): Promise<void> {
    await this.#batches.shutdown();
  }

  #export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#waiting -= spans.length;
    this.#exporter.export(spans, (result) => {
      if (result.code === ExportResultCode.SUCCESS) this.#onExported(spans.length);
      else this.#onLost(spans.length, result.error);
      done(result);
    });
  }

  #onExported(count: number): void {
    this.#exported += count;
    if (this.#isFailing) this.#log.info({}, "spans are exported again");
    this.#isFailing = false;
  }

  #onLost(count: number, error: Error | undefined): void {
    this.#lost += count;
    this.#isFailing = true;
    const nowMs = this.#monotonicMs();
    if (nowMs - this.#warnedAtMs < warnEveryMs) return;
    this.#warnedAtMs = nowMs;
    const { code } = (error ?? {}) as { code?: unknown };
    this.#log.warn(
      { lost: this.#lost - this.#toldLost, sinceStart: this.#lost, code, error: error?.message },
      "spans cannot be exported and are lost; requests go on as ever",
    );
    this.#toldLost = this.#lost;
  }
}
