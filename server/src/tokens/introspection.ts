/** Token introspection (RFC 7662), at `/oauth2/introspect`. */
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { OrganizationClaims } from "../principals/claims.ts";
import { type CredentialJudge, type GuardedJudge, isRefusal, type Proof } from "../principals/judge.ts";
import { readBearerToken } from "../principals/presented.ts";
import type { Principal, ServiceUserPrincipal } from "../principals/principal.ts";
import { type OauthEndpoint, proveClient, readClientAuthentication } from "./oauth-endpoint.ts";
import type { DescribeOrganizations } from "./organization-claims.ts";

/** What is said of every token that is no good, of a foreign one and of garbage (RFC 7662 §2.2). */
const inactive = '{"active":false}';

/**
 * Judges a token of either kind.
 *
 * @returns undefined for one that would be refused on a request.
 * @throws DomainError UNAVAILABLE when that cannot be told now
 */
export async function findGoodToken(judge: CredentialJudge, token: string): Promise<Proof | undefined> {
  try {
    return await judge.judge(readBearerToken(token));
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** None of the claims that are answered as of now. */
const notSaid = {
  org_ids: undefined,
  org_ids_truncated: undefined,
  organizations: undefined,
  org_id: undefined,
  roles: undefined,
} satisfies Record<keyof OrganizationClaims, undefined>;

/** Whether a token says that its principal belongs to no organization. */
function namesNone({ org_ids, org_ids_truncated, organizations }: OrganizationClaims): boolean {
  if (org_ids_truncated) return false;
  return org_ids === "" || (organizations !== undefined && Object.keys(organizations).length === 0);
}

/** Parts that introspection (RFC 7662) stands on. */
export interface IntrospectionOptions {
  /** For the token. */
  readonly judge: CredentialJudge;
  /** For the client. */
  readonly guarded: GuardedJudge;
  readonly issuer: string;
  /** Whether a user is a member of an organization. */
  readonly isMember: (userId: string, orgId: string) => Promise<boolean>;
  readonly organizations: DescribeOrganizations;
}

/**
 * The introspection endpoint (RFC 7662): what a service user may learn of a
 * token, which is judged exactly as if it had come with a request.
 *
 * Only whoever shares an enabled organization with the token's principal, and
 * superusers, learn that it is good; to everyone else it looks like garbage.
 * What it says of organizations and roles is as of now, also where the token
 * itself says what was true when it was issued.
 */
export function createIntrospectionEndpoint(options: IntrospectionOptions): OauthEndpoint {
  const { judge, guarded, issuer, isMember, organizations } = options;

  async function maySee(caller: ServiceUserPrincipal, owner: Principal): Promise<boolean> {
    if (caller.superuser) return true;
    // The caller's own is enabled, or it would not have been let in.
    if (owner.type === "user") return await isMember(owner.id, caller.orgId);
    return owner.orgId === caller.orgId;
  }

  /** A token for one organization stays for that one, and one that names none was perhaps asked for one. */
  async function describeNow({ principal, claims }: Proof): Promise<object> {
    if (claims !== undefined && namesNone(claims)) return {};
    const now =
      claims?.org_id === undefined
        ? (await organizations.ofAll(principal))(Number.POSITIVE_INFINITY)
        : await organizations.ofOne(principal, claims.org_id);
    // What is not so any more is left out of the JSON.
    return { ...notSaid, ...now };
  }

  function toOpaqueAnswer(principal: Principal): object {
    if (principal.type === "user") return { sub: principal.id };
    const { id, credentialId, credentialExpiresAt } = principal;
    return {
      iss: issuer,
      sub: id,
      client_id: credentialId,
      ...(credentialExpiresAt && { exp: Math.floor(credentialExpiresAt.getTime() / 1000) }),
      sub_type: principal.type === "pat" ? "app/pat" : "app/serviceuser",
      auth_via: principal.type === "pat" ? "pat" : "opaque_token",
      ...(principal.type === "pat" && { user_id: principal.userId }),
    };
  }

  return async ({ form, authorization, info }) => {
    const caller = await proveClient(guarded, info, readClientAuthentication(form, authorization));
    if (caller.type !== "serviceuser") {
      throw new DomainError("NOT_AUTHORIZED", { detail: "only service users introspect" });
    }
    const token = form.get("token");
    if (token === undefined) throw invalidRequest("token is missing");
    const good = await findGoodToken(judge, token);
    if (good === undefined || !(await maySee(caller, good.principal))) return inactive;
    const said = good.claims ?? toOpaqueAnswer(good.principal);
    return JSON.stringify({ active: true, token_type: "Bearer", ...said, ...(await describeNow(good)) });
  };
}
