/** Who is signed in, for what is not RPC: the pages and the callback. */
import { DomainError } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";
import { toPrincipalLabel, type UserPrincipal } from "../principals/principal.ts";
import type { SessionAuthenticator } from "../sessions/authenticator.ts";

/**
 * Who is signed in, by the first good session cookie; undefined when nobody
 * is, and as with RPC when the cookies are of different people. Ones that are
 * no good are overlooked.
 *
 * @throws DomainError UNAVAILABLE when that cannot be told
 */
export async function findVisitor(
  authenticator: Pick<SessionAuthenticator, "authenticateCookie" | "findCookies">,
  { header, info }: { readonly header: Headers; readonly info: RequestInfo },
): Promise<UserPrincipal | undefined> {
  let visitor: UserPrincipal | undefined;
  for (const cookie of await authenticator.findCookies(header)) {
    const found = await Promise.resolve(authenticator.authenticateCookie(cookie)).catch(toNobody);
    if (found === undefined) continue;
    if (visitor !== undefined && visitor.id !== found.id) {
      info.outcome.detail = "two session cookies name different people";
      return undefined;
    }
    visitor ??= found;
  }
  if (visitor === undefined) return undefined;
  info.outcome.principal = toPrincipalLabel(visitor);
  info.outcome.credentialKind = visitor.credentialKind;
  return visitor;
}

/** A cookie that proves nobody is no failure. */
function toNobody(error: unknown): undefined {
  if (error instanceof DomainError && error.kind !== "unavailable") return undefined;
  throw error;
}
