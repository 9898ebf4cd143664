/** What came of asking a provider who somebody is: a yes, a no, or nothing that could be told. */
import type { FailureCause } from "../../openid/failure-cause.ts";
import { ProviderFailure } from "../../openid/provider-failure.ts";
import { toRefusal } from "../../openid/refusal.ts";
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

/** Runs a login or its renewal and answers what came of it. A defect is thrown on. @param name of the provider */
export async function decideOnLogin(
  moment: LoginMoment,
  name: string,
  ask: () => Promise<LoggedIn>,
): Promise<LoginOutcome> {
  try {
    return await ask();
  } catch (error) {
    const said = findSaid(error, moment);
    if (said === undefined) throw error;
    const failure = error instanceof ProviderFailure ? toRefusal(name, error) : undefined;
    return { allowed: false, ...said, ...(failure && { failure }) };
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
    if (findSaid(error, "renewal")?.reason !== "unavailable") throw error;
    return otherwise();
  }
}

type Said = Pick<ProviderRefusal, "reason" | "detail">;

function findSaid(error: unknown, moment: LoginMoment): Said | undefined {
  if (error instanceof Refused) return { reason: error.reason, detail: error.message };
  if (!(error instanceof ProviderFailure)) return undefined;
  const reason = error.verdict === "later" ? "unavailable" : toReason(error.why);
  const isNo = reason !== "malformed" || moment === "login";
  return { reason: isNo ? reason : "unavailable", detail: `${error.message}${toAdvice(error.why)}` };
}

/** Errors of a token endpoint (RFC 6749 §5.2) that say nothing of the person: the client is not as the provider knows it. */
const clientErrors = new Set([
  "invalid_client",
  "unauthorized_client",
  "unsupported_grant_type",
  "incorrect_client_credentials",
  "redirect_uri_mismatch",
]);

/** Statuses by which an API says no to the token it was asked with. */
const noStatuses = new Set([401, 403, 404]);

const byClaim: Readonly<Record<string, RefusalReason>> = {
  iss: "wrong_issuer",
  aud: "wrong_audience",
  exp: "expired",
  nbf: "expired",
};

function toReason(why: FailureCause): RefusalReason {
  switch (why.kind) {
    case "refused":
      return clientErrors.has(why.error) ? "unavailable" : "unknown_credential";
    case "status":
      if (!noStatuses.has(why.status)) return "malformed";
      // A token endpoint that says no more does not know the client.
      return why.at === "token_endpoint" ? "unavailable" : "unknown_credential";
    case "unreachable":
      return "unavailable";
    case "claim":
      return byClaim[why.claim] ?? "claim_mismatch";
    case "algorithm":
    case "signature":
      return "bad_signature";
    case "answer":
      return "malformed";
  }
}

/** What to do next, for the provider's owner. */
function toAdvice(why: FailureCause): string {
  if (why.kind === "claim" && byClaim[why.claim] === "expired")
    return ": set the clocks of the provider and this server";
  if (why.kind !== "refused") return "";
  return clientErrors.has(why.error)
    ? ": it does not know this clientId, or not with this clientSecret, or not for this; test the provider"
    : ": the code or token it was asked with is used, over or revoked; sign in again";
}
