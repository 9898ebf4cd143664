import { sql } from "kysely";
import type { Reader, Tx } from "../db/database.ts";
import { jsonColumn } from "../db/json-column.ts";
import { prepared } from "../db/prepared.ts";
import type { ServiceUserCredentialRow, ServiceUserRow } from "../db/schema.ts";
import { type PublicJwk, publicJwkSchema } from "../signatures/public-jwk.ts";
import type { ClientSecret, Credential, CredentialKind, KeyPair, OpaqueToken } from "./credential.ts";

type CredentialRow = ServiceUserCredentialRow & Pick<ServiceUserRow, "org_id">;

const publicJwkColumn = jsonColumn<PublicJwk>("service_user_credentials.public_jwk", publicJwkSchema);

/** All credentials, with the organizations of their service users. */
export function selectCredentials(database: Reader) {
  return database
    .selectFrom("service_user_credentials as credential")
    .innerJoin("service_users", "service_users.id", "credential.service_user_id")
    .selectAll("credential")
    .select("service_users.org_id");
}

/** A credential as its row says. */
export function toCredential(row: CredentialRow): Credential {
  const base = {
    id: row.id,
    serviceUserId: row.service_user_id,
    orgId: row.org_id,
    title: row.title,
    createdAt: new Date(row.created_at),
    ...(row.expires_at === null ? {} : { expiresAt: new Date(row.expires_at) }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: new Date(row.last_used_at) }),
  };
  switch (row.kind) {
    case "secret":
      return {
        ...base,
        kind: "secret",
        secretHash: row.secret_hash ?? "",
        bootstrap: row.bootstrap === 1,
      } satisfies ClientSecret;
    case "token":
      return { ...base, kind: "token", secretHash: row.secret_hash ?? "" } satisfies OpaqueToken;
    case "key":
      return {
        ...base,
        kind: "key",
        publicJwk: publicJwkColumn.decode(row.public_jwk ?? ""),
      } satisfies KeyPair;
  }
}

/** The row of a new credential. */
export function toNewRow(credential: Credential) {
  return {
    id: credential.id,
    service_user_id: credential.serviceUserId,
    kind: credential.kind,
    title: credential.title,
    secret_hash: credential.kind === "key" ? null : credential.secretHash,
    public_jwk: credential.kind === "key" ? publicJwkColumn.encode(credential.publicJwk) : null,
    bootstrap: credential.kind === "secret" && credential.bootstrap ? 1 : 0,
    created_at: credential.createdAt.getTime(),
    expires_at: credential.expiresAt?.getTime() ?? null,
    last_used_at: null,
  } as const;
}

/** Stores a new credential. */
export async function insertCredential(tx: Tx, credential: Credential): Promise<void> {
  await tx.insertInto("service_user_credentials").values(toNewRow(credential)).execute();
}

const selectById = prepared((database, { id }: { id: string }) =>
  selectCredentials(database).where("credential.id", "=", id),
);

/** A credential by id, of any kind, whoever it belongs to. */
export async function findCredential(reader: Reader, id: string): Promise<Credential | undefined> {
  const row = await selectById.first(reader, { id });
  return row && toCredential(row);
}

// The kind is written out, as the index over tokens asks for it.
const selectTokenByHash = prepared((database, { hash }: { hash: string }) =>
  selectCredentials(database)
    .where("credential.secret_hash", "=", hash)
    .where("credential.kind", "=", sql.lit("token")),
);

/** An opaque token by its hash, whoever it belongs to. */
export async function findTokenByHash(reader: Reader, hash: string): Promise<OpaqueToken | undefined> {
  const row = await selectTokenByHash.first(reader, { hash });
  const found = row && toCredential(row);
  return found?.kind === "token" ? found : undefined;
}

/** Credentials of a service user, oldest first; of one kind if given. */
export async function findCredentials<K extends CredentialKind = CredentialKind>(
  reader: Reader,
  serviceUserId: string,
  kind?: K,
): Promise<Extract<Credential, { kind: K }>[]> {
  let query = selectCredentials(reader).where("credential.service_user_id", "=", serviceUserId);
  if (kind !== undefined) query = query.where("credential.kind", "=", kind);
  const rows = await query.orderBy("credential.id").execute();
  return rows.map((row) => toCredential(row) as Extract<Credential, { kind: K }>);
}

/** How many credentials of a service user have not expired, of all kinds. */
export async function countLiveCredentials(tx: Tx, serviceUserId: string, now: Date): Promise<number> {
  const row = await tx
    .selectFrom("service_user_credentials")
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .where("service_user_id", "=", serviceUserId)
    .where((eb) => eb.or([eb("expires_at", "is", null), eb("expires_at", ">", now.getTime())]))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Sets the instant from which on a credential is refused. */
export async function updateCredentialExpiry(tx: Tx, id: string, expiresAt: Date): Promise<void> {
  await tx
    .updateTable("service_user_credentials")
    .set({ expires_at: expiresAt.getTime() })
    .where("id", "=", id)
    .execute();
}

/** Removes those of a service user that expired before `horizon`. They were refused already. */
export async function deleteExpiredCredentials(tx: Tx, serviceUserId: string, horizon: Date): Promise<void> {
  await tx
    .deleteFrom("service_user_credentials")
    .where("service_user_id", "=", serviceUserId)
    .where("expires_at", "<", horizon.getTime())
    .execute();
}

/** Removes a credential by id, whatever it is. */
export async function deleteCredential(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom("service_user_credentials").where("id", "=", id).execute();
}
