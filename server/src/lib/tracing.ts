/**
 * What the house asks of traces, without OpenTelemetry, which `tracing/` knows
 * and which is not even loaded unless the environment asks for it. Where
 * traces are off there is none of this: who would record something finds
 * `undefined` in its place, and that one look is all it costs.
 */
import type { RequestOutcome } from "./request.ts";

/**
 * What is said of a piece of work. Names come from closed sets, values too or
 * name a host: never a parameter, a header, a query or a body.
 */
export type WorkAttributes = Readonly<Record<string, string | number | undefined>>;

/** A piece of work below a request. */
export interface Work {
  /** Of low cardinality: a method, an operation and its table. */
  readonly name: string;
  /** `database` is recorded while its request lasts; what is `outside` of the process also afterwards. */
  readonly kind: "database" | "outside";
  readonly attributes: WorkAttributes;
}

/** Work under way. */
export interface WorkSpan {
  /** Says more, once it is known. */
  describe(attributes: WorkAttributes): void;
}

/** The head of a request. */
export interface TracedRequest {
  readonly method: string;
  readonly httpVersion: string;
  /** Whose trace context is believed: {@link Tracing.beginRequest}. */
  readonly fromTrustedProxy: boolean;
  /** Headers of W3C Trace Context, as sent. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

/** What became of a request. */
export interface TracedAnswer {
  /** Path or template that answered; absent when there is none. */
  readonly route: string | undefined;
  /** Path as sent, without query; absent where no route knows it. */
  readonly path: string | undefined;
  /** Which protocol the call came by, if the route is an RPC method. */
  readonly rpcSystem: "connectrpc" | "grpc" | undefined;
  /** 0 when nothing was answered. */
  readonly status: number;
  readonly outcome: RequestOutcome;
}

/** A request under way. */
export interface RequestSpan {
  /** For the log: 32 and 16 hexadecimal digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** Runs what the request causes; work in it, and in what it sets going, is recorded below the request. */
  run<T>(work: () => T): T;
  end(answer: TracedAnswer): void;
}

/** What became of spans since the start. */
export interface SpanMetrics {
  readonly exported: number;
  readonly lost: number;
  /** Waiting to be exported. */
  readonly waiting: number;
}

/** Records what happens. Nothing of it throws or waits for an exporter. */
export interface Tracing {
  /**
   * Begins the span of a request. A trusted proxy's trace is continued, and
   * its decision to keep it or not stands if the sampler follows parents.
   * Anybody else begins a trace of ours, which the sampler alone decides on
   * and which only names theirs: otherwise a stranger could have everything
   * recorded, or nothing, or lead a trace astray.
   */
  beginRequest(request: TracedRequest): RequestSpan;
  /** Runs work as a span below the one it is found in. Outside of every request it is run, and not recorded. */
  within<T>(work: Work, run: (span: WorkSpan) => Promise<T>): Promise<T>;
  /** Records work that has just ended. `error` is what it failed with, if it failed. */
  record(work: Work, durationMs: number, error?: unknown): void;
  metrics(): SpanMetrics;
  /** Sends what waits, for `graceMs` at most. */
  close(graceMs: number): Promise<void>;
}
