/** A judge of named credentials. For tests only. */
import { DomainError } from "../lib/errors.ts";
import type { AccessTokenClaims } from "./claims.ts";
import { type CredentialJudge, createCredentialJudge } from "./judge.ts";
import type { AssertionRules, AssertionUse } from "./presented.ts";
import type { Principal } from "./principal.ts";

/** Whose a credential of each kind is; of a kind that is left out nobody's. */
export interface TestJudges {
  basic?(id: string, secret: string): Promise<Principal>;
  accessToken?(token: string): Promise<Principal>;
  opaqueToken?(token: string): Promise<Principal>;
  personalToken?(token: string): Promise<Principal>;
  session?(cookie: string): Promise<Principal>;
  assertion?(assertion: string, use: AssertionUse, rules: AssertionRules): Promise<Principal>;
  /** What access tokens say, but for their `sub`. */
  readonly claims?: AccessTokenClaims;
}

/** Puts such judges together as the server does. */
export function createTestJudge(judges: TestJudges): CredentialJudge {
  const prove = async (judged: Promise<Principal> | undefined) => {
    const principal = await judged;
    if (principal === undefined) throw new DomainError("NOT_AUTHENTICATED", { detail: "nobody's" });
    return { principal };
  };
  const { claims } = judges;
  return createCredentialJudge({
    basic: ({ id, secret }) => prove(judges.basic?.(id, secret)),
    access_token: async ({ token }) => {
      const { principal } = await prove(judges.accessToken?.(token));
      return { principal, ...(claims && { claims: { ...claims, sub: principal.id } }) };
    },
    opaque_token: ({ token }) => prove(judges.opaqueToken?.(token)),
    personal_token: ({ token }) => prove(judges.personalToken?.(token)),
    session: ({ cookie }) => prove(judges.session?.(cookie)),
    assertion: ({ assertion, use, rules }) => prove(judges.assertion?.(assertion, use, rules)),
  });
}
