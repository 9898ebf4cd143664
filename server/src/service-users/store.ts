import type { Reader, Tx } from "../db/database.ts";
import type { ServiceUserRow, ServiceUserSecretRow } from "../db/schema.ts";
import type { ServiceUser, ServiceUserSecret } from "./service-user.ts";

function toServiceUser(row: ServiceUserRow): ServiceUser {
  return {
    id: row.id,
    orgId: row.org_id,
    title: row.title,
    metadata: JSON.parse(row.metadata),
    role: row.role,
    state: row.state,
    superuser: row.superuser === 1,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
    ...(row.last_used_at === null ? {} : { lastUsedAt: new Date(row.last_used_at) }),
  };
}

function toSecret(row: ServiceUserSecretRow): ServiceUserSecret {
  return {
    id: row.id,
    serviceUserId: row.service_user_id,
    title: row.title,
    secretHash: row.secret_hash,
    bootstrap: row.bootstrap === 1,
    createdAt: new Date(row.created_at),
    ...(row.expires_at === null ? {} : { expiresAt: new Date(row.expires_at) }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: new Date(row.last_used_at) }),
  };
}

/** Stores a new service user. */
export async function insertServiceUser(tx: Tx, serviceUser: ServiceUser): Promise<void> {
  await tx
    .insertInto("service_users")
    .values({
      id: serviceUser.id,
      org_id: serviceUser.orgId,
      title: serviceUser.title,
      metadata: JSON.stringify(serviceUser.metadata),
      role: serviceUser.role,
      state: serviceUser.state,
      superuser: serviceUser.superuser ? 1 : 0,
      created_at: serviceUser.createdAt.getTime(),
      updated_at: serviceUser.updatedAt.getTime(),
      last_used_at: null,
    })
    .execute();
}

/** A service user by id, whatever its organization. */
export async function findServiceUser(reader: Reader, id: string): Promise<ServiceUser | undefined> {
  const row = await reader.selectFrom("service_users").selectAll().where("id", "=", id).executeTakeFirst();
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

/** Service users of an organization, oldest first; of one state if given. */
export async function findServiceUsers(
  reader: Reader,
  orgId: string,
  state?: ServiceUser["state"],
): Promise<ServiceUser[]> {
  let query = reader.selectFrom("service_users").selectAll().where("org_id", "=", orgId);
  if (state !== undefined) query = query.where("state", "=", state);
  return (await query.orderBy("id").execute()).map(toServiceUser);
}

/** Removes a service user with all it owns. */
export async function deleteServiceUser(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom("service_users").where("id", "=", id).execute();
}

/** Stores a new client secret. */
export async function insertSecret(tx: Tx, secret: ServiceUserSecret): Promise<void> {
  await tx
    .insertInto("service_user_secrets")
    .values({
      id: secret.id,
      service_user_id: secret.serviceUserId,
      title: secret.title,
      secret_hash: secret.secretHash,
      bootstrap: secret.bootstrap ? 1 : 0,
      created_at: secret.createdAt.getTime(),
      expires_at: secret.expiresAt?.getTime() ?? null,
      last_used_at: null,
    })
    .execute();
}

/** A client secret by id, whoever it belongs to. */
export async function findSecret(reader: Reader, id: string): Promise<ServiceUserSecret | undefined> {
  const row = await reader
    .selectFrom("service_user_secrets")
    .selectAll()
    .where("id", "=", id)
    .executeTakeFirst();
  return row && toSecret(row);
}

/** Client secrets of a service user, oldest first. */
export async function findSecrets(reader: Reader, serviceUserId: string): Promise<ServiceUserSecret[]> {
  const rows = await reader
    .selectFrom("service_user_secrets")
    .selectAll()
    .where("service_user_id", "=", serviceUserId)
    .orderBy("id")
    .execute();
  return rows.map(toSecret);
}

/** Replaces what is stored of a client secret. */
export async function updateSecretHash(tx: Tx, id: string, secretHash: string): Promise<void> {
  await tx
    .updateTable("service_user_secrets")
    .set({ secret_hash: secretHash })
    .where("id", "=", id)
    .execute();
}

/** Removes a client secret of a service user; false when there is none. */
export async function deleteSecret(tx: Tx, id: string, serviceUserId: string): Promise<boolean> {
  const result = await tx
    .deleteFrom("service_user_secrets")
    .where("id", "=", id)
    .where("service_user_id", "=", serviceUserId)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}
