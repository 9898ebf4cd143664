/**
 * Where refusals become REST answers: `{"error","message","details"?}`, or as
 * Frontier's REST had them `{"code","message"}`.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { DomainError, type ErrorKind, type Reason } from "../../lib/errors.ts";
import { type PlainError, toPlainError, wireReasons } from "../errors/errors.ts";
import type { Style } from "./binding.ts";

/** What a refusal is over REST. */
interface RestError {
  readonly error: string;
  readonly status: number;
}

/**
 * Every kind of refusal.
 *
 * @see RFC 9110 §15.5
 */
export const restErrors = {
  invalid_argument: { error: "invalid_request", status: 400 },
  unauthenticated: { error: "unauthorized", status: 401 },
  permission_denied: { error: "forbidden", status: 403 },
  not_found: { error: "not_found", status: 404 },
  already_exists: { error: "conflict", status: 409 },
  failed_precondition: { error: "conflict", status: 409 },
  resource_exhausted: { error: "too_many_requests", status: 429 },
  aborted: { error: "conflict", status: 409 },
  unavailable: { error: "unavailable", status: 503 },
  unimplemented: { error: "not_implemented", status: 501 },
  internal: { error: "internal", status: 500 },
} as const satisfies Record<ErrorKind, RestError>;

/** Reasons for which HTTP has a status of its own, or NetFoundry's REST another. */
export const restReasons: Partial<Record<Reason, RestError>> = {
  FRONTDOOR_NOT_FOUND: { error: "not_found", status: 403 },
  PRECONDITION_FAILED: { error: "precondition_failed", status: 412 },
  METHOD_NOT_ALLOWED: { error: "method_not_allowed", status: wireReasons.METHOD_NOT_ALLOWED.http },
  NOT_ACCEPTABLE: { error: "not_acceptable", status: 406 },
  REQUEST_TOO_LARGE: { error: "payload_too_large", status: wireReasons.REQUEST_TOO_LARGE.http },
  UNSUPPORTED_MEDIA_TYPE: { error: "unsupported_media_type", status: 415 },
};

/** What every method takes (RFC 9110 §11.6.1); of a token that is past its time also why it was refused (RFC 6750 §3). */
function toChallenge(tokenProblem: string | undefined): string {
  const why =
    tokenProblem === undefined ? "" : `, error="invalid_token", error_description="${tokenProblem}"`;
  return `Bearer realm="vestibule"${why}, Basic realm="vestibule", charset="UTF-8"`;
}

/** Why one of our own tokens is refused for its time alone: two clocks, which may differ. */
function findTokenProblem({ metadata }: DomainError): string | undefined {
  const { token_expired_at: end, token_valid_from: start, server_time: now } = metadata;
  if (now === undefined) return undefined;
  const what = end === undefined ? `becomes valid at ${start}` : `expired at ${end}`;
  return `the token ${what}, this server's clock says ${now}: get a new one, or, if it is new, set the clocks`;
}

/** What a refusal depends on besides its reason. */
export interface RefusalContext {
  readonly style: Style;
  /** For 405: the HTTP methods that there are. */
  readonly allow?: readonly string[] | undefined;
}

/** A refusal as an answer; a ConnectError is a call that was cut short. */
export function toRestError(refusal: DomainError | ConnectError, context: RefusalContext): PlainError {
  if (!(refusal instanceof DomainError)) return toCutShort(refusal, context.style);
  const { error, status } = restReasons[refusal.reason] ?? restErrors[refusal.kind];
  const tokenProblem = findTokenProblem(refusal);
  const headers = toHeaders(refusal, status, { allow: context.allow, tokenProblem });
  if (context.style === "frontier") {
    const plain = toPlainError(refusal);
    return { ...plain, headers: { ...plain.headers, ...headers } };
  }
  const details =
    tokenProblem === undefined ? refusal.violations : [{ field: "token", description: tokenProblem }];
  return {
    status,
    headers,
    body: {
      error,
      message: status === 401 ? "Bearer token is missing or invalid" : refusal.message,
      ...(details.length > 0 && { details }),
    },
  };
}

function toHeaders(
  { retryAfterSeconds }: DomainError,
  status: number,
  { allow, tokenProblem }: Pick<RefusalContext, "allow"> & { readonly tokenProblem: string | undefined },
): Record<string, string> {
  return {
    ...(status === 401 && { "www-authenticate": toChallenge(tokenProblem) }),
    ...(allow !== undefined && { allow: allow.join(", ") }),
    ...(retryAfterSeconds !== undefined && { "retry-after": String(retryAfterSeconds) }),
  };
}

/** Out of time; or canceled, which only the log sees. */
function toCutShort({ code, rawMessage: message }: ConnectError, style: Style): PlainError {
  const name = code === Code.DeadlineExceeded ? "deadline_exceeded" : "canceled";
  const status = code === Code.DeadlineExceeded ? 504 : 499;
  return {
    status,
    headers: {},
    body: style === "frontier" ? { code: name, message } : { error: name, message },
  };
}
