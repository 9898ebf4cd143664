/**
 * What a refusal says besides its code and text: Vestibule attaches a stable
 * reason to every error, and violations and a delay where they apply.
 */
import { ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@vestibule/proto/google/rpc/error_details_pb";

/** What is wrong with one field of a request. */
export interface FieldViolation {
  /** Path as written in the schema, e.g. `body.title`. */
  readonly field: string;
  /** What was expected. */
  readonly description: string;
}

/**
 * The stable reason of a refusal, e.g. `NOT_AUTHENTICATED`
 * (`google.rpc.ErrorInfo`), to switch on; its text may change. Undefined for
 * errors that did not come from Vestibule.
 */
export function findReason(error: unknown): string | undefined {
  return findErrorInfo(error)?.reason;
}

/**
 * What a client needs to go on from a refusal, as documented with its reason
 * (`ErrorInfo.metadata`); empty where there is nothing.
 */
export function getErrorMetadata(error: unknown): Readonly<Record<string, string>> {
  return findErrorInfo(error)?.metadata ?? {};
}

/** Every field the server found fault with (`google.rpc.BadRequest`); empty when it was not about fields. */
export function getFieldViolations(error: unknown): FieldViolation[] {
  if (!(error instanceof ConnectError)) return [];
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return violations.map(({ field, description }) => ({ field, description }));
}

/**
 * How long the server asks to wait before another try, in milliseconds:
 * `google.rpc.RetryInfo`, else the header `Retry-After` in seconds.
 */
export function findRetryDelayMs(error: unknown): number | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  if (delay !== undefined) return Math.max(0, Number(delay.seconds) * 1000 + delay.nanos / 1e6);
  const header = error.metadata.get("retry-after")?.trim() ?? "";
  return /^\d{1,9}$/.test(header) ? Number(header) * 1000 : undefined;
}

function findErrorInfo(error: unknown): ErrorInfo | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  return error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === "vestibule");
}
