import { expect, it } from "vitest";
import { parseCidr } from "../http/cidr.ts";
import type { NodeRequest } from "../http/node-http.ts";
import { systemClock } from "../lib/clock.ts";
import { createRequestInfoReader } from "./request-info.ts";

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
