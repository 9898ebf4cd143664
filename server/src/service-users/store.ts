import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { jsonColumn, jsonObject } from "../db/json-column.ts";
import { prepared } from "../db/prepared.ts";
import type { ServiceUserRow } from "../db/schema.ts";
import type { ServiceUser } from "./service-user.ts";

const metadataColumn = jsonColumn("service_users.metadata", jsonObject);

/** A service user as its row says. */
export function toServiceUser(row: ServiceUserRow): ServiceUser {
  return {
    id: row.id,
    orgId: row.org_id,
    title: row.title,
    metadata: metadataColumn.decode(row.metadata),
    role: row.role,
    state: row.state,
    superuser: row.superuser === 1,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
    ...(row.last_used_at === null ? {} : { lastUsedAt: new Date(row.last_used_at) }),
  };
}

/** The row of a new service user. */
export function toNewRow(serviceUser: ServiceUser) {
  return {
    id: serviceUser.id,
    org_id: serviceUser.orgId,
    title: serviceUser.title,
    metadata: metadataColumn.encode(serviceUser.metadata),
    role: serviceUser.role,
    state: serviceUser.state,
    superuser: serviceUser.superuser ? 1 : 0,
    created_at: serviceUser.createdAt.getTime(),
    updated_at: serviceUser.updatedAt.getTime(),
    last_used_at: null,
  } as const;
}

/** Stores a new service user. */
export async function insertServiceUser(tx: Tx, serviceUser: ServiceUser): Promise<void> {
  await tx.insertInto("service_users").values(toNewRow(serviceUser)).execute();
}

const selectById = prepared((database, { id }: { id: string }) =>
  database.selectFrom("service_users").selectAll().where("id", "=", id),
);

/** A service user by id, whatever its organization. */
export async function findServiceUser(reader: Reader, id: string): Promise<ServiceUser | undefined> {
  const row = await selectById.first(reader, { id });
  return row && toServiceUser(row);
}

/**
 * Finds a service user, whose row is held until the transaction ends: whoever changes a service user,
 * or anything that hangs on it, waits for the one before.
 */
export async function lockServiceUser(tx: Tx, id: string): Promise<ServiceUser | undefined> {
  const row = await tx
    .selectFrom("service_users")
    .selectAll()
    .where("id", "=", id)
    .$call(forUpdate(tx))
    .executeTakeFirst();
  return row && toServiceUser(row);
}

/** The bootstrap service user, once there is one. */
export async function findSuperuser(reader: Reader): Promise<ServiceUser | undefined> {
  const row = await reader
    .selectFrom("service_users")
    .selectAll()
    .where("superuser", "=", 1)
    .orderBy("id")
    .executeTakeFirst();
  return row && toServiceUser(row);
}

/** Service users of an organization after an id, oldest first. @param filter.limit absent for all */
export async function findServiceUsers(
  reader: Reader,
  orgId: string,
  filter: {
    readonly state?: ServiceUser["state"] | undefined;
    readonly afterId: string;
    readonly limit?: number;
  },
): Promise<ServiceUser[]> {
  const { state, afterId, limit } = filter;
  let query = reader
    .selectFrom("service_users")
    .selectAll()
    .where("org_id", "=", orgId)
    .where("id", ">", afterId);
  if (state !== undefined) query = query.where("state", "=", state);
  if (limit !== undefined) query = query.limit(limit);
  return (await query.orderBy("id").execute()).map(toServiceUser);
}

/** Stores what may change of a service user: title, metadata, role and state. */
export async function updateServiceUser(tx: Tx, serviceUser: ServiceUser): Promise<void> {
  await tx
    .updateTable("service_users")
    .set({
      title: serviceUser.title,
      metadata: metadataColumn.encode(serviceUser.metadata),
      role: serviceUser.role,
      state: serviceUser.state,
      updated_at: serviceUser.updatedAt.getTime(),
    })
    .where("id", "=", serviceUser.id)
    .execute();
}

/** Removes a service user with all it owns. */
export async function deleteServiceUser(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom("service_user_usage").where("service_user_id", "=", id).execute();
  await tx
    .deleteFrom("project_members")
    .where("principal_type", "=", "serviceuser")
    .where("principal_id", "=", id)
    .execute();
  await tx.deleteFrom("service_users").where("id", "=", id).execute();
}
