import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import { isRecentSignIn, type LiveSession } from "../sessions/session.ts";

/** Where it is asked when somebody last proved themselves. */
export interface OwnSessionParts {
  readonly findSession: (id: string) => Promise<LiveSession | undefined>;
  readonly clock: Clock;
}

/** Somebody who calls with their session's cookie, not by what was made from it. @throws DomainError NOT_AUTHORIZED */
export function requireOwnSession({ principal }: Caller): UserPrincipal {
  if (principal.type === "user" && principal.credentialKind === "session") return principal;
  throw new DomainError("NOT_AUTHORIZED", { detail: "needs a person's session cookie" });
}

/** Somebody who has proven themselves lately, in the session they call with. @throws DomainError NOT_AUTHORIZED, REAUTH_REQUIRED */
export async function requireRecentSession(
  caller: Caller,
  { findSession, clock }: OwnSessionParts,
): Promise<UserPrincipal> {
  const user = requireOwnSession(caller);
  const session = await findSession(user.sessionId);
  const isRecent = session !== undefined && isRecentSignIn(session.authenticatedAt, clock.now());
  if (!isRecent) throw new DomainError("REAUTH_REQUIRED");
  return user;
}
