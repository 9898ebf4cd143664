/**
 * What tokens say of their principal's organizations.
 *
 * All of them by id, and what of them is told more of, in every token of a
 * person; `org_id` and a flat `roles` only in a token that is for one, so that
 * who owns an organization of their own never reads as an owner elsewhere. A
 * service user and a personal access token have one, and all their tokens are
 * for that. The names of claims are those that other issuers and RFC 9068
 * §2.2.3.1 use.
 *
 * A token never grows beyond {@link longestToken}, whatever there is to say.
 */
import type { InvalidatedCache } from "../changes/cache.ts";
import { isUuid } from "../lib/ids.ts";
import type { OrganizationClaims } from "../principals/claims.ts";
import type { Principal, Role, UserPrincipal } from "../principals/principal.ts";

/** Longest token that its organizations may make, in characters: what servers take in a header, with room beside it. */
export const longestToken = 4096;

/** Beyond this many bytes of JSON organizations are told of by their ids alone. */
const mostDescribedBytes = 2560;

/** How many organizations a token names at most. */
const mostNamed = 100;

/** One of a principal's organizations. */
export interface HeldOrganization {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
}

/** Those of a person. */
export interface HeldOrganizations {
  /** The enabled ones, in the order in which they matter: owned first, then the oldest memberships. */
  readonly enabled: readonly HeldOrganization[];
  readonly disabledIds: readonly string[];
  /** Whether these are all: what the rest does would not be noticed. */
  readonly isComplete: boolean;
}

/** Those of a person, as far as they can be written down ahead. */
export interface PreparedOrganizations {
  /** Comma-separated. */
  readonly ids: string;
  /** Whether `ids` has all. */
  readonly hasAllIds: boolean;
  /** Absent where it would be too large. */
  readonly described: NonNullable<OrganizationClaims["organizations"]> | undefined;
  /** Of `described` as JSON. */
  readonly describedBytes: number;
  /** Ids of all organizations that this depends on, disabled ones included. */
  readonly dependsOn: readonly string[];
  readonly isComplete: boolean;
}

/** Which of the claims are wanted at all. */
export interface OrganizationClaimRules {
  readonly addOrgIds: boolean;
  readonly addOrganizations: boolean;
}

/** Where claims about organizations come from. */
export interface OrganizationClaimOptions {
  readonly claims: OrganizationClaimRules;
  readonly findOrganizations: (userId: string) => Promise<HeldOrganizations>;
  /** One of a person's enabled organizations, by id or name. */
  readonly findMembership: (userId: string, org: string) => Promise<HeldOrganization | undefined>;
  readonly findOrganizationName: (orgId: string) => Promise<string | undefined>;
  readonly caches: OrganizationClaimCaches;
}

/** What is kept in memory until the change feed says otherwise. */
export interface OrganizationClaimCaches {
  /** By a person's id. Topics `user` and `organization`, with what each depends on. */
  readonly people: InvalidatedCache<PreparedOrganizations>;
  /** By an organization's id. Topic `organization`. */
  readonly names: InvalidatedCache<{ readonly name: string }>;
}

/** Writes claims that take so many bytes at most, as members of a JSON object that has others before them. */
export type FitClaims = (bytes: number) => OrganizationClaims;

/** Longest name or id of an organization that is looked up, in characters. */
const longestSelector = 200;

/** Says what tokens say of organizations. */
export interface DescribeOrganizations {
  /** Of all of the principal's; of a service user's only one. As of now, but for what the change feed has not yet brought here. */
  ofAll(principal: Principal): Promise<FitClaims>;
  /**
   * Of one alone, by id or name. One that the principal does not belong to,
   * that is disabled or does not exist leaves nothing to say of any: whoever
   * asks for a token for one organization is not given one for the others.
   */
  ofOne(principal: Principal, selector: string): Promise<OrganizationClaims>;
}

/** Writes down what there is to say of a person's organizations. */
export function prepareOrganizations({
  enabled,
  disabledIds,
  isComplete,
}: HeldOrganizations): PreparedOrganizations {
  const named = enabled.slice(0, mostNamed);
  const hasAllIds = enabled.length <= mostNamed;
  const described = hasAllIds ? describe(enabled) : undefined;
  const describedBytes = described === undefined ? 0 : Buffer.byteLength(JSON.stringify(described));
  return {
    ids: named.map(({ id }) => id).join(","),
    hasAllIds,
    described: describedBytes > mostDescribedBytes ? undefined : described,
    describedBytes,
    dependsOn: [...enabled.map(({ id }) => id), ...disabledIds],
    isComplete,
  };
}

/** The organization of a credential that is for one; by a personal access token perhaps without a role. */
type OneOrganization = Pick<HeldOrganization, "id" | "name"> & { readonly role: Role | undefined };

function describe(
  organizations: readonly OneOrganization[],
): NonNullable<OrganizationClaims["organizations"]> {
  return Object.fromEntries(
    organizations.map((held) => [held.id, { name: held.name, roles: toRoles(held) }]),
  );
}

function toRoles({ role }: OneOrganization): Role[] {
  return role === undefined ? [] : [role];
}

/** What a member of a JSON object takes besides its value, a comma in front included. */
const idsBytes = `,"org_ids":""`.length;
const describedOverhead = `,"organizations":`.length;
const truncatedBytes = `,"org_ids_truncated":true`.length;

/** Writes as much of it as there is room for. The fewer are described the sooner, and ids last of all. */
export function fitOrganizations(
  { ids, hasAllIds, described, describedBytes }: PreparedOrganizations,
  { addOrgIds, addOrganizations }: OrganizationClaimRules,
  bytes: number,
): OrganizationClaims {
  const allIdsBytes = addOrgIds ? idsBytes + ids.length : 0;
  const isDescribed =
    addOrganizations && described !== undefined && allIdsBytes + describedOverhead + describedBytes <= bytes;
  if (!addOrgIds) return isDescribed ? { organizations: described } : {};
  if (isDescribed) return { org_ids: ids, organizations: described };
  if (ids === "" || (hasAllIds && allIdsBytes <= bytes)) return { org_ids: ids };
  return { org_ids: cutIds(ids, bytes - idsBytes - truncatedBytes), org_ids_truncated: true };
}

/** As many whole ids as there is room for. */
function cutIds(ids: string, bytes: number): string {
  if (ids.length <= bytes) return ids;
  // A comma at the very end of the room is not part of what is kept.
  return bytes < 0 ? "" : ids.slice(0, Math.max(0, ids.lastIndexOf(",", bytes)));
}

/** @see {@link DescribeOrganizations} */
export function createDescribeOrganizations(options: OrganizationClaimOptions): DescribeOrganizations {
  const { claims, findOrganizations, findMembership, findOrganizationName, caches } = options;
  const { addOrgIds, addOrganizations } = claims;

  function toOne(held: OneOrganization | undefined): OrganizationClaims {
    return {
      ...(addOrgIds && { org_ids: held?.id ?? "" }),
      ...(addOrganizations && { organizations: describe(held === undefined ? [] : [held]) }),
      ...(held !== undefined && { org_id: held.id, roles: toRoles(held) }),
    };
  }

  async function loadName(orgId: string): Promise<{ name: string } | undefined> {
    const name = await findOrganizationName(orgId);
    return name === undefined ? undefined : { name };
  }

  async function findOwn({
    orgId,
    role,
  }: Exclude<Principal, UserPrincipal>): Promise<OneOrganization | undefined> {
    const known = caches.names.peek(orgId) ?? (await caches.names.get(orgId, loadName));
    return known && { id: orgId, name: known.name, role };
  }

  async function prepare(userId: string): Promise<PreparedOrganizations> {
    return prepareOrganizations(await findOrganizations(userId));
  }

  return {
    async ofAll(principal) {
      if (principal.type !== "user") {
        const own = toOne(await findOwn(principal));
        return () => own;
      }
      const { id } = principal;
      const prepared =
        caches.people.peek(id) ?? (await caches.people.get(id, prepare)) ?? (await prepare(id));
      return (bytes) => fitOrganizations(prepared, claims, bytes);
    },
    async ofOne(principal, selector) {
      if (selector.length > longestSelector) return toOne(undefined);
      if (principal.type === "user") return toOne(await findMembership(principal.id, selector));
      const own = await findOwn(principal);
      const wanted = isUuid(selector) ? own?.id === selector.toLowerCase() : own?.name === selector;
      return toOne(wanted ? own : undefined);
    },
  };
}
