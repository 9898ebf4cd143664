/** This service's own principals, for providers of type `VESTIBULE`: who a credential of ours is. */
import { type CredentialJudge, findExpiry, type Proof } from "../../principals/judge.ts";
import type { PatPrincipal, Principal } from "../../principals/principal.ts";
import type { OwnPrincipal, OwnPrincipals } from "./context.ts";

/** A role in an organization that is known by its id alone. */
type UnnamedMembership = Omit<OwnPrincipal["memberships"][number], "orgName">;

/** A principal whose organizations have no names yet. */
type Unnamed = Omit<OwnPrincipal, "memberships"> & { readonly memberships: readonly UnnamedMembership[] };

/** Who judges credentials of this server, and who knows their holders. */
export interface OwnPrincipalsOptions {
  /** `iss` of this service's access tokens. */
  readonly issuer: string;
  readonly judge: CredentialJudge;
  /** Judges a session of a person by its id, as of now. @throws DomainError as `judge` does */
  readonly judgeSession: (id: string) => Promise<Principal>;
  /** In enabled organizations. */
  readonly findMemberships: (userId: string) => Promise<readonly UnnamedMembership[]>;
  /** Names of organizations by their ids, as of now. */
  readonly findOrganizationNames: (ids: readonly string[]) => Promise<ReadonlyMap<string, string>>;
}

/** @see the head of this file */
export function createOwnPrincipals(options: OwnPrincipalsOptions): OwnPrincipals {
  const { issuer, judge, judgeSession, findMemberships, findOrganizationNames } = options;

  async function toOwnPrincipal(proof: Proof): Promise<OwnPrincipal> {
    const { memberships, ...found } = await find(proof);
    const names = await findOrganizationNames(memberships.map(({ orgId }) => orgId));
    const named = memberships.map((each) => ({ ...each, orgName: names.get(each.orgId) ?? each.orgId }));
    return { ...found, memberships: named };
  }

  async function find(proof: Proof): Promise<Unnamed> {
    const { principal } = proof;
    const expiresAt = findExpiry(proof);
    const common = { id: principal.id, ...(expiresAt && { expiresAt }) };
    if (principal.type === "pat") return { ...common, ...toPersonOf(principal) };
    if (principal.type === "serviceuser") {
      const { orgId, role } = principal;
      const memberships = [{ orgId, role }];
      const dependsOn = listIds(principal, [principal.credentialId, orgId]);
      return { ...common, type: "serviceuser", emailVerified: false, memberships, dependsOn };
    }
    const { email, emailProven: emailVerified } = principal;
    const memberships = await findMemberships(principal.id);
    const orgIds = memberships.map(({ orgId }) => orgId);
    const dependsOn = listIds(principal, [principal.sessionId, ...orgIds]);
    return { ...common, type: "user", email, emailVerified, memberships, dependsOn };
  }

  return {
    issuer,
    identify: async (credential) => await toOwnPrincipal(await judge.judge(credential)),
    identifySession: async (id) => await toOwnPrincipal({ principal: await judgeSession(id) }),
  };
}

/** The person behind a personal access token, in no other organization than the token's. */
function toPersonOf(pat: PatPrincipal): Omit<Unnamed, "expiresAt"> {
  const { userId, email, orgId, role } = pat;
  return {
    type: "user",
    id: userId,
    email,
    emailVerified: true,
    memberships: role === undefined ? [] : [{ orgId, role }],
    dependsOn: listIds(pat, [userId, orgId]),
  };
}

function listIds({ id, tokenId }: Principal, others: readonly string[]): readonly string[] {
  return tokenId === undefined ? [id, ...others] : [id, tokenId, ...others];
}
