/**
 * A request in the words of OpenTelemetry's semantic conventions (1.45), HTTP
 * and RPC on one span. What could hold a secret, or tells of a person, is not
 * among them: no query, header, body or address, and a path only where it is
 * one of ours. Who it was is in the log, which the trace id leads to.
 */
import { type Attributes, type SpanStatus, SpanStatusCode } from "@opentelemetry/api";
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PROTOCOL_VERSION,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  ATTR_URL_PATH,
  HTTP_REQUEST_METHOD_VALUE_OTHER,
} from "@opentelemetry/semantic-conventions";
import type { TracedAnswer, TracedRequest } from "../lib/tracing.ts";

const methods = new Set([
  "CONNECT",
  "DELETE",
  "GET",
  "HEAD",
  "OPTIONS",
  "PATCH",
  "POST",
  "PUT",
  "QUERY",
  "TRACE",
]);

/** Codes that say that it was our fault; all others are the caller's doing. */
const faults = new Set([
  "unknown",
  "deadline_exceeded",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
]);

/** Longest path that is kept, in characters. */
const pathLength = 512;

/** A method of HTTP, or what stands for all others. */
export function toMethod(method: string): string {
  return methods.has(method) ? method : HTTP_REQUEST_METHOD_VALUE_OTHER;
}

/** What is known when a request begins. */
export function toRequestAttributes({ method, httpVersion }: TracedRequest): Attributes {
  return {
    [ATTR_HTTP_REQUEST_METHOD]: toMethod(method),
    [ATTR_NETWORK_PROTOCOL_VERSION]: httpVersion === "2.0" ? "2" : httpVersion,
  };
}

/** What is known when it is over; absent values are left out. */
export function toAnswerAttributes(answer: TracedAnswer): Record<string, string | number | undefined> {
  const { route, path, rpcSystem, status, outcome } = answer;
  return {
    [ATTR_HTTP_ROUTE]: route,
    [ATTR_URL_PATH]: path?.slice(0, pathLength),
    [ATTR_HTTP_RESPONSE_STATUS_CODE]: status === 0 ? undefined : status,
    [ATTR_ERROR_TYPE]: toErrorType(answer),
    "vestibule.code": outcome.code,
    "vestibule.reason": outcome.reason,
    "vestibule.credential_kind": outcome.credentialKind,
    ...(rpcSystem !== undefined && {
      [ATTR_RPC_SYSTEM_NAME]: rpcSystem,
      [ATTR_RPC_METHOD]: route?.slice(1),
      [ATTR_RPC_STATUS_CODE]: toRpcStatus(rpcSystem, outcome.code),
    }),
  };
}

/** `vestibule.v1.AuthService/AuthToken`, `GET /frontdoor/{frontdoor_id}`, or the method alone. */
export function toSpanName(method: string, { route, rpcSystem }: TracedAnswer): string {
  if (route === undefined) return method === HTTP_REQUEST_METHOD_VALUE_OTHER ? "HTTP" : method;
  if (rpcSystem !== undefined) return route.slice(1);
  return `${method === HTTP_REQUEST_METHOD_VALUE_OTHER ? "HTTP" : method} ${route}`;
}

/** Failures of ours are errors; a refusal is an answer. */
export function toSpanStatus(answer: TracedAnswer): SpanStatus {
  return { code: isFault(answer) ? SpanStatusCode.ERROR : SpanStatusCode.UNSET };
}

function isFault({ rpcSystem, status, outcome: { code = "" } }: TracedAnswer): boolean {
  return status >= 500 || (rpcSystem !== undefined && faults.has(code));
}

function toErrorType(answer: TracedAnswer): string | undefined {
  const { code, reason } = answer.outcome;
  return isFault(answer) ? (reason ?? code ?? String(answer.status)) : undefined;
}

/** As the protocols write it: gRPC in capitals and with a double l; Connect has no code for success. */
function toRpcStatus(rpcSystem: "connectrpc" | "grpc", code: string | undefined): string | undefined {
  if (rpcSystem === "connectrpc") return code === "ok" ? undefined : code;
  return code === "canceled" ? "CANCELLED" : code?.toUpperCase();
}
