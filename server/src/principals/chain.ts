/**
 * Who is calling.
 *
 * Turns the credentials on a request into one principal. A credential that is
 * present but bad fails the request; it never falls through to another. This
 * room judges no credential itself: each kind has an authenticator, handed in
 * by the composition root, and a kind without one is refused.
 */

import { findCookies } from "../http/node-http.ts";
import { DomainError } from "../lib/errors.ts";
import {
  type FindSessionCookies,
  type PresentedCredential,
  readPresentedCredentials,
  sessionCookieName,
} from "./presented.ts";
import { type Principal, toPrincipalLabel } from "./principal.ts";

/** Judge a credential of one kind each; all throw DomainError when it is bad. */
export interface Authenticators {
  /** A client secret, or an opaque token under its own or its service user's id. */
  basic?(id: string, secret: string): Promise<Principal>;
  accessToken?(token: string): Promise<Principal>;
  opaqueToken?(token: string): Promise<Principal>;
  session?(cookie: string): Promise<Principal>;
  /** Of a request's session cookies those that count; absent, all do. */
  readonly findSessionCookies?: FindSessionCookies;
}

/** What a method asks for; see `vestibule.v1.CredentialPolicy`. */
export type CredentialPolicy = "required" | "open" | "grant";

/** Where the principal and what is known of its credential are noted for log and audit. */
export interface AuthenticationNote {
  principal?: string;
  credentialKind?: string;
}

/** Turns requests into principals. */
export interface PrincipalChain {
  /** Every credential of a request that counts, not yet judged. @throws DomainError UNAVAILABLE */
  findPresented(header: Headers): Promise<PresentedCredential[]>;
  /** The one principal of all that is presented, or DomainError (NOT_AUTHENTICATED, …). */
  judge(presented: readonly PresentedCredential[], note: AuthenticationNote): Promise<Principal>;
  /**
   * - `required`: a principal, or DomainError (NOT_AUTHENTICATED, …).
   * - `open`: the principal if the credentials are good, else undefined.
   * - `grant`: always undefined; the method judges by its own rules.
   */
  authenticate(
    header: Headers,
    policy: CredentialPolicy,
    note: AuthenticationNote,
  ): Promise<Principal | undefined>;
}

/** Refusals that an open method overlooks; an outage is not one of them. */
const overlooked = new Set(["unauthenticated", "permission_denied", "not_found", "failed_precondition"]);

/** @see {@link PrincipalChain} */
export function createPrincipalChain(authenticators: Authenticators): PrincipalChain {
  const { findSessionCookies = (header: Headers) => findCookies(header, sessionCookieName) } = authenticators;

  async function judgeOne(credential: PresentedCredential): Promise<Principal> {
    switch (credential.kind) {
      case "basic":
        if (authenticators.basic === undefined) break;
        return await authenticators.basic(credential.id, credential.secret);
      case "access_token":
        if (authenticators.accessToken === undefined) break;
        return await authenticators.accessToken(credential.token);
      case "opaque_token":
        if (authenticators.opaqueToken === undefined) break;
        return await authenticators.opaqueToken(credential.token);
      case "session":
        if (authenticators.session === undefined) break;
        return await authenticators.session(credential.cookie);
      case "malformed":
        throw new DomainError("NOT_AUTHENTICATED", { detail: credential.detail });
    }
    throw new DomainError("NOT_AUTHENTICATED", { detail: `no ${credential.kind} is accepted` });
  }

  async function findPresented(header: Headers): Promise<PresentedCredential[]> {
    return readPresentedCredentials(header, await findSessionCookies(header));
  }

  async function judge(
    presented: readonly PresentedCredential[],
    note: AuthenticationNote,
  ): Promise<Principal> {
    const [first, ...others] = presented;
    if (first === undefined) throw new DomainError("NOT_AUTHENTICATED", { detail: "no credential" });
    note.credentialKind = first.kind;
    const principal = await judgeOne(first);
    note.credentialKind = principal.credentialKind;
    for (const other of others) {
      const further = await judgeOne(other);
      if (further.type !== principal.type || further.id !== principal.id) {
        throw new DomainError("NOT_AUTHENTICATED", { detail: "two credentials name different principals" });
      }
    }
    note.principal = toPrincipalLabel(principal);
    return principal;
  }

  return {
    findPresented,
    judge,
    async authenticate(header, policy, note) {
      if (policy === "grant") return undefined;
      const presented = await findPresented(header);
      if (policy === "required") return await judge(presented, note);
      try {
        return await judge(presented, note);
      } catch (error) {
        if (error instanceof DomainError && overlooked.has(error.kind)) return undefined;
        throw error;
      }
    },
  };
}
