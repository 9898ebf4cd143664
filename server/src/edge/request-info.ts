import type { Cidr } from "../http/cidr.ts";
import { createClientAddressRule } from "../http/client-address.ts";
import { findHeader, type NodeRequest, toPeerAddress } from "../http/node-http.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { DoWork, RequestInfo } from "../lib/request.ts";

const requestIdPattern = /^[A-Za-z0-9._-]{1,128}$/;

/** Longest user agent that is kept, in characters. */
const userAgentLength = 512;

/**
 * Makes what the edge knows of a request: its id, taken from `X-Request-Id`
 * when well-formed and made otherwise, and the client's address.
 */
export function createRequestInfoReader(options: {
  readonly trustedProxies: readonly Cidr[];
  readonly clock: Clock;
}): (request: NodeRequest, doWork?: DoWork) => RequestInfo {
  const findClient = createClientAddressRule(options.trustedProxies);
  return (request, doWork) => {
    const { address, fromTrustedProxy } = findClient({
      peer: toPeerAddress(request),
      xForwardedFor: findHeader(request, "x-forwarded-for"),
      forwarded: findHeader(request, "forwarded"),
    });
    const sentId = findHeader(request, "x-request-id");
    return {
      requestId: sentId !== undefined && requestIdPattern.test(sentId) ? sentId : newId(options.clock.now()),
      clientAddress: address,
      fromTrustedProxy,
      userAgent: (findHeader(request, "user-agent") ?? "").slice(0, userAgentLength),
      outcome: {},
      doWork,
    };
  };
}
