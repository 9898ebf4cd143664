/** What came of asking a provider who somebody is: a yes, a no, or nothing that could be told. */
import { DomainError } from "../../lib/errors.ts";
import { NotProven } from "../../openid/not-proven.ts";
import { isOutage } from "../../openid/outage.ts";
import type { LoggedIn, LoginOutcome, ProviderRefusal, RefusalReason } from "./provider-type.ts";
import { Refused } from "./refused.ts";

/** What is under way: in a renewal, an answer that cannot be read says nothing of the person. */
export type LoginMoment = "login" | "renewal";

const [soonestSeconds, latestSeconds] = [60, 3_600];

/** When a provider wants to be asked again: as its access token ends, or else its ID token; within bounds. */
export function toRenewal(
  expiresInSeconds: number | undefined,
  idTokenEnd: Date | undefined,
  now: Date,
): Date {
  const idTokenSeconds = idTokenEnd && (idTokenEnd.getTime() - now.getTime()) / 1000;
  const seconds = expiresInSeconds ?? idTokenSeconds ?? latestSeconds;
  return new Date(now.getTime() + Math.min(Math.max(seconds, soonestSeconds), latestSeconds) * 1000);
}

/** Runs a login or its renewal and answers what came of it. A defect is thrown on. */
export async function decideOnLogin(
  moment: LoginMoment,
  ask: () => Promise<LoggedIn>,
): Promise<LoginOutcome> {
  try {
    return await ask();
  } catch (error) {
    const refusal = findRefusal(error, moment);
    if (refusal === undefined) throw error;
    return { allowed: false, ...refusal };
  }
}

/**
 * What a renewal has read once its token is traded. What cannot be told now
 * must not lose the new token, the only one that is good any more: what was
 * known before stands in for it.
 *
 * @param otherwise for a failure that is no answer
 * @throws what says no
 */
export async function readTraded<T>(read: () => Promise<T>, otherwise: () => T): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (findRefusal(error, "renewal")?.reason !== "unavailable") throw error;
    return otherwise();
  }
}

type Said = Omit<ProviderRefusal, "allowed">;

function findRefusal(error: unknown, moment: LoginMoment): Said | undefined {
  if (error instanceof Refused) return { reason: error.reason, detail: error.message };
  if (isOutage(error)) {
    const said = error instanceof DomainError ? (error.detail ?? error.message) : (error as Error).message;
    return { reason: "unavailable", detail: `the provider cannot be reached: ${said}` };
  }
  const said = findAnswered(error) ?? findFault(error);
  if (said === undefined) return undefined;
  const isNo = said.reason !== "malformed";
  return isNo || moment === "login" ? said : { ...said, reason: "unavailable" };
}

/** Errors of a token endpoint (RFC 6749 §5.2) that say nothing of the person: the client is not as the provider knows it. */
const clientErrors = new Set([
  "invalid_client",
  "unauthorized_client",
  "unsupported_grant_type",
  "incorrect_client_credentials",
  "redirect_uri_mismatch",
]);

/** @see clientErrors; those of a server that cannot answer now */
const passingErrors = new Set(["server_error", "temporarily_unavailable", "slow_down"]);

/** What an `error` in the provider's answer means. */
function findAnswered(error: unknown): Said | undefined {
  const answered = findChallenge(error) ?? (error as { error?: unknown }).error;
  if (typeof answered !== "string") return undefined;
  // Its own words might repeat what it was sent.
  const shown = /^[a-z_]{1,40}$/.test(answered) ? answered : "an error";
  if (clientErrors.has(answered)) {
    return {
      reason: "unavailable",
      detail: `the provider answered ${shown}: it does not know this clientId, or not with this clientSecret, or not for this; test the provider`,
    };
  }
  if (passingErrors.has(answered))
    return { reason: "unavailable", detail: `the provider answered ${shown}: try again later` };
  return {
    reason: "unknown_credential",
    detail: `the provider answered ${shown}: the code or token it was asked with is used, over or revoked; sign in again`,
  };
}

/** Statuses by which an API says no to the token it was asked with. */
const noStatuses = new Set([401, 403, 404]);

/** The error in a challenge (RFC 6750 §3.1); a token endpoint that has none there does not know the client (RFC 6749 §5.2). */
function findChallenge(error: unknown): string | undefined {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  if (code !== "OAUTH_WWW_AUTHENTICATE_CHALLENGE" || !Array.isArray(cause)) return undefined;
  const { parameters = {} } = (cause[0] ?? {}) as { parameters?: { readonly error?: string } };
  return parameters.error ?? "invalid_client";
}

const byClaim: Readonly<Record<string, RefusalReason>> = { iss: "wrong_issuer", aud: "wrong_audience" };

/** What the libraries found wrong with the provider's answer. */
function findFault(error: unknown): Said | undefined {
  if (error instanceof DomainError && error.kind === "unauthenticated")
    return { reason: "bad_signature", detail: `the provider's ${error.detail ?? "ID token"}` };
  if (error instanceof NotProven) {
    const reason =
      error.status !== undefined && noStatuses.has(error.status) ? "unknown_credential" : "malformed";
    return { reason, detail: `the provider's answer: ${error.message}` };
  }
  const { code } = error as { code?: unknown };
  if (!(error instanceof Error) || typeof code !== "string" || !code.startsWith("OAUTH_")) return undefined;
  if (code === "OAUTH_JWT_TIMESTAMP_CHECK_FAILED")
    return {
      reason: "expired",
      detail:
        "the provider's ID token is over, or not good yet: set the clocks of the provider and this server",
    };
  if (code === "OAUTH_JWT_CLAIM_COMPARISON_FAILED") {
    const claim = findClaim(error);
    return {
      reason: byClaim[claim] ?? "claim_mismatch",
      detail: `the provider's ID token has another ${claim} than it must have`,
    };
  }
  // The library's own words, one level below what it says to everybody.
  const { message } = error.cause instanceof Error ? error.cause : error;
  return { reason: "malformed", detail: `the provider's answer is not as it must be (${message})` };
}

/** The claim that was compared, which the library notes beside the failure. */
function findClaim(error: unknown): string {
  for (let cause: unknown = error; cause !== undefined; cause = (cause as Error).cause) {
    const { claim } = cause as { claim?: unknown };
    if (typeof claim === "string") return claim;
    if (!(cause instanceof Error)) break;
  }
  return "claim";
}
