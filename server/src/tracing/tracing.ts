/**
 * Traces by OpenTelemetry's SDK. This room is loaded only when the
 * environment asks for traces; everybody else knows `lib/tracing.ts`.
 *
 * Nothing is registered globally and no library is patched: spans are made
 * where the code says so, and the one they belong below travels in an
 * AsyncLocalStorage of this room's own.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import {
  type Context,
  defaultTextMapGetter,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import {
  ATTR_ERROR_TYPE,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_VERSION,
} from "@opentelemetry/semantic-conventions";
import type { SamplerConfig, TracingConfig } from "../config/config.ts";
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type {
  RequestSpan,
  SpanMetrics,
  TracedAnswer,
  TracedRequest,
  Tracing,
  Work,
  WorkAttributes,
  WorkSpan,
} from "../lib/tracing.ts";
import { version } from "../lib/version.ts";
import { createOtlpExporter, SpanOutlet } from "./export.ts";
import { LogExporter } from "./log-exporter.ts";
import {
  toAnswerAttributes,
  toMethod,
  toRequestAttributes,
  toSpanName,
  toSpanStatus,
} from "./request-attributes.ts";

/** Longest value of an attribute, in characters. */
const valueLength = 512;

/** What is traced, and which exporters spans go to. */
export interface TracingOptions {
  readonly config: TracingConfig;
  readonly log: Log;
  /** Where spans go instead of where the configuration says. For tests. */
  readonly exporters?: readonly SpanExporter[];
}

/** Where code runs: below which span, and of which request. */
interface Scope {
  readonly context: Context;
  readonly request: { isOver: boolean };
}

/** Starts to record. Nothing is sent before the first span has ended. */
export function createTracing({ config, log, exporters }: TracingOptions): Tracing {
  const outlets = (exporters ?? listExporters(config, log)).map(
    (exporter) => new SpanOutlet({ exporter, batch: config.batch, log }),
  );
  const own = { [ATTR_SERVICE_VERSION]: version, [ATTR_SERVICE_INSTANCE_ID]: randomUUID() };
  const provider = new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ ...own, ...config.resourceAttributes })),
    sampler: toSampler(config.sampler),
    spanLimits: { attributeValueLengthLimit: valueLength },
    spanProcessors: outlets,
  });
  return new OtelTracing(provider, outlets, config.takesTraceContext);
}

function listExporters(config: TracingConfig, log: Log): SpanExporter[] {
  return [
    ...(config.otlp === undefined ? [] : [createOtlpExporter(config.otlp)]),
    ...(config.console ? [new LogExporter(log)] : []),
  ];
}

function toSampler({ followsParent, ratio }: SamplerConfig): Sampler {
  const root = toRootSampler(ratio);
  return followsParent ? new ParentBasedSampler({ root }) : root;
}

function toRootSampler(ratio: number): Sampler {
  if (ratio === 0) return new AlwaysOffSampler();
  return ratio === 1 ? new AlwaysOnSampler() : new TraceIdRatioBasedSampler(ratio);
}

class OtelTracing implements Tracing {
  readonly #provider: TracerProvider;
  readonly #outlets: readonly SpanOutlet[];
  readonly #tracer: Tracer;
  readonly #propagator: W3CTraceContextPropagator | undefined;
  readonly #scopes = new AsyncLocalStorage<Scope>();

  constructor(provider: TracerProvider, outlets: readonly SpanOutlet[], takesTraceContext: boolean) {
    this.#provider = provider;
    this.#outlets = outlets;
    this.#tracer = provider.getTracer("vestibule", version);
    this.#propagator = takesTraceContext ? new W3CTraceContextPropagator() : undefined;
  }

  beginRequest(request: TracedRequest): RequestSpan {
    const sent = this.#readTraceContext(request);
    const method = toMethod(request.method);
    const span = this.#tracer.startSpan(
      method,
      {
        kind: SpanKind.SERVER,
        attributes: toRequestAttributes(request),
        links: request.fromTrustedProxy ? [] : toLinks(sent),
      },
      request.fromTrustedProxy ? sent : ROOT_CONTEXT,
    );
    const { traceId, spanId } = span.spanContext();
    const scope = { context: trace.setSpan(ROOT_CONTEXT, span), request: { isOver: false } };
    return {
      traceId,
      spanId,
      // What is not recorded has nothing below it.
      run: (work) => (span.isRecording() ? this.#scopes.run(scope, work) : work()),
      end: (answer) => {
        scope.request.isOver = true;
        endRequest(span, method, answer);
      },
    };
  }

  async within<T>(work: Work, run: (span: WorkSpan) => Promise<T>): Promise<T> {
    const scope = this.#findScope(work);
    if (scope === undefined) return run(unrecorded);
    const span = this.#start(work, scope);
    const inner = { context: trace.setSpan(scope.context, span), request: scope.request };
    try {
      return await this.#scopes.run(inner, () =>
        run({ describe: (attributes) => void span.setAttributes(withoutAbsent(attributes)) }),
      );
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  }

  record(work: Work, durationMs: number, error?: unknown): void {
    const scope = this.#findScope(work);
    if (scope === undefined) return;
    const endedAtMs = Date.now();
    const span = this.#start(work, scope, endedAtMs - durationMs);
    if (error !== undefined) fail(span, error);
    span.end(endedAtMs);
  }

  metrics(): SpanMetrics {
    const all = this.#outlets.map((outlet) => outlet.metrics());
    const sum = (key: keyof SpanMetrics) => all.reduce((total, metrics) => total + metrics[key], 0);
    return { exported: sum("exported"), lost: sum("lost"), waiting: sum("waiting") };
  }

  async close(graceMs: number): Promise<void> {
    const { promise: isLate, resolve } = Promise.withResolvers<void>();
    const limit = setTimeout(resolve, graceMs);
    // What cannot be sent any more has been counted, and told.
    await Promise.race([this.#provider.shutdown().catch(() => {}), isLate]);
    clearTimeout(limit);
  }

  /**
   * Timers that a request has set may run long after it and for others too: the
   * database work they do is nobody's. A mail that is sent after the answer is
   * the request's.
   */
  #findScope({ kind }: Work): Scope | undefined {
    const scope = this.#scopes.getStore();
    return scope !== undefined && kind === "database" && scope.request.isOver ? undefined : scope;
  }

  #start({ name, attributes }: Work, { context }: Scope, startTime?: number): Span {
    const options = {
      kind: SpanKind.CLIENT,
      attributes: withoutAbsent(attributes),
      ...(startTime !== undefined && { startTime }),
    };
    return this.#tracer.startSpan(name, options, context);
  }

  #readTraceContext({ traceparent, tracestate }: TracedRequest): Context {
    if (this.#propagator === undefined || traceparent === undefined) return ROOT_CONTEXT;
    return this.#propagator.extract(ROOT_CONTEXT, { traceparent, tracestate }, defaultTextMapGetter);
  }
}

const unrecorded: WorkSpan = { describe: () => {} };

/** A stranger's trace is named by its ids alone. */
function toLinks(sent: Context): Link[] {
  const context = trace.getSpanContext(sent);
  if (context === undefined) return [];
  const { traceId, spanId, traceFlags } = context;
  return [{ context: { traceId, spanId, traceFlags, isRemote: true } }];
}

function endRequest(span: Span, method: string, answer: TracedAnswer): void {
  if (!span.isRecording()) return;
  span.updateName(toSpanName(method, answer));
  span.setAttributes(withoutAbsent(toAnswerAttributes(answer)));
  span.setStatus(toSpanStatus(answer));
  span.end();
}

/** Names what went wrong, and repeats nothing of what was said about it. */
function fail(span: Span, error: unknown): void {
  span.setAttribute(ATTR_ERROR_TYPE, toErrorType(error));
  span.setStatus({ code: SpanStatusCode.ERROR });
}

function toErrorType(error: unknown): string {
  if (error instanceof DomainError) return error.reason;
  const { name, code, reason } = (error ?? {}) as { name?: unknown; code?: unknown; reason?: unknown };
  const found = [code, reason, name].find((text) => typeof text === "string" && /^\w{1,60}$/.test(text));
  return typeof found === "string" ? found : "error";
}

function withoutAbsent(attributes: WorkAttributes): Record<string, string | number> {
  const present = Object.entries(attributes).filter(
    (entry): entry is [string, string | number] => entry[1] !== undefined,
  );
  return Object.fromEntries(present);
}
