import { expect, it } from "vitest";
import type { NodeRequest } from "../http/node-http.ts";
import type { RequestInfo } from "../lib/request.ts";
import { createForwardingWarning } from "./request-info.ts";

/** What the log is told by requests, each a peer's or a trusted proxy's, at a time in minutes. */
function warn(requests: readonly { at?: number; headers?: object; isTrusted?: boolean }[]) {
  let nowMs = Date.UTC(2027, 0, 1);
  const startMs = nowMs;
  const warned: object[] = [];
  const log = { warn: (fields: object, message: string) => warned.push({ ...fields, message }) };
  const see = createForwardingWarning({ log: log as never, clock: { now: () => new Date(nowMs) } });
  for (const { at = 0, headers = {}, isTrusted = false } of requests) {
    nowMs = startMs + at * 60_000;
    const info = { fromTrustedProxy: isTrusted, clientAddress: "192.0.2.1" } as RequestInfo;
    see({ headers } as NodeRequest, info);
  }
  return warned;
}

const forwarded = { "x-forwarded-for": "198.51.100.7" };

it("says once an hour that a peer's forwarded headers are overlooked, and what mends it", () => {
  const warned = warn([0, 1, 59.9, 60, 61].map((at) => ({ at, headers: forwarded })));
  expect(warned).toEqual([
    { peer: "192.0.2.1", header: "x-forwarded-for", message: expect.stringContaining("trusted_proxies") },
    { peer: "192.0.2.1", header: "x-forwarded-for", message: expect.stringContaining("trusted_proxies") },
  ]);
});

it("knows the standard header as well, and tells nothing of what is in either", () => {
  const warned = warn([{ headers: { forwarded: "for=198.51.100.7" } }]);
  expect(warned).toMatchObject([{ header: "forwarded" }]);
  expect(JSON.stringify(warned)).not.toContain("198.51.100.7");
});

it("says nothing of a trusted proxy, nor of who sends no such header", () => {
  expect(warn([{ headers: forwarded, isTrusted: true }, {}])).toEqual([]);
});

it("says it again where the clock was set back by an hour", () => {
  expect(warn([120, 30].map((at) => ({ at, headers: forwarded })))).toHaveLength(2);
});
