/** Many organizations and members at once, as they are carried between systems. */
import type { Reader, Tx } from "../db/database.ts";
import { insertRows } from "../db/insert-rows.ts";
import { addSearches } from "../db/search-prefixes.ts";
import type { Role } from "../principals/principal.ts";
import type { Organization } from "./organization.ts";
import { toOrganization, toRow, toSearchable } from "./store.ts";

/** Organizations by ids or names. */
export async function findManyOrganizations(
  reader: Reader,
  column: "id" | "name",
  values: readonly string[],
): Promise<ReadonlyMap<string, Organization>> {
  if (values.length === 0) return new Map();
  const rows = await reader.selectFrom("organizations").selectAll().where(column, "in", values).execute();
  return new Map(rows.map((row) => [row[column], toOrganization(row)]));
}

/** Whose names are, or were, by names: ids of organizations that may be gone. */
export async function findNameOwners(
  reader: Reader,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (names.length === 0) return new Map();
  const rows = await reader.selectFrom("organization_names").selectAll().where("name", "in", names).execute();
  return new Map(rows.map((row) => [row.name, row.org_id]));
}

const organizationColumns = {
  id: "text",
  name: "text",
  title: "text",
  metadata: "text",
  avatar: "text",
  state: "text",
  created_at: "integer",
  updated_at: "integer",
} as const;

/**
 * Stores new organizations, whose names are their own for good.
 *
 * @param ownNames names among theirs that are their own already
 * @throws a unique violation when a name is taken, or was another's
 */
export async function insertOrganizations(
  tx: Tx,
  organizations: readonly Organization[],
  ownNames: ReadonlySet<string>,
): Promise<void> {
  const claimed = organizations
    .filter(({ name }) => !ownNames.has(name))
    .map(({ id, name, updatedAt }) => ({ name, org_id: id, at: updatedAt.getTime() }));
  // The names first and in one order, as who renames one does: nobody waits for each other in a circle.
  claimed.sort((one, other) => (one.name < other.name ? -1 : 1));
  await insertRows(tx, "organization_names", { name: "text", org_id: "text", at: "integer" }, claimed);
  await insertRows(tx, "organizations", organizationColumns, organizations.map(toRow));
  await addSearches(tx, "organization", organizations.map(toSearchable));
}

/** Organizations after an id, in the order of ids. */
export async function listOrganizationsAfter(
  reader: Reader,
  afterId: string,
  limit: number,
): Promise<Organization[]> {
  const found = reader.selectFrom("organizations").selectAll().where("id", ">", afterId);
  return (await found.orderBy("id").limit(limit).execute()).map(toOrganization);
}

/** A person's role in an organization, and since when. */
export interface HeldRole {
  readonly orgId: string;
  readonly userId: string;
  readonly role: Role;
  readonly createdAt: Date;
}

/** Which of some people are what in some organizations. */
export async function findManyMembers(
  reader: Reader,
  orgIds: readonly string[],
  userIds: readonly string[],
): Promise<readonly HeldRole[]> {
  if (orgIds.length === 0 || userIds.length === 0) return [];
  const rows = await reader
    .selectFrom("memberships")
    .selectAll()
    .where("user_id", "in", userIds)
    .where("org_id", "in", orgIds)
    .execute();
  return rows.map((row) => ({
    orgId: row.org_id,
    userId: row.user_id,
    role: row.role,
    createdAt: new Date(row.created_at),
  }));
}

/** Stores new memberships. @throws a unique violation when there is one already */
export async function insertMembers(tx: Tx, members: readonly HeldRole[]): Promise<void> {
  await insertRows(
    tx,
    "memberships",
    { org_id: "text", user_id: "text", role: "text", created_at: "integer" },
    members.map(({ orgId, userId, role, createdAt }) => ({
      org_id: orgId,
      user_id: userId,
      role,
      created_at: createdAt.getTime(),
    })),
  );
}

/** A membership, with what people call its organization and its user. */
export interface NamedMember extends HeldRole {
  readonly orgName: string;
  readonly email: string;
}

/** Memberships after another, in the order of organizations and users. */
export async function listMembersAfter(
  reader: Reader,
  after: Pick<HeldRole, "orgId" | "userId">,
  limit: number,
): Promise<NamedMember[]> {
  const rows = await reader
    .selectFrom("memberships as member")
    .innerJoin("organizations", "organizations.id", "member.org_id")
    .innerJoin("users", "users.id", "member.user_id")
    .selectAll("member")
    .select(["organizations.name as org_name", "users.email"])
    .where(({ eb, refTuple, tuple }) =>
      eb(refTuple("member.org_id", "member.user_id"), ">", tuple(after.orgId, after.userId)),
    )
    .orderBy("member.org_id")
    .orderBy("member.user_id")
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    orgId: row.org_id,
    userId: row.user_id,
    role: row.role,
    createdAt: new Date(row.created_at),
    orgName: row.org_name,
    email: row.email,
  }));
}
