import { DomainError } from "../lib/errors.ts";
import { findCookies, sessionCookieName } from "../principals/presented.ts";
import { toPrincipalLabel, type UserPrincipal } from "../principals/principal.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";
import type { PageRequest } from "./http.ts";

/**
 * Who is signed in, by the first good session cookie; undefined when nobody is.
 *
 * @throws DomainError UNAVAILABLE when that cannot be told
 */
export async function findVisitor(
  authenticator: Pick<SessionAuthenticator, "authenticateCookie">,
  { header, info }: Pick<PageRequest, "header" | "info">,
): Promise<UserPrincipal | undefined> {
  for (const cookie of findCookies(header, sessionCookieName)) {
    const found = await authenticator.authenticateCookie(cookie).catch(toNobody);
    if (found === undefined) continue;
    info.outcome.principal = toPrincipalLabel(found);
    info.outcome.credentialKind = found.credentialKind;
    return found;
  }
  return undefined;
}

/** A cookie that proves nobody is no failure. */
function toNobody(error: unknown): undefined {
  if (error instanceof DomainError && error.kind !== "unavailable") return undefined;
  throw error;
}
