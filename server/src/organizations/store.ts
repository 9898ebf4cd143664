import { releaseAvatar } from "../avatars/store.ts";
import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { jsonColumn, jsonObject } from "../db/json-column.ts";
import type { OrganizationRow } from "../db/schema.ts";
import {
  filterRows,
  fromPrefix,
  type Searchable,
  searchByPrefix,
  updateSearch,
} from "../db/search-prefixes.ts";
import { isUuid } from "../lib/ids.ts";
import type { IdRange } from "../lib/page-token.ts";
import type { Role } from "../principals/principal.ts";
import { defaultOrganizationName, type Organization } from "./organization.ts";

const metadataColumn = jsonColumn("organizations.metadata", jsonObject);

/** An organization as its row says. */
export function toOrganization(row: Omit<OrganizationRow, "created_by">): Organization {
  return {
    id: row.id,
    name: row.name,
    title: row.title,
    metadata: metadataColumn.decode(row.metadata),
    avatar: row.avatar,
    state: row.state,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** What an organization is found by. */
function textsOf({ name, title }: Organization): readonly string[] {
  return [name, title];
}

/** An organization as it is found by its texts. */
export function toSearchable(organization: Organization): Searchable {
  return { id: organization.id, state: organization.state, texts: textsOf(organization) };
}

/** An organization's row, without who made it. */
export function toRow(organization: Organization): Omit<OrganizationRow, "created_by"> {
  return {
    id: organization.id,
    name: organization.name,
    title: organization.title,
    metadata: metadataColumn.encode(organization.metadata),
    avatar: organization.avatar,
    state: organization.state,
    created_at: organization.createdAt.getTime(),
    updated_at: organization.updatedAt.getTime(),
  };
}

/** Finds an organization by id or, for anything that is not a UUID, by name. */
export async function findOrganization(reader: Reader, idOrName: string): Promise<Organization | undefined> {
  const column = isUuid(idOrName) ? "id" : "name";
  const value = column === "id" ? idOrName.toLowerCase() : idOrName;
  const row = await reader
    .selectFrom("organizations")
    .selectAll()
    .where(column, "=", value)
    .executeTakeFirst();
  return row && toOrganization(row);
}

/** Names of organizations by their ids, in the order of the names; those that are gone are left out. */
export async function findOrganizationNames(
  reader: Reader,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await reader
    .selectFrom("organizations")
    .select(["id", "name"])
    .where("id", "in", ids)
    .orderBy("name")
    .execute();
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/** Which organizations are listed. */
interface FindOrganizations extends IdRange {
  readonly state?: Organization["state"] | undefined;
  /** Beginning of a name or title, in any case; empty for all. */
  readonly query: string;
}

/** All organizations after another in the list, newest first. */
export async function findOrganizations(
  reader: Reader,
  filter: FindOrganizations,
): Promise<readonly Organization[]> {
  const { state, query, afterId, limit } = filter;
  if (query !== "") {
    const find = (prefix: string, range: IdRange) => findByPrefix(reader, state, prefix, range);
    return await searchByPrefix(filter, filter, find, textsOf);
  }
  let found = reader.selectFrom("organizations").selectAll();
  if (afterId !== "") found = found.where("id", "<", afterId);
  if (state !== undefined) found = found.where("state", "=", state);
  return (await found.orderBy("id", "desc").limit(limit).execute()).map(toOrganization);
}

async function findByPrefix(
  reader: Reader,
  state: Organization["state"] | undefined,
  prefix: string,
  range: IdRange,
): Promise<Organization[]> {
  const rows = await fromPrefix(reader, { kind: "organization", state, prefix }, range)
    .innerJoin("organizations", "organizations.id", "found.id")
    .selectAll("organizations")
    .execute();
  return rows.map(toOrganization);
}

/** Those that a user is a member of, after another in the list, oldest first. */
export async function findOrganizationsOf(
  reader: Reader,
  userId: string,
  filter: FindOrganizations,
): Promise<readonly Organization[]> {
  const { state, query } = filter;
  async function find({ afterId, limit }: IdRange): Promise<Organization[]> {
    const own = reader
      .selectFrom("organizations")
      .selectAll()
      .where("id", ">", afterId)
      .where("id", "in", (members) =>
        members.selectFrom("memberships").select("org_id").where("user_id", "=", userId),
      );
    const ofState = state === undefined ? own : own.where("state", "=", state);
    return (await ofState.orderBy("id").limit(limit).execute()).map(toOrganization);
  }
  return query === "" ? await find(filter) : await filterRows(filter, filter, find, textsOf);
}

/**
 * Stores a new organization, whose name is its own for good.
 *
 * @param createdBy id of the person who makes it; empty where that is a superuser
 * @throws a unique violation when the name is taken, or was another's.
 */
export async function insertOrganization(tx: Tx, organization: Organization, createdBy = ""): Promise<void> {
  // The name first, as who renames one does: of those who want one name nobody waits for each other in a circle.
  await tx
    .insertInto("organization_names")
    .values({ name: organization.name, org_id: organization.id, at: organization.createdAt.getTime() })
    .execute();
  await tx
    .insertInto("organizations")
    .values({ ...toRow(organization), created_by: createdBy })
    .execute();
  await updateSearch(tx, "organization", undefined, toSearchable(organization));
}

/**
 * Whom an organization counts for where many share what there is: all that one
 * person made are one, and one that a superuser made is for itself.
 */
export async function findTenant(reader: Reader, orgId: string): Promise<string> {
  const row = await reader
    .selectFrom("organizations")
    .select("created_by")
    .where("id", "=", orgId)
    .executeTakeFirst();
  return row?.created_by || orgId;
}

/** Stores a new organization; one of the same name is left as it is. */
export async function insertOrganizationIfAbsent(tx: Tx, organization: Organization): Promise<void> {
  const { numInsertedOrUpdatedRows = 0n } = await tx
    .insertInto("organizations")
    .values(toRow(organization))
    .onConflict((conflict) => conflict.column("name").doNothing())
    .executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows > 0n) {
    await claimOrganizationName(tx, organization, organization.createdAt);
    await updateSearch(tx, "organization", undefined, toSearchable(organization));
  }
}

/**
 * Makes a name an organization's own for good; false for one that is, or was,
 * another's, which it stays, whoever asks at once.
 */
export async function claimOrganizationName(
  tx: Tx,
  { id, name }: Pick<Organization, "id" | "name">,
  now: Date,
): Promise<boolean> {
  await tx
    .insertInto("organization_names")
    .values({ name, org_id: id, at: now.getTime() })
    .onConflict((conflict) => conflict.column("name").doNothing())
    .execute();
  const { org_id } = await tx
    .selectFrom("organization_names")
    .select("org_id")
    .where("name", "=", name)
    .executeTakeFirstOrThrow();
  return org_id === id;
}

/** Stores what has changed of a locked organization; its name is claimed before. */
export async function updateOrganization(tx: Tx, before: Organization, after: Organization): Promise<void> {
  const { id, ...columns } = toRow(after);
  await tx.updateTable("organizations").set(columns).where("id", "=", id).execute();
  if (before.avatar !== after.avatar) await releaseAvatar(tx, before.avatar);
  await updateSearch(tx, "organization", toSearchable(before), toSearchable(after));
}

/** Sets the state and answers the organization as it is now; undefined when it is gone. */
export async function updateOrganizationState(
  tx: Tx,
  id: string,
  state: Organization["state"],
  now: Date,
): Promise<Organization | undefined> {
  const row = await tx
    .updateTable("organizations")
    .set({ state, updated_at: now.getTime() })
    .where("id", "=", id)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const organization = toOrganization(row);
  const other = state === "enabled" ? "disabled" : "enabled";
  const before = toSearchable({ ...organization, state: other });
  await updateSearch(tx, "organization", before, toSearchable(organization));
  return organization;
}

/**
 * Removes an organization with everything in it; false when it is gone. Locked
 * before: whoever adds something to it meanwhile waits, and finds it gone.
 */
export async function deleteOrganization(tx: Tx, id: string, now: Date): Promise<boolean> {
  await lockOrganization(tx, id);
  const machines = tx.selectFrom("service_users").select("id").where("org_id", "=", id);
  // Before their usage, as whoever writes usage does: two transactions never wait for each other in a circle.
  await machines.orderBy("id").$call(forUpdate(tx)).execute();
  await tx.deleteFrom("service_user_usage").where("service_user_id", "in", machines).execute();
  await tx.deleteFrom("service_users").where("org_id", "=", id).execute();
  await deleteFrontdoors(tx, id, now);
  const row = await tx.deleteFrom("organizations").where("id", "=", id).returningAll().executeTakeFirst();
  if (row === undefined) return false;
  await releaseAvatar(tx, row.avatar);
  await updateSearch(tx, "organization", toSearchable(toOrganization(row)), undefined);
  return true;
}

/**
 * Deletes an organization's frontdoors as `frontdoor/` deletes one: they may
 * hold a million providers, which are removed later. Until then their rows
 * stand at the default organization, which is never deleted.
 */
async function deleteFrontdoors(tx: Tx, orgId: string, now: Date): Promise<void> {
  await tx
    .updateTable("frontdoors")
    .set((eb) => ({
      deleted_at: now.getTime(),
      org_id: eb.fn.coalesce(
        eb.selectFrom("organizations").select("id").where("name", "=", defaultOrganizationName),
        "org_id",
      ),
    }))
    .where("org_id", "=", orgId)
    .execute();
}

/**
 * Makes everyone who changes the owners of an organization wait for each
 * other: holds its row until the transaction ends.
 */
export async function lockOrganization(tx: Tx, id: string): Promise<void> {
  await tx.selectFrom("organizations").select("id").where("id", "=", id).$call(forUpdate(tx)).execute();
}

/** The role of an enabled service user of an organization. */
export async function findMachineRole(reader: Reader, id: string, orgId: string): Promise<Role | undefined> {
  const row = await reader
    .selectFrom("service_users")
    .select("role")
    .where("id", "=", id)
    .where("org_id", "=", orgId)
    .where("state", "=", "enabled")
    .executeTakeFirst();
  return row?.role;
}

/** Whether an organization has an owner, person or machine, that is enabled. Lock it before. */
export async function hasOwner(tx: Tx, orgId: string): Promise<boolean> {
  const person = await tx
    .selectFrom("memberships")
    .innerJoin("users", "users.id", "memberships.user_id")
    .select("memberships.user_id")
    .where("memberships.org_id", "=", orgId)
    .where("memberships.role", "=", "owner")
    .where("users.state", "=", "enabled")
    .executeTakeFirst();
  if (person !== undefined) return true;
  const machine = await tx
    .selectFrom("service_users")
    .select("id")
    .where("org_id", "=", orgId)
    .where("role", "=", "owner")
    .where("state", "=", "enabled")
    .executeTakeFirst();
  return machine !== undefined;
}

/** How much of what is in an organization goes with it. */
export interface OrganizationContents {
  readonly serviceUsers: number;
  readonly frontdoors: number;
  readonly projects: number;
  readonly members: number;
}

/** Counts what would go with an organization. */
export async function countContents(reader: Reader, orgId: string): Promise<OrganizationContents> {
  const count = async (table: "service_users" | "frontdoors" | "projects" | "memberships") => {
    let rows = reader
      .selectFrom(table)
      .select(({ fn }) => fn.countAll<number>().as("count"))
      .where(`${table}.org_id`, "=", orgId);
    // Frontdoors that were deleted are rows until what they hold is removed.
    if (table === "frontdoors") rows = rows.where("frontdoors.deleted_at", "is", null);
    return Number((await rows.executeTakeFirstOrThrow()).count);
  };
  return {
    serviceUsers: await count("service_users"),
    frontdoors: await count("frontdoors"),
    projects: await count("projects"),
    members: await count("memberships"),
  };
}
