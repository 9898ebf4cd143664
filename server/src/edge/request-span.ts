import { findHeader, type NodeRequest, type NodeResponse, toRawPath } from "../http/node-http.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { RequestSpan, TracedAnswer, Tracing } from "../lib/tracing.ts";
import { otherRoute } from "./operations/metrics.ts";

/** Begins the span of a request. */
export function beginRequestSpan(tracing: Tracing, request: NodeRequest, info: RequestInfo): RequestSpan {
  return tracing.beginRequest({
    method: request.method ?? "",
    httpVersion: request.httpVersion,
    fromTrustedProxy: info.fromTrustedProxy,
    traceparent: findHeader(request, "traceparent"),
    tracestate: findHeader(request, "tracestate"),
  });
}

/** What a span says of an answer that is over. */
export function toTracedAnswer(
  { request, response, info }: { request: NodeRequest; response: NodeResponse; info: RequestInfo },
  route: string,
  isRpc: boolean,
): TracedAnswer {
  const isKnown = route !== otherRoute;
  return {
    route: isKnown ? route : undefined,
    path: isKnown ? toRawPath(request.url) : undefined,
    rpcSystem: isRpc ? toRpcSystem(request) : undefined,
    status: response.headersSent ? response.statusCode : 0,
    outcome: info.outcome,
  };
}

/** gRPC-Web is gRPC in another frame. */
function toRpcSystem(request: NodeRequest): "connectrpc" | "grpc" {
  return findHeader(request, "content-type")?.startsWith("application/grpc") ? "grpc" : "connectrpc";
}
