import { type NodeRequest, type NodeResponse, toRawPath } from "../http/node-http.ts";
import type { Log } from "../lib/log.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { RequestSpan } from "../lib/tracing.ts";
import { otherRoute } from "./operations/metrics.ts";

/** Longest path that is logged, in characters. */
const pathLength = 512;

/** What there is to say of a request that is over. */
export interface FinishedRequest {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly info: RequestInfo;
  readonly span: RequestSpan | undefined;
  readonly route: string;
  /** From its head to the end of its answer, in milliseconds. */
  readonly ms: number;
}

/** Logs the one line of a request. Headers, query and bodies are never logged: they may hold secrets. */
export function logRequest(log: Log, { request, response, info, span, route, ms }: FinishedRequest): void {
  const { code, principal, credentialKind, reason, detail } = info.outcome;
  const path = toRawPath(request.url).slice(0, pathLength);
  const fields: Record<string, unknown> = {
    requestId: info.requestId,
    method: request.method,
    path,
    http: request.httpVersion,
    status: response.headersSent ? response.statusCode : 0,
    code,
    ms: Math.round(ms * 10) / 10,
    client: info.clientAddress,
  };
  // What there is nothing to say of is left out here: a line is made for every request.
  if (principal !== undefined) fields.principal = principal;
  if (credentialKind !== undefined) fields.credentialKind = credentialKind;
  if (reason !== undefined) fields.reason = reason;
  if (detail !== undefined) fields.detail = detail;
  // Said where it is more than the path: the template of a REST route.
  if (route !== path && route !== otherRoute) fields.route = route;
  if (span !== undefined) {
    fields.trace_id = span.traceId;
    fields.span_id = span.spanId;
  }
  log.info(fields, "request");
}
