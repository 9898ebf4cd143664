import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import type { MembershipRow, UserRow } from "../db/schema.ts";
import { isUuid } from "../lib/ids.ts";
import type { IdRange } from "../lib/page-token.ts";
import type { Role } from "../principals/principal.ts";
import type { Member, Membership, Organization } from "./organization.ts";
import { toOrganization } from "./store.ts";

function members(reader: Reader, orgId: string) {
  return reader
    .selectFrom("memberships")
    .innerJoin("users", "users.id", "memberships.user_id")
    .select([
      "users.id",
      "users.email",
      "users.email_proven",
      "users.title",
      "memberships.role",
      "memberships.created_at",
    ])
    .where("memberships.org_id", "=", orgId);
}

function toMember(
  row: Pick<UserRow, "id" | "email" | "email_proven" | "title"> & Pick<MembershipRow, "role" | "created_at">,
): Member {
  return {
    userId: row.id,
    email: row.email,
    emailVerified: row.email_proven === 1,
    title: row.title,
    role: row.role,
    createdAt: new Date(row.created_at),
  };
}

/** The role a user holds in an organization. */
export async function findMemberRole(
  reader: Reader,
  userId: string,
  orgId: string,
): Promise<Role | undefined> {
  const row = await reader
    .selectFrom("memberships")
    .select("role")
    .where("org_id", "=", orgId)
    .where("user_id", "=", userId)
    .executeTakeFirst();
  return row?.role;
}

/** Ids of the organizations a user is a member of, oldest first. */
export async function findOrganizationIds(reader: Reader, userId: string): Promise<string[]> {
  const rows = await reader
    .selectFrom("memberships")
    .select("org_id")
    .where("user_id", "=", userId)
    .orderBy("org_id")
    .execute();
  return rows.map((row) => row.org_id);
}

/** Makes whoever changes a user's roles in these organizations wait until the transaction ends. */
export async function lockMemberships(tx: Tx, userId: string, orgIds: readonly string[]): Promise<void> {
  if (orgIds.length === 0) return;
  await tx
    .selectFrom("memberships")
    .select("org_id")
    .where("user_id", "=", userId)
    .where("org_id", "in", orgIds)
    .orderBy("org_id")
    .$call(forUpdate(tx))
    .execute();
}

/** In which enabled organizations a user has which role. */
export async function findEnabledMemberships(
  reader: Reader,
  userId: string,
): Promise<{ readonly orgId: string; readonly role: Role }[]> {
  const rows = await reader
    .selectFrom("memberships")
    .innerJoin("organizations", "organizations.id", "memberships.org_id")
    .select(["memberships.org_id", "memberships.role"])
    .where("memberships.user_id", "=", userId)
    .where("organizations.state", "=", "enabled")
    .orderBy("memberships.org_id")
    .execute();
  return rows.map((row) => ({ orgId: row.org_id, role: row.role }));
}

/** An organization and a user's role in it, no more than tokens say. */
export interface HeldOrganization extends Pick<Organization, "id" | "name"> {
  readonly role: Role;
}

/** In which enabled organization, by id or name, a user has which role. */
export async function findHeldOrganization(
  reader: Reader,
  userId: string,
  idOrName: string,
): Promise<HeldOrganization | undefined> {
  const isId = isUuid(idOrName);
  return await reader
    .selectFrom("organizations")
    .innerJoin("memberships", "memberships.org_id", "organizations.id")
    .select(["organizations.id", "organizations.name", "memberships.role"])
    .where(`organizations.${isId ? "id" : "name"}`, "=", isId ? idOrName.toLowerCase() : idOrName)
    .where("organizations.state", "=", "enabled")
    .where("memberships.user_id", "=", userId)
    .executeTakeFirst();
}

/**
 * The organizations that a user is a member of, and their states: enabled ones
 * first, of these the ones they own, then the oldest memberships, so that
 * nobody else's deed pushes one out of a bounded list. In one statement, so
 * that none is missed whose state changes meanwhile.
 */
export async function findForemostOrganizations(
  reader: Reader,
  userId: string,
  limit: number,
): Promise<(HeldOrganization & Pick<Organization, "state">)[]> {
  return await reader
    .selectFrom("memberships")
    .innerJoin("organizations", "organizations.id", "memberships.org_id")
    .select(["organizations.id", "organizations.name", "organizations.state", "memberships.role"])
    .where("memberships.user_id", "=", userId)
    .orderBy((eb) => eb.case().when("organizations.state", "=", "enabled").then(0).else(1).end())
    .orderBy((eb) => eb.case().when("memberships.role", "=", "owner").then(0).else(1).end())
    .orderBy("memberships.created_at")
    .orderBy("memberships.org_id")
    .limit(limit)
    .execute();
}

/**
 * How many organizations a user owns, disabled ones included, and with them
 * those that they made and left to machines: nobody else answers for these.
 */
export async function countOwned(tx: Tx, userId: string): Promise<number> {
  const owned = await tx
    .selectFrom("memberships")
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .where("user_id", "=", userId)
    .where("role", "=", "owner")
    .executeTakeFirstOrThrow();
  const left = await tx
    .selectFrom("organizations")
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .where("created_by", "=", userId)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom("service_users")
          .select("service_users.id")
          .whereRef("service_users.org_id", "=", "organizations.id")
          .where("service_users.role", "=", "owner"),
      ),
    )
    .where(({ exists, not, selectFrom }) =>
      not(
        exists(
          selectFrom("memberships")
            .select("memberships.user_id")
            .whereRef("memberships.org_id", "=", "organizations.id")
            .where("memberships.role", "=", "owner"),
        ),
      ),
    )
    .executeTakeFirstOrThrow();
  return Number(owned.count) + Number(left.count);
}

/**
 * Makes everyone who gives a user something that is bounded wait for each
 * other, until the transaction ends; false when there is no such user. Users
 * are locked before organizations.
 */
export async function lockPerson(tx: Tx, userId: string): Promise<boolean> {
  const row = await tx
    .selectFrom("users")
    .select("id")
    .where("id", "=", userId)
    .$call(forUpdate(tx))
    .executeTakeFirst();
  return row !== undefined;
}

/** One member of an organization. */
export async function findMember(reader: Reader, orgId: string, userId: string): Promise<Member | undefined> {
  const row = await members(reader, orgId).where("users.id", "=", userId).executeTakeFirst();
  return row && toMember(row);
}

/** What a user is a member of, disabled ones included: oldest organizations first, after an id. */
export async function findMemberships(
  reader: Reader,
  userId: string,
  { afterId, limit }: IdRange,
): Promise<Membership[]> {
  const rows = await reader
    .selectFrom("memberships")
    .innerJoin("organizations", "organizations.id", "memberships.org_id")
    .selectAll("organizations")
    .select(["memberships.role", "memberships.created_at as joined_at"])
    .where("memberships.user_id", "=", userId)
    .where("memberships.org_id", ">", afterId)
    .orderBy("memberships.org_id")
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    organization: toOrganization(row),
    role: row.role,
    createdAt: new Date(row.joined_at),
  }));
}

/** Whether an organization has a member of an address, in lower case. */
export async function hasMemberOf(reader: Reader, orgId: string, email: string): Promise<boolean> {
  return (await members(reader, orgId).where("users.email", "=", email).executeTakeFirst()) !== undefined;
}

/** Members after a position, longest first. */
export async function findMembers(
  reader: Reader,
  orgId: string,
  page: { readonly afterAt: number; readonly afterId: string; readonly limit: number },
): Promise<Member[]> {
  const rows = await members(reader, orgId)
    .where(({ eb, refTuple, tuple }) =>
      eb(refTuple("memberships.created_at", "memberships.user_id"), ">", tuple(page.afterAt, page.afterId)),
    )
    .orderBy("memberships.created_at")
    .orderBy("memberships.user_id")
    .limit(page.limit)
    .execute();
  return rows.map(toMember);
}

/** Stores a membership. @throws a unique violation when there is one already. */
export async function insertMember(
  tx: Tx,
  membership: { readonly orgId: string; readonly userId: string; readonly role: Role },
  now: Date,
): Promise<void> {
  await tx
    .insertInto("memberships")
    .values({
      org_id: membership.orgId,
      user_id: membership.userId,
      role: membership.role,
      created_at: now.getTime(),
    })
    .execute();
}

/** Gives a member another role; false when there is no such member. */
export async function updateMemberRole(tx: Tx, orgId: string, userId: string, role: Role): Promise<boolean> {
  const result = await tx
    .updateTable("memberships")
    .set({ role })
    .where("org_id", "=", orgId)
    .where("user_id", "=", userId)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Ends a membership and those in the organization's projects; false when there is none. */
export async function deleteMember(tx: Tx, orgId: string, userId: string): Promise<boolean> {
  await tx
    .deleteFrom("project_members")
    .where("principal_type", "=", "user")
    .where("principal_id", "=", userId)
    .where("project_id", "in", (projects) =>
      projects.selectFrom("projects").select("id").where("org_id", "=", orgId),
    )
    .execute();
  const result = await tx
    .deleteFrom("memberships")
    .where("org_id", "=", orgId)
    .where("user_id", "=", userId)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}
