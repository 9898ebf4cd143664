/** This service's own principals, for providers of type `VESTIBULE`: who a credential of ours is. */
import { DomainError } from "../../lib/errors.ts";
import type { PresentedCredential } from "../../principals/presented.ts";
import type { Principal, Role } from "../../principals/principal.ts";
import type { OwnPrincipal, OwnPrincipals } from "./context.ts";

export interface OwnPrincipalsOptions {
  /** `iss` of this service's access tokens. */
  readonly issuer: string;
  /** Judge a credential each; all throw DomainError when it is bad. */
  readonly judges: {
    basic(id: string, secret: string): Promise<Principal>;
    opaqueToken(token: string): Promise<Principal>;
    /** With the token's own end, in seconds since the epoch. */
    accessToken(
      token: string,
    ): Promise<{ readonly principal: Principal; readonly claims: { readonly exp: number } }>;
    session(cookie: string): Promise<Principal>;
  };
  /** In enabled organizations. */
  readonly findMemberships: (userId: string) => Promise<OwnPrincipal["memberships"]>;
}

/** @see the head of this file */
export function createOwnPrincipals(options: OwnPrincipalsOptions): OwnPrincipals {
  const { issuer, judges, findMemberships } = options;

  async function judge(credential: PresentedCredential): Promise<{ principal: Principal; endsAt?: Date }> {
    switch (credential.kind) {
      case "basic":
        return { principal: await judges.basic(credential.id, credential.secret) };
      case "opaque_token":
        return { principal: await judges.opaqueToken(credential.token) };
      case "session":
        return { principal: await judges.session(credential.cookie) };
      case "access_token": {
        const { principal, claims } = await judges.accessToken(credential.token);
        return { principal, endsAt: new Date(claims.exp * 1000) };
      }
      case "malformed":
        throw new DomainError("NOT_AUTHENTICATED", { detail: credential.detail });
    }
  }

  return {
    issuer,
    async identify(credential) {
      const { principal, endsAt } = await judge(credential);
      const expiresAt = endsAt ?? endOf(principal);
      const common = { id: principal.id, ...(expiresAt && { expiresAt }) };
      if (principal.type === "serviceuser") {
        const { orgId, role } = principal;
        const memberships: { orgId: string; role: Role }[] = [{ orgId, role }];
        return { ...common, type: "serviceuser", emailVerified: false, memberships };
      }
      const { email, emailProven: emailVerified } = principal;
      const memberships = await findMemberships(principal.id);
      return { ...common, type: "user", email, emailVerified, memberships };
    },
  };
}

function endOf(principal: Principal): Date | undefined {
  return principal.type === "user" ? principal.sessionExpiresAt : principal.credentialExpiresAt;
}
