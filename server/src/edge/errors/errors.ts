/**
 * Where refusals become wire answers.
 *
 * One table says what a kind of refusal is as a Connect code, as an HTTP
 * status and as an OAuth 2 error, and beside it a shorter one for the reasons
 * that have a word of their own. What is not a DomainError leaves as
 * `internal` with a fixed text, whatever it was.
 *
 * This room translates, for calls in `translate.ts`; it decides nothing, and
 * sends nothing but to the log.
 */
import type { DescMessage } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@vestibule/proto/google/rpc/error_details_pb";
import { DomainError, type ErrorKind, type Reason } from "../../lib/errors.ts";

/** The `domain` of every `google.rpc.ErrorInfo` made here. */
const errorDomain = "vestibule";

/** What one kind of refusal is on each wire. */
interface WireError {
  readonly connect: Code;
  /** HTTP status of plain routes; the same as the Connect protocol's. */
  readonly http: number;
  /** Error code and HTTP status of the token endpoint (RFC 6749 §5.2). */
  readonly oauth: { readonly error: string; readonly http: number };
}

const invalidClient = { error: "invalid_client", http: 401 };

/**
 * Every kind of refusal.
 *
 * @see https://connectrpc.com/docs/protocol#error-codes
 * @see RFC 6749 §5.2
 */
export const wireErrors = {
  invalid_argument: {
    connect: Code.InvalidArgument,
    http: 400,
    oauth: { error: "invalid_request", http: 400 },
  },
  unauthenticated: { connect: Code.Unauthenticated, http: 401, oauth: invalidClient },
  permission_denied: { connect: Code.PermissionDenied, http: 403, oauth: invalidClient },
  not_found: { connect: Code.NotFound, http: 404, oauth: invalidClient },
  already_exists: { connect: Code.AlreadyExists, http: 409, oauth: { error: "invalid_request", http: 400 } },
  failed_precondition: { connect: Code.FailedPrecondition, http: 400, oauth: invalidClient },
  resource_exhausted: {
    connect: Code.ResourceExhausted,
    http: 429,
    oauth: { error: "temporarily_unavailable", http: 429 },
  },
  aborted: { connect: Code.Aborted, http: 409, oauth: { error: "temporarily_unavailable", http: 503 } },
  unavailable: {
    connect: Code.Unavailable,
    http: 503,
    oauth: { error: "temporarily_unavailable", http: 503 },
  },
  unimplemented: { connect: Code.Unimplemented, http: 501, oauth: { error: "invalid_request", http: 400 } },
  internal: { connect: Code.Internal, http: 500, oauth: { error: "server_error", http: 500 } },
} as const satisfies Record<ErrorKind, WireError>;

/** Reasons that HTTP or OAuth 2 has a word of its own for; in all else they are of their kind. */
export const wireReasons = {
  METHOD_NOT_ALLOWED: { http: 405, oauth: { error: "invalid_request", http: 405 } },
  REQUEST_TOO_LARGE: { http: 413, oauth: { error: "invalid_request", http: 413 } },
  UNSUPPORTED_GRANT_TYPE: { oauth: { error: "unsupported_grant_type", http: 400 } },
  INVALID_GRANT: { oauth: { error: "invalid_grant", http: 400 } },
} as const satisfies Partial<Record<Reason, Partial<WireError>>>;

/** The HTTP status that a reason has of its own; undefined where it has its kind's. */
export function findOwnStatus(reason: string): number | undefined {
  return findByReason(reason).http;
}

function findByReason(reason: string): Partial<WireError> {
  const byReason: Readonly<Record<string, Partial<WireError>>> = wireReasons;
  return byReason[reason] ?? {};
}

/** The refusal that stands for an error: itself, or INTERNAL with the error as its cause. */
export function toDomainError(error: unknown): DomainError {
  return error instanceof DomainError ? error : new DomainError("INTERNAL", { cause: error });
}

/**
 * The Connect error of a refusal: code, message, `ErrorInfo`, and where they
 * apply `BadRequest` and `RetryInfo` (with the header `Retry-After`).
 */
export function toConnectError(refusal: DomainError): ConnectError {
  const retryAfter = refusal.retryAfterSeconds;
  const { stackTraceLimit } = Error;
  // Nobody reads where it was made, and to note that costs as much as the rest of it.
  Error.stackTraceLimit = 0;
  try {
    return new ConnectError(
      refusal.message,
      wireErrors[refusal.kind].connect,
      retryAfter === undefined ? undefined : { "Retry-After": String(retryAfter) },
      toDetails(refusal),
      refusal.cause,
    );
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** A Connect error's detail before it is encoded. */
interface Detail {
  readonly desc: DescMessage;
  readonly value: Record<string, unknown>;
}

function toDetails({ reason, metadata, violations, retryAfterSeconds }: DomainError): Detail[] {
  const details: Detail[] = [{ desc: ErrorInfoSchema, value: { reason, domain: errorDomain, metadata } }];
  if (violations.length > 0) {
    const fieldViolations = violations.map(({ field, description }) => ({ field, description }));
    details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  }
  if (retryAfterSeconds !== undefined) {
    const retryDelay = { seconds: BigInt(retryAfterSeconds), nanos: 0 };
    details.push({ desc: RetryInfoSchema, value: { retryDelay } });
  }
  return details;
}

/** A refusal as a plain HTTP answer; the body is to be sent as JSON. */
export interface PlainError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The HTTP status of a refusal, on plain routes and by the Connect protocol. */
export function toHttpStatus({ reason, kind }: DomainError): number {
  return findByReason(reason).http ?? wireErrors[kind].http;
}

/**
 * A refusal on a plain route: `{"code","message"}`, the shape of a Connect
 * error, with `details` per field where there are some.
 */
export function toPlainError(error: unknown): PlainError {
  const refusal = toDomainError(error);
  const { kind, message, violations } = refusal;
  return {
    status: toHttpStatus(refusal),
    headers: retryHeader(refusal),
    body: { code: kind, message, ...(violations.length > 0 && { details: violations }) },
  };
}

/**
 * A refusal on an OAuth 2 route (RFC 6749 §5.2): `{"error",
 * "error_description"}`, never cached; 401 names the schemes (RFC 9110 §11.6.1).
 */
export function toOauthError(error: unknown): PlainError {
  const refusal = toDomainError(error);
  const { error: code, http } = findByReason(refusal.reason).oauth ?? wireErrors[refusal.kind].oauth;
  return {
    status: http,
    headers: {
      "cache-control": "no-store",
      ...(http === 401 && { "www-authenticate": oauthChallenge }),
      ...retryHeader(refusal),
    },
    body: { error: code, error_description: refusal.message + describeClocks(refusal) },
  };
}

/** Why a token or assertion of the caller's own is refused for its time alone: two clocks, which may differ. */
function describeClocks({ metadata }: DomainError): string {
  const { server_time: now, ...others } = metadata;
  const [said] = Object.entries(others);
  if (now === undefined || said === undefined) return "";
  const [name, instant] = said;
  return `: ${name.replaceAll("_", " ")} ${instant}, this server's clock says ${now}`;
}

/** What every OAuth 2 route takes; which of them also take Bearer is in their documentation. */
const oauthChallenge = 'Basic realm="vestibule", charset="UTF-8", Bearer realm="vestibule"';

function retryHeader({ retryAfterSeconds }: DomainError): Record<string, string> {
  return retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
}
