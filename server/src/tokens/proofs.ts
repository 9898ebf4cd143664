/**
 * The one place where grants and OAuth routes have a credential judged: behind
 * the guard, which bounds failures and puts each refusal into the audit trail.
 */
import type { RequestInfo } from "../lib/request.ts";
import type { CredentialGuard } from "../limits/credential-guard.ts";
import type { Principal } from "../principals/principal.ts";
import type { AssertionAuthenticator, AssertionRules, AssertionUse } from "./assertions.ts";
import type { AccessTokenClaims } from "./claims.ts";

/** A principal, and what its access token says. */
export interface ProvenAccessToken {
  readonly principal: Principal;
  readonly claims: AccessTokenClaims;
}

/** Judge a credential of one kind each; all throw DomainError when it is bad. */
export interface CredentialJudges {
  /** A client secret, or an opaque token under its own or its service user's id. */
  basic(id: string, secret: string): Promise<Principal>;
  opaqueToken(token: string): Promise<Principal>;
  accessToken(token: string): Promise<ProvenAccessToken>;
  /** The session in a cookie's value; absent while nobody can sign in. */
  session?(cookie: string): Promise<Principal>;
  readonly assertions: AssertionAuthenticator;
}

/** The same judges, behind the guard. */
export interface Proofs {
  basic(request: RequestInfo, id: string, secret: string): Promise<Principal>;
  opaqueToken(request: RequestInfo, token: string): Promise<Principal>;
  accessToken(request: RequestInfo, token: string): Promise<Principal>;
  session(request: RequestInfo, cookie: string): Promise<Principal>;
  assertion(
    request: RequestInfo,
    assertion: string,
    use: AssertionUse,
    rules: AssertionRules,
  ): Promise<Principal>;
  /** Refuses what was presented and needs no judging. */
  refuse(request: RequestInfo, detail: string): never;
}

/** @see {@link Proofs} */
export function createProofs(judges: CredentialJudges, guard: CredentialGuard): Proofs {
  const refuse = (request: RequestInfo, detail: string): never =>
    guard.refuse(request, { kind: request.outcome.credentialKind ?? "malformed" }, detail);
  return {
    refuse,
    basic: (request, id, secret) =>
      guard.judge(request, { kind: "client_secret", clientId: id }, () => judges.basic(id, secret)),
    opaqueToken: (request, token) =>
      guard.judge(request, { kind: "opaque_token" }, () => judges.opaqueToken(token)),
    accessToken: (request, token) =>
      guard.judge(request, { kind: "access_token" }, async () => (await judges.accessToken(token)).principal),
    session: async (request, cookie) => {
      if (judges.session === undefined) return refuse(request, "no session is accepted");
      const { session } = judges;
      return await guard.judge(request, { kind: "session" }, () => session(cookie));
    },
    assertion: (request, assertion, use, rules) =>
      guard.judge(request, { kind: "key_pair" }, () => judges.assertions.authenticate(assertion, use, rules)),
  };
}
