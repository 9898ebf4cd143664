/** Which representation is answered (RFC 9110 §12.5.1), and which is taken. */
import { DomainError } from "../../lib/errors.ts";

/** Media types of answers. */
export type AnswerType = "application/json" | "application/hal+json";

/** Most ranges of an `Accept` that are looked at. */
const rangeLimit = 32;

/**
 * Chooses the answer's media type: JSON, or HAL where it is named and not
 * liked less. No `Accept` means JSON.
 *
 * @throws {DomainError} NOT_ACCEPTABLE
 */
export function chooseAnswerType(accept: string | undefined): AnswerType {
  if (accept === undefined || accept === "" || accept === "*/*" || accept === "application/json") {
    return "application/json";
  }
  const weights = readWeights(accept);
  const any = weights.get("application/*") ?? weights.get("*/*") ?? 0;
  const json = weights.get("application/json") ?? any;
  // A range that fits both means JSON, unless JSON is what is not wanted.
  const hal = weights.get("application/hal+json") ?? (json === 0 ? any : 0);
  if (hal > 0 && hal >= json) return "application/hal+json";
  if (json > 0) return "application/json";
  throw new DomainError("NOT_ACCEPTABLE", {
    message: "answers are application/json or application/hal+json",
  });
}

function readWeights(accept: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const range of accept.split(",", rangeLimit)) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
    weights.set(type, Math.max(weights.get(type) ?? 0, toWeight(weight)));
  }
  return weights;
}

/** A malformed weight accepts nothing. */
function toWeight(text: string): number {
  return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(text) ? Number(text) : 0;
}

/**
 * Refuses a body that is not JSON in UTF-8, or is encoded. Parameters that
 * JSON does not have are passed over (RFC 2045 §5).
 *
 * @throws {DomainError} UNSUPPORTED_MEDIA_TYPE
 */
export function checkBodyType(contentType: string | undefined, contentEncoding: string | undefined): void {
  if (contentEncoding !== undefined && contentEncoding.trim().toLowerCase() !== "identity") {
    throw new DomainError("UNSUPPORTED_MEDIA_TYPE", {
      message: "request bodies are taken without Content-Encoding",
    });
  }
  const [type, ...parameters] = (contentType ?? "").split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters.find((parameter) => /^charset\s*=/.test(parameter)) ?? "charset=utf-8";
  if (type !== "application/json" || !/^charset\s*=\s*(?:utf-8|"utf-8")$/.test(charset)) {
    throw new DomainError("UNSUPPORTED_MEDIA_TYPE", { message: "request bodies are application/json" });
  }
}
