/** What people are told of what went wrong on their way in. */
import { DomainError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { RequestInfo } from "../../lib/request.ts";
import type { RefusalWords } from "../dialects/words.ts";

const unavailable: RefusalWords = {
  status: 503,
  title: "Try again in a moment",
  text: "Something that signing in needs does not answer right now. Nothing is wrong with your account.",
};
const tooMany: RefusalWords = {
  status: 429,
  title: "Too many sign-ins were begun",
  text: "From your network, within a minute, and not finished. Wait a minute, then try again.",
};
const foreign: RefusalWords = {
  status: 403,
  title: "That did not come from this page",
  text: "It was open too long, or your browser keeps no cookies for this site. Open what you came for again.",
};
const bad: RefusalWords = {
  status: 400,
  title: "That did not work",
  text: "Something in the request is not as it should be. Open what you came for again.",
};

/** Puts a failure into words, and notes it; one of our own is logged. */
export function toRefusalWords(error: unknown, { outcome, requestId }: RequestInfo, log: Log): RefusalWords {
  const refusal = error instanceof DomainError ? error : new DomainError("INTERNAL", { cause: error });
  const { kind, reason, detail, retryAfterSeconds } = refusal;
  outcome.code = kind;
  outcome.reason = reason;
  if (detail !== undefined) outcome.detail = detail;
  if (kind === "internal") log.error({ requestId, err: refusal.cause }, "a page of the gate failed");
  if (reason === "CROSS_ORIGIN") return foreign;
  if (kind === "resource_exhausted") return { ...tooMany, retryAfterSeconds };
  if (kind === "unavailable" || kind === "internal") {
    return { ...unavailable, retryAfterSeconds: retryAfterSeconds ?? 5 };
  }
  return bad;
}
