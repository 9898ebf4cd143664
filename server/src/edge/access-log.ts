import type { Log } from "../lib/log.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { RequestSpan } from "../lib/tracing.ts";
import { otherRoute } from "./metrics.ts";
import { type NodeRequest, type NodeResponse, toRawPath } from "./node-http.ts";

/** Longest path that is logged, in characters. */
const pathLength = 512;

/**
 * Notes that a request begins; call the result with its route once it is over,
 * and one line is logged. Headers, query and bodies never are: they may hold
 * secrets.
 */
export function beginAccessLog(
  log: Log,
  request: NodeRequest,
  response: NodeResponse,
  info: RequestInfo,
  span: RequestSpan | undefined,
): (route: string) => void {
  const beganAt = performance.now();
  const { method, httpVersion } = request;
  const path = toRawPath(request.url).slice(0, pathLength);
  return (route) => {
    const { code, principal, credentialKind, reason, detail } = info.outcome;
    const ms = Math.round((performance.now() - beganAt) * 10) / 10;
    log.info(
      {
        requestId: info.requestId,
        trace_id: span?.traceId,
        span_id: span?.spanId,
        method,
        path,
        // Said where it is more than the path: the template of a REST route.
        route: route === path || route === otherRoute ? undefined : route,
        http: httpVersion,
        status: response.headersSent ? response.statusCode : 0,
        code,
        ms,
        client: info.clientAddress,
        principal,
        credentialKind,
        reason,
        detail,
      },
      "request",
    );
  };
}
