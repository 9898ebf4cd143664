/**
 * Who is calling.
 *
 * Turns the credentials on a request into one principal. A credential that is
 * present but bad fails the request; it never falls through to another.
 */
import { DomainError } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";
import { type CredentialJudge, type GuardedJudge, isRefusal, judgeAll, refuseMixed } from "./judge.ts";
import {
  credentialKindNames,
  type FindSessionCookies,
  type HeaderCredential,
  readPresentedCredentials,
} from "./presented.ts";
import type { Principal } from "./principal.ts";

/** What a method asks for; see `vestibule.v1.CredentialPolicy`. */
export type CredentialPolicy = "required" | "open" | "grant";

/** Turns requests into principals. */
export interface PrincipalChain {
  /**
   * - `required`: a principal, or DomainError (NOT_AUTHENTICATED, TOO_MANY_FAILURES, …).
   * - `open`: the principal if the credentials are good, else undefined. What
   *   is overlooked tells nothing, so it is neither counted nor recorded.
   * - `grant`: always undefined; the method asks the judge by its own rules.
   *
   * @param request in whose outcome the kind of the credential is noted, also of one that is then refused
   */
  authenticate(
    header: Headers,
    policy: CredentialPolicy,
    request: RequestInfo,
  ): Promise<Principal | undefined>;
  /**
   * Proves the caller of a stream anew from what its request carried. Not
   * behind the guard: a stream whose token expires has made one call, not a
   * failed one.
   *
   * @throws DomainError NOT_AUTHENTICATED, …
   */
  authenticateAgain(header: Headers): Promise<Principal>;
}

/** Judges, and the finder of session cookies, that a chain asks. */
export interface ChainOptions {
  readonly judge: CredentialJudge;
  readonly guarded: GuardedJudge;
  /** Of a request's session cookies those that count. */
  readonly findSessionCookies: FindSessionCookies;
}

/** @see {@link PrincipalChain} */
export function createPrincipalChain({ judge, guarded, findSessionCookies }: ChainOptions): PrincipalChain {
  async function findGood(presented: readonly HeaderCredential[], { outcome }: RequestInfo) {
    const [first] = presented;
    if (first !== undefined) outcome.credentialKind = credentialKindNames[first.kind];
    try {
      return await judgeAll(judge, presented);
    } catch (error) {
      if (isRefusal(error)) return undefined;
      throw error;
    }
  }

  return {
    async authenticate(header, policy, request) {
      if (policy === "grant") return undefined;
      const cookies = findSessionCookies(header);
      // A promise costs more than most requests need it for.
      const presented = readPresentedCredentials(
        header,
        cookies instanceof Promise ? await cookies : cookies,
      );
      if (policy === "open") return await findGood(presented, request);
      if (presented.length === 0) throw new DomainError("NOT_AUTHENTICATED", { detail: "no credential" });
      return (await judgeAll(guarded, presented, request)) ?? refuseMixed(guarded, presented, request);
    },
    async authenticateAgain(header) {
      const principal = await judgeAll(
        judge,
        readPresentedCredentials(header, await findSessionCookies(header)),
      );
      if (principal === undefined) throw new DomainError("NOT_AUTHENTICATED");
      return principal;
    },
  };
}
