/**
 * The one judge of credentials: whose is this?
 *
 * Each kind is judged by the room of its noun, which keeps or issues it;
 * `app.ts` puts these side by side, and a kind without one does not compile.
 * Whoever comes by a credential, on whatever way, asks here:
 *
 * - the {@link GuardedJudge} for what a stranger presents, on a request or in
 *   another's name: failures are counted by its address, and recorded;
 * - the {@link CredentialJudge} for what somebody who was let in asks about.
 *
 * The {@link PrincipalChain} says by it who is calling, by all that a request
 * presents: a credential that is present but bad fails the request, and never
 * falls through to another. This room knows no kind of credential itself.
 */
import { andThen, type Soon } from "../lib/at-once.ts";
import { DomainError, type ErrorKind } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { AccessTokenClaims } from "./claims.ts";
import {
  type CredentialKind,
  credentialKindNames,
  type FindSessionCookies,
  type HeaderCredential,
  type PresentedCredential,
  readPresentedCredentials,
} from "./presented.ts";
import type { Principal } from "./principal.ts";

/** What a good credential proves, until {@link findExpiry}. */
export interface Proof {
  readonly principal: Principal;
  /** What an access token says; absent for every other kind. */
  readonly claims?: AccessTokenClaims;
}

/** Judges credentials of one kind, each as of now. @throws DomainError when it is bad, or that cannot be told */
export type KindJudge<K extends CredentialKind> = (presented: PresentedCredential<K>) => Soon<Proof>;

/** A judge for every kind that somebody can hold: what a room has of these it offers, and all together are complete. */
export type KindJudges = {
  readonly [K in Exclude<CredentialKind, "malformed">]: KindJudge<K>;
};

/** Judges credentials of every kind. Counts and records nothing. */
export interface CredentialJudge {
  /**
   * An assertion is used up by this.
   *
   * @throws DomainError for a bad one NOT_AUTHENTICATED, USER_NOT_FOUND,
   *   PRINCIPAL_DISABLED or ORGANIZATION_DISABLED ({@link isRefusal}), its
   *   detail says why; UNAVAILABLE when it cannot be judged
   */
  judge(presented: PresentedCredential): Soon<Proof>;
}

/** The same judge behind the guard of `limits/`, which bounds failures and puts each into the audit trail. */
export interface GuardedJudge {
  /**
   * Notes in the request's outcome whose the credential was.
   *
   * @param request who presents it: failures count by its `clientAddress`, and
   *   are recorded as of it
   * @throws DomainError TOO_MANY_FAILURES, and what {@link CredentialJudge.judge} throws
   */
  judge(presented: PresentedCredential, request: RequestInfo): Soon<Proof>;
  /**
   * Refuses what needs no judging, as if it had been judged.
   *
   * @param presented what it is refused for; absent, what was judged last
   */
  refuse(request: RequestInfo, detail: string, presented?: PresentedCredential): never;
}

/** Puts the judges of the rooms together; of what is malformed nobody has to be asked. */
export function createCredentialJudge(judges: KindJudges): CredentialJudge {
  const byKind: { readonly [K in CredentialKind]: KindJudge<K> } = {
    ...judges,
    malformed: async ({ detail }) => {
      throw new DomainError("NOT_AUTHENTICATED", { detail });
    },
  };
  return {
    judge: <K extends CredentialKind>(presented: PresentedCredential<K>) => byKind[presented.kind](presented),
  };
}

/**
 * Judges all that a request presents, in turn: a bad one fails the request.
 *
 * @returns the principal they all prove; undefined when they name different ones, or there are none
 */
export function judgeAll(
  judge: CredentialJudge,
  presented: readonly PresentedCredential[],
): Soon<Principal | undefined>;
export function judgeAll(
  judge: GuardedJudge,
  presented: readonly PresentedCredential[],
  request: RequestInfo,
): Soon<Principal | undefined>;
export function judgeAll(
  judge: AnyJudge,
  presented: readonly PresentedCredential[],
  request?: RequestInfo,
): Soon<Principal | undefined> {
  const [first] = presented;
  if (first === undefined || presented.length > 1) return judgeEach(judge, presented, request);
  return andThen(judge.judge(first, request), ({ principal }) => principal);
}

/** A judge of either kind. */
interface AnyJudge {
  judge(presented: PresentedCredential, request?: RequestInfo): Soon<Proof>;
}

async function judgeEach(
  judge: AnyJudge,
  presented: readonly PresentedCredential[],
  request?: RequestInfo,
): Promise<Principal | undefined> {
  let common: Principal | undefined;
  for (const credential of presented) {
    const { principal } = await judge.judge(credential, request);
    if (common !== undefined && (common.type !== principal.type || common.id !== principal.id)) {
      return undefined;
    }
    common ??= principal;
  }
  return common;
}

/** Refuses what {@link judgeAll} found to be of different principals. */
export function refuseMixed(
  guarded: GuardedJudge,
  presented: readonly PresentedCredential[],
  request: RequestInfo,
): never {
  return guarded.refuse(request, "two credentials name different principals", presented[0]);
}

const refusals: ReadonlySet<ErrorKind> = new Set([
  "unauthenticated",
  "permission_denied",
  "not_found",
  "failed_precondition",
]);

/** Whether an error says something about a credential; an outage and a defect do not. */
export function isRefusal(error: unknown): error is DomainError {
  return error instanceof DomainError && refusals.has(error.kind);
}

/** When what was proven ends: an access token, else the credential or session itself. undefined: never by itself. */
export function findExpiry({ principal, claims }: Proof): Date | undefined {
  if (claims !== undefined) return new Date(claims.exp * 1000);
  return principal.type === "user" ? principal.sessionExpiresAt : principal.credentialExpiresAt;
}

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
   * Answers at once where nothing is to be judged, or all is in memory.
   *
   * @param request in whose outcome the kind of the credential is noted, also of one that is then refused
   */
  authenticate(header: Headers, policy: CredentialPolicy, request: RequestInfo): Soon<Principal | undefined>;
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

  function judgePresented(
    presented: readonly HeaderCredential[],
    policy: CredentialPolicy,
    request: RequestInfo,
  ): Soon<Principal | undefined> {
    if (policy === "open") return findGood(presented, request);
    const judging = judgeAll(guarded, presented, request);
    return andThen(judging, (principal) => principal ?? refuseMixed(guarded, presented, request));
  }

  return {
    authenticate(header, policy, request) {
      if (policy === "grant") return undefined;
      const judge = (cookies: readonly string[]) => {
        const presented = readPresentedCredentials(header, cookies);
        if (presented.length > 0) return judgePresented(presented, policy, request);
        if (policy === "open") return undefined;
        return Promise.reject(new DomainError("NOT_AUTHENTICATED", { detail: "no credential" }));
      };
      const cookies = findSessionCookies(header);
      return cookies instanceof Promise ? cookies.then(judge) : judge(cookies);
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
