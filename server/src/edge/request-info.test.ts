import { describe, expect, it } from "vitest";
import { parseCidr } from "../http/cidr.ts";
import type { NodeRequest, NodeResponse } from "../http/node-http.ts";
import { systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { type RequestOutcome, unknownRequest } from "../lib/request.ts";
import { createRequestInfoReader, logRequest } from "./request-info.ts";

const read = createRequestInfoReader({ trustedProxies: [parseCidr("10.0.0.0/8")], clock: systemClock });

/** The addresses of requests that one connection brings, by what each says. */
function readAll(remoteAddress: string, forwardedFor: readonly (string | undefined)[]) {
  const socket = { remoteAddress };
  return forwardedFor.map((value) => {
    const { clientAddress, fromTrustedProxy } = read({
      socket,
      headers: { "x-forwarded-for": value },
    } as unknown as NodeRequest);
    return [clientAddress, fromTrustedProxy];
  });
}

it("believes a stranger's connection nothing, whatever its requests say one after another", () => {
  const stranger = ["198.51.100.1", false];
  expect(readAll("198.51.100.1", [undefined, "1.1.1.1", "10.0.0.1"])).toEqual([stranger, stranger, stranger]);
});

it("asks each request of a proxy's connection anew", () => {
  expect(readAll("10.1.2.3", ["1.1.1.1", undefined, "2.2.2.2"])).toEqual([
    ["1.1.1.1", true],
    ["10.1.2.3", true],
    ["2.2.2.2", true],
  ]);
});

describe("the line of a request", () => {
  const usual = {
    ...{ method: "GET", url: "/a", httpVersion: "1.1", status: 200, client: "192.0.2.1", route: "/a" },
    outcome: { code: "ok" } as RequestOutcome,
  };

  /** What is logged of a request that differs from the usual one in this. */
  function log(change: Partial<typeof usual> = {}): Record<string, unknown> {
    const { method, url, httpVersion, status, client, route, outcome } = { ...usual, ...change };
    let line = "";
    const infoText = (members: string) => {
      line = members;
    };
    logRequest(
      { ...silentLog, infoText },
      {
        request: { method, url, httpVersion } as NodeRequest,
        response: { headersSent: true, statusCode: status } as NodeResponse,
        info: { ...unknownRequest, requestId: "r1", clientAddress: client, outcome },
        span: undefined,
        route,
        ms: 1.26,
      },
    );
    return JSON.parse(`{${line}}`);
  }

  const said = {
    ...{ requestId: "r1", method: "GET", path: "/a", http: "1.1", status: 200, code: "ok", ms: 1.3 },
    client: "192.0.2.1",
  };

  it.each<[Partial<typeof usual>, object]>([
    [{ method: 'A"' }, { method: 'A"' }],
    [{ url: '/"?secret' }, { path: '/"', route: "/a" }],
    [{ httpVersion: "2.0" }, { http: "2.0" }],
    [{ status: 404 }, { status: 404 }],
    [{ client: "192.0.2.2" }, { client: "192.0.2.2" }],
    [{ route: "/{id}" }, { route: "/{id}" }],
    [{ outcome: { code: "internal" } }, { code: "internal" }],
    [{ outcome: { code: "ok", principal: "user:1" } }, { principal: "user:1" }],
    [{ outcome: { code: "ok", credentialKind: "session" } }, { credentialKind: "session" }],
    [{ outcome: { code: "ok", reason: "IDENTIFIED" } }, { reason: "IDENTIFIED" }],
    [{ outcome: { code: "ok", detail: 'it is "odd"' } }, { detail: 'it is "odd"' }],
  ])("says of %j what the one before did not", (change, difference) => {
    expect(log()).toEqual(said);
    expect(log(change)).toEqual({ ...said, ...difference });
    expect(log(change)).toEqual({ ...said, ...difference });
    expect(log()).toEqual(said);
  });

  it("is not what becomes of the one before after that was over", () => {
    const outcome: RequestOutcome = { code: "canceled" };
    log({ outcome });
    outcome.code = "ok";
    expect(log()).toEqual(said);
  });
});
