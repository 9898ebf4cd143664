/** Many service users and their public keys at once, as they are carried between systems. */
import type { Reader, Tx } from "../db/database.ts";
import { insertRows } from "../db/insert-rows.ts";
import type { Credential, KeyPair } from "./credential.ts";
import { selectCredentials, toCredential, toNewRow as toCredentialRow } from "./credential-store.ts";
import type { ServiceUser } from "./service-user.ts";
import { toNewRow, toServiceUser } from "./store.ts";

/** Service users by ids. */
export async function findManyServiceUsers(
  reader: Reader,
  ids: readonly string[],
): Promise<ReadonlyMap<string, ServiceUser>> {
  if (ids.length === 0) return new Map();
  const rows = await reader.selectFrom("service_users").selectAll().where("id", "in", ids).execute();
  return new Map(rows.map((row) => [row.id, toServiceUser(row)]));
}

/** Credentials by ids, of any kind, whoever they belong to. */
export async function findManyCredentials(
  reader: Reader,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Credential>> {
  if (ids.length === 0) return new Map();
  const rows = await selectCredentials(reader).where("credential.id", "in", ids).execute();
  return new Map(rows.map((row) => [row.id, toCredential(row)]));
}

/** Service users but for the superuser's, after an id, in the order of ids. */
export async function listServiceUsersAfter(
  reader: Reader,
  afterId: string,
  limit: number,
): Promise<ServiceUser[]> {
  const rows = await reader
    .selectFrom("service_users")
    .selectAll()
    .where("superuser", "=", 0)
    .where("id", ">", afterId)
    .orderBy("id")
    .limit(limit)
    .execute();
  return rows.map(toServiceUser);
}

/** The public keys of some service users, oldest first. */
export async function listKeysOf(reader: Reader, serviceUserIds: readonly string[]): Promise<KeyPair[]> {
  if (serviceUserIds.length === 0) return [];
  const rows = await selectCredentials(reader)
    .where("credential.service_user_id", "in", serviceUserIds)
    .where("credential.kind", "=", "key")
    .orderBy("credential.id")
    .execute();
  return rows.map(toCredential).filter((credential) => credential.kind === "key");
}

const serviceUserColumns = {
  id: "text",
  org_id: "text",
  title: "text",
  metadata: "text",
  role: "text",
  state: "text",
  superuser: "integer",
  created_at: "integer",
  updated_at: "integer",
  last_used_at: "integer",
} as const;

const credentialColumns = {
  id: "text",
  service_user_id: "text",
  kind: "text",
  title: "text",
  secret_hash: "text",
  public_jwk: "text",
  bootstrap: "integer",
  created_at: "integer",
  expires_at: "integer",
  last_used_at: "integer",
} as const;

/** Stores new service users and keys, of them or of others. @throws a unique violation when an id is taken */
export async function insertServiceUsers(
  tx: Tx,
  serviceUsers: readonly ServiceUser[],
  keys: readonly KeyPair[],
): Promise<void> {
  await insertRows(tx, "service_users", serviceUserColumns, serviceUsers.map(toNewRow));
  await insertRows(tx, "service_user_credentials", credentialColumns, keys.map(toCredentialRow));
}
