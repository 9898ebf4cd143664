import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { NodeResponse } from "../../http/node-http.ts";
import { type CallLimit, CallLimits } from "./call-limits.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** An answer of which only the end matters here. */
function createResponse(): NodeResponse {
  return Object.assign(new EventEmitter(), { writableFinished: false }) as unknown as NodeResponse;
}

/** Begins calls, and says which of them have been cut short, and as what. */
function createCalls(shutdownSignal?: AbortSignal) {
  const limits = new CallLimits({ requestSeconds: 10, shutdownSignal });
  const stopped: string[] = [];
  const begin = (name: string, timeoutMs?: number) => {
    const response = createResponse();
    const limit = limits.begin(response, timeoutMs);
    limit.tell({ stop: ({ message }) => stopped.push(`${name}: ${message}`) });
    return { limit, response };
  };
  return { begin, stopped };
}

test("each call is out of time when its own is over, whatever became of those around it", () => {
  const { begin, stopped } = createCalls();
  const [first, second] = [begin("first"), begin("second")];
  vi.advanceTimersByTime(4_000);
  const [third, fourth, fifth] = [begin("third"), begin("fourth"), begin("fifth")];
  second.limit.end();
  fourth.limit.end();
  vi.advanceTimersByTime(6_000);
  expect(stopped).toEqual([expect.stringMatching(/^first: /)]);
  first.limit.end();
  third.limit.end();
  vi.advanceTimersByTime(3_000);
  expect(stopped).toHaveLength(1);
  vi.advanceTimersByTime(1_000);
  expect(stopped).toEqual([expect.stringMatching(/^first: /), expect.stringMatching(/^fifth: /)]);
  fifth.limit.end();
  begin("sixth");
  vi.advanceTimersByTime(9_999);
  expect(stopped).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(stopped).toHaveLength(3);
});

test("the caller's own limit counts where it is shorter, and a call that has ended hears of nothing", () => {
  const { begin, stopped } = createCalls();
  const short = begin("short", 500);
  begin("long", 50_000);
  const ended = begin("ended", 500);
  const { signal } = ended.limit;
  ended.limit.end();
  vi.advanceTimersByTime(500);
  expect(stopped).toEqual([expect.stringMatching(/^short: /)]);
  expect(() => short.limit.throwIfOver()).toThrow();
  expect(signal.aborted).toBe(true);
  vi.advanceTimersByTime(9_500);
  expect(stopped).toEqual([expect.stringMatching(/^short: /), expect.stringMatching(/^long: /)]);
});

test("all are cut short when the process must end, also what begins later; who goes away cancels its own", () => {
  const shutdown = new AbortController();
  const { begin, stopped } = createCalls(shutdown.signal);
  const gone = begin("gone");
  begin("other");
  gone.response.emit("close");
  expect(stopped).toEqual([expect.stringMatching(/^gone: /)]);
  shutdown.abort();
  begin("late");
  expect(stopped).toEqual([
    expect.stringMatching(/^gone: /),
    expect.stringMatching(/^other: /),
    expect.stringMatching(/^late: /),
  ]);
});

test("a listener that ends others while all are cut short leaves none out, and tells none twice", () => {
  const shutdown = new AbortController();
  const limits = new CallLimits({ requestSeconds: 10, shutdownSignal: shutdown.signal });
  const stopped: string[] = [];
  const [first, second, third] = [1, 2, 3].map(() => limits.begin(createResponse(), undefined));
  const stop =
    (name: string, ...ended: (CallLimit | undefined)[]) =>
    () => {
      stopped.push(name);
      for (const limit of ended) limit?.end();
    };
  first?.tell({ stop: stop("first", first) });
  second?.tell({ stop: stop("second", second, first) });
  third?.tell({ stop: stop("third") });
  shutdown.abort();
  expect(stopped).toEqual(["first", "second", "third"]);
});
