import { setTimeout as sleep } from "node:timers/promises";
import { ExportResultCode } from "@opentelemetry/core";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";
import { describe, expect, it } from "vitest";
import type { TracingConfig } from "../config/config.ts";
import { createMemoryLog } from "../edge/test-support.ts";
import { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import type { TracedAnswer, TracedRequest, Tracing, Work } from "../lib/tracing.ts";
import { SpanOutlet } from "./export.ts";
import { createTracing } from "./tracing.ts";

const config: TracingConfig = {
  otlp: undefined,
  console: false,
  resourceAttributes: { "service.name": "test" },
  sampler: { followsParent: true, ratio: 1 },
  takesTraceContext: true,
  batch: { delayMs: 600_000, exportTimeoutMs: 1000, mostWaiting: 100, perExport: 10 },
};

/** Keeps what is exported. */
function createMemory(): SpanExporter & { readonly spans: ReadableSpan[] } {
  const spans: ReadableSpan[] = [];
  return {
    spans,
    export: (exported, done) => {
      spans.push(...exported);
      done({ code: ExportResultCode.SUCCESS });
    },
    shutdown: async () => {},
  };
}

const request: TracedRequest = {
  method: "GET",
  httpVersion: "1.1",
  fromTrustedProxy: false,
  traceparent: undefined,
  tracestate: undefined,
};
const answer: TracedAnswer = {
  route: "/a",
  path: "/a",
  rpcSystem: undefined,
  status: 200,
  outcome: { code: "ok" },
};
const query: Work = { name: "SELECT users", kind: "database", attributes: { "db.system.name": "sqlite" } };
const fetching: Work = { name: "GET", kind: "outside", attributes: {} };

/** What `happen` leaves behind, in the order in which it ended. */
async function collect(
  happen: (tracing: Tracing) => unknown,
  overrides: Partial<TracingConfig> = {},
): Promise<ReadableSpan[]> {
  const memory = createMemory();
  const tracing = createTracing({ config: { ...config, ...overrides }, log: silentLog, exporters: [memory] });
  await happen(tracing);
  await tracing.close(1000);
  return memory.spans;
}

const idOf = (span: ReadableSpan | undefined) => span?.spanContext().spanId;

describe("a request's span", () => {
  it("has work below it, and work below that", async () => {
    const [inner, failed, outer, server] = await collect(async (tracing) => {
      const span = tracing.beginRequest(request);
      await span.run(() =>
        tracing.within({ ...query, name: "TRANSACTION" }, async () => {
          await sleep(1);
          tracing.record(query, 5);
          tracing.record(query, 1, new DomainError("UNAVAILABLE", { detail: "hunter2" }));
        }),
      );
      span.end(answer);
    });
    expect(server?.parentSpanContext).toBeUndefined();
    expect(idOf(server)).toBe(outer?.parentSpanContext?.spanId);
    expect(idOf(outer)).toBe(inner?.parentSpanContext?.spanId);
    expect(inner?.duration).toEqual([0, expect.closeTo(5e6, -3)]);
    expect(failed?.attributes["error.type"]).toBe("UNAVAILABLE");
    expect(JSON.stringify(failed?.status)).not.toContain("hunter2");
  });

  it("has the work of one request apart from that of another", async () => {
    const spans = await collect(async (tracing) => {
      const ask = async (name: string) => {
        const span = tracing.beginRequest(request);
        await span.run(async () => {
          await sleep(1);
          tracing.record({ ...query, name }, 1);
        });
        span.end({ ...answer, route: `/${name}` });
      };
      await Promise.all(["a", "b", "c"].map(ask));
    });
    for (const name of ["a", "b", "c"]) {
      const server = spans.find((span) => span.name === `GET /${name}`);
      expect(spans.find((span) => span.name === name)?.parentSpanContext?.spanId).toBe(idOf(server));
    }
  });

  it("has nothing of what a timer of it does in the database later, but what is sent after the answer", async () => {
    const spans = await collect(async (tracing) => {
      const span = tracing.beginRequest(request);
      const later = span.run(() => sleep(1).then(() => undefined));
      const work = span.run(async () => {
        await later;
        await sleep(1);
        tracing.record(query, 1);
        await tracing.within(query, async () => {});
        await tracing.within(fetching, async (inner) => inner.describe({ "http.response.status_code": 204 }));
      });
      span.end(answer);
      await work;
    });
    expect(spans.map(({ name }) => name)).toEqual(["GET /a", "GET"]);
    expect(spans[1]?.attributes).toEqual({ "http.response.status_code": 204 });
  });

  it("names what went wrong and nothing of what was said about it", async () => {
    const failures: readonly [unknown, string][] = [
      [Object.assign(new Error("hunter2"), { code: "SQLITE_BUSY" }), "SQLITE_BUSY"],
      [Object.assign(new Error("hunter2"), { reason: "timeout" }), "timeout"],
      [new TypeError("hunter2"), "TypeError"],
      [Object.assign(new Error("x"), { code: "hunter 2", name: "\n" }), "error"],
      ["hunter2", "error"],
    ];
    for (const [thrown, expected] of failures) {
      const [work] = await collect(async (tracing) => {
        const span = tracing.beginRequest(request);
        const run = span.run(() => tracing.within(fetching, () => Promise.reject(thrown)));
        await expect(run).rejects.toBe(thrown);
        span.end(answer);
      });
      expect(work?.attributes).toEqual({ "error.type": expected });
      expect(work?.events).toEqual([]);
    }
  });

  it("is an error when it was our fault alone", async () => {
    const codes = async (given: Partial<TracedAnswer>) => {
      const [span] = await collect((tracing) => tracing.beginRequest(request).end({ ...answer, ...given }));
      return [span?.status.code === 2, span?.attributes["error.type"]];
    };
    expect(await codes({})).toEqual([false, undefined]);
    expect(await codes({ status: 404, outcome: { code: "not_found" } })).toEqual([false, undefined]);
    expect(await codes({ status: 500, outcome: { code: "internal", reason: "INTERNAL" } })).toEqual([
      true,
      "INTERNAL",
    ]);
    const rpc = { rpcSystem: "grpc", status: 200 } as const;
    expect(await codes({ ...rpc, outcome: { code: "not_found" } })).toEqual([false, undefined]);
    expect(await codes({ ...rpc, outcome: { code: "internal" } })).toEqual([true, "internal"]);
    expect(await codes({ ...rpc, outcome: { code: "canceled" } })).toEqual([false, undefined]);
    expect(await codes({ status: 503, outcome: {} })).toEqual([true, "503"]);
  });

  it("has a name of few words, whatever the method and the path are", async () => {
    const nameOf = async (method: string, given: Partial<TracedAnswer>) => {
      const [span] = await collect((tracing) =>
        tracing.beginRequest({ ...request, method }).end({ ...answer, ...given }),
      );
      return [span?.name, span?.attributes["http.request.method"]];
    };
    expect(await nameOf("GET", {})).toEqual(["GET /a", "GET"]);
    expect(await nameOf("GET", { route: undefined })).toEqual(["GET", "GET"]);
    expect(await nameOf("BREW", {})).toEqual(["HTTP /a", "_OTHER"]);
    expect(await nameOf("BREW", { route: undefined })).toEqual(["HTTP", "_OTHER"]);
    expect(await nameOf("POST", { route: "/a.B/C", rpcSystem: "grpc" })).toEqual(["a.B/C", "POST"]);
  });
});

describe("a trace that someone else began", () => {
  const theirs = { traceId: "a".repeat(32), spanId: "b".repeat(16) };
  const sent = (flags: string): Partial<TracedRequest> => ({
    traceparent: `00-${theirs.traceId}-${theirs.spanId}-${flags}`,
    tracestate: "vendor=hunter2",
  });
  const ask = (given: Partial<TracedRequest>, overrides: Partial<TracingConfig> = {}) =>
    collect((tracing) => tracing.beginRequest({ ...request, ...given }).end(answer), overrides);

  it("is a proxy's to keep or not", async () => {
    const [kept] = await ask({ ...sent("01"), fromTrustedProxy: true });
    expect(kept?.spanContext().traceId).toBe(theirs.traceId);
    expect(kept?.parentSpanContext?.spanId).toBe(theirs.spanId);
    expect(await ask({ ...sent("00"), fromTrustedProxy: true })).toEqual([]);
  });

  it("is the sampler's to keep where that does not follow parents", async () => {
    const always = { sampler: { followsParent: false, ratio: 1 } };
    expect(await ask({ ...sent("00"), fromTrustedProxy: true }, always)).toHaveLength(1);
    const never = { sampler: { followsParent: false, ratio: 0 } };
    expect(await ask({ ...sent("01"), fromTrustedProxy: true }, never)).toEqual([]);
  });

  it("decides nothing when a stranger names it: neither that ours is kept, nor that it is not", async () => {
    for (const flags of ["00", "01"]) {
      const [span] = await ask(sent(flags));
      expect(span?.parentSpanContext).toBeUndefined();
      expect(span?.spanContext().traceId).not.toBe(theirs.traceId);
      expect(span?.links.map(({ context }) => context.traceId)).toEqual([theirs.traceId]);
      expect(span?.links[0]?.context.traceState).toBeUndefined();
    }
    expect(await ask(sent("01"), { sampler: { followsParent: true, ratio: 0 } })).toEqual([]);
  });

  it("is not looked at where its header is not read, or says nothing", async () => {
    for (const [given, overrides] of [
      [{ ...sent("01"), fromTrustedProxy: true }, { takesTraceContext: false }],
      [{ traceparent: "00-xyz", fromTrustedProxy: true }, {}],
      [{ traceparent: `00-${"0".repeat(32)}-${"0".repeat(16)}-01`, fromTrustedProxy: true }, {}],
      [{ traceparent: `${sent("01").traceparent}, ${sent("01").traceparent}` }, {}],
    ] as const) {
      const [span] = await ask(given, overrides);
      expect(span?.parentSpanContext).toBeUndefined();
      expect(span?.links).toEqual([]);
    }
  });
});

it("gives a request that is not recorded ids all the same, and runs its work", async () => {
  const never = { sampler: { followsParent: true, ratio: 0 } };
  const spans = await collect(async (tracing) => {
    const span = tracing.beginRequest(request);
    expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(span.spanId).toMatch(/^[0-9a-f]{16}$/);
    expect(await span.run(() => tracing.within(query, async () => "done"))).toBe("done");
    span.end(answer);
  }, never);
  expect(spans).toEqual([]);
});

describe("an exporter that fails", () => {
  const batch = { delayMs: 600_000, exportTimeoutMs: 1000, mostWaiting: 3, perExport: 3 };

  function createFailing() {
    const state = { isFailing: true, nowMs: 0 };
    const { log, lines } = createMemoryLog();
    const error = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const exporter: SpanExporter = {
      export: (_, done) =>
        done(state.isFailing ? { code: ExportResultCode.FAILED, error } : { code: ExportResultCode.SUCCESS }),
      shutdown: async () => {},
    };
    const outlet = new SpanOutlet({ exporter, batch, log, monotonicMs: () => state.nowMs });
    const end = (count: number) => {
      const span = { spanContext: () => ({ traceFlags: 1 }), resource: {} } as unknown as ReadableSpan;
      for (let index = 0; index < count; index++) outlet.onEnd(span);
    };
    const flush = () => outlet.forceFlush().catch(() => {});
    return { state, lines, outlet, end, flush };
  }

  it("loses what it was given, counts it, and says so once a minute", async () => {
    const { state, lines, outlet, end, flush } = createFailing();
    for (const nowMs of [0, 59_999, 60_000]) {
      state.nowMs = nowMs;
      end(2);
      await flush();
    }
    expect(outlet.metrics()).toEqual({ exported: 0, lost: 6, waiting: 0 });
    expect(lines).toMatchObject([
      { level: "warn", lost: 2, sinceStart: 2, code: "ECONNREFUSED" },
      { level: "warn", lost: 4, sinceStart: 6 },
    ]);
    state.isFailing = false;
    end(1);
    await flush();
    expect(outlet.metrics()).toEqual({ exported: 1, lost: 6, waiting: 0 });
    expect(lines.at(-1)).toMatchObject({ level: "info", message: "spans are exported again" });
  });

  it("lets no more wait than may", async () => {
    const { state, outlet, end, flush } = createFailing();
    state.isFailing = false;
    end(2);
    expect(outlet.metrics().waiting).toBe(2);
    end(1);
    await flush();
    expect(outlet.metrics()).toEqual({ exported: 3, lost: 0, waiting: 0 });
  });

  it("loses what comes while as many wait as may", async () => {
    const { log } = createMemoryLog();
    const held = Promise.withResolvers<void>();
    const exporter: SpanExporter = {
      export: (_, done) => void held.promise.then(() => done({ code: ExportResultCode.SUCCESS })),
      shutdown: async () => {},
    };
    const outlet = new SpanOutlet({ exporter, batch, log });
    const span = { spanContext: () => ({ traceFlags: 1 }), resource: {} } as unknown as ReadableSpan;
    for (let index = 0; index < 10; index++) outlet.onEnd(span);
    // Three are on their way, three wait.
    expect(outlet.metrics()).toEqual({ exported: 0, lost: 4, waiting: 3 });
    held.resolve();
    await outlet.shutdown();
    expect(outlet.metrics()).toEqual({ exported: 6, lost: 4, waiting: 0 });
  });
});

it("closes in time though an exporter never answers", async () => {
  const exporter: SpanExporter = { export: () => {}, shutdown: async () => {} };
  const tracing = createTracing({ config, log: silentLog, exporters: [exporter] });
  tracing.beginRequest(request).end(answer);
  await tracing.close(1);
});
