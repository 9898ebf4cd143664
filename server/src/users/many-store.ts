/** Many people at once, as they are carried between systems. */
import type { Reader, Tx } from "../db/database.ts";
import { insertRows } from "../db/insert-rows.ts";
import type { Identity } from "./identity-store.ts";
import { toIdentity, toIdentityRow } from "./identity-store.ts";
import { toNewRow, toUser } from "./store.ts";
import type { User } from "./user.ts";

/** Users by one of their columns, each of which has one user at most. */
export async function findManyUsers(
  reader: Reader,
  column: "id" | "email" | "name",
  values: readonly string[],
): Promise<ReadonlyMap<string, User>> {
  if (values.length === 0) return new Map();
  const rows = await reader.selectFrom("users").selectAll().where(column, "in", values).execute();
  return new Map(rows.map((row) => [row[column], toUser(row)]));
}

/** Which of some addresses are held for accounts that had them lately. */
export async function findHeldAddresses(
  reader: Reader,
  emails: readonly string[],
  now: Date,
): Promise<ReadonlySet<string>> {
  if (emails.length === 0) return new Set();
  const rows = await reader
    .selectFrom("email_undos")
    .select("email")
    .where("email", "in", emails)
    .where("expires_at", ">", now.getTime())
    .execute();
  return new Set(rows.map(({ email }) => email));
}

const userColumns = {
  id: "text",
  passkey_handle: "text",
  name: "text",
  title: "text",
  email: "text",
  email_proven: "integer",
  email_given: "integer",
  metadata: "text",
  avatar: "text",
  state: "text",
  disabled_reason: "text",
  created_at: "integer",
  updated_at: "integer",
} as const;

/**
 * Stores new users, whom nobody finds by their texts until that is seen to as
 * well (`search-backlog-store.ts`).
 *
 * @throws a unique violation when an address or a name is taken
 */
export async function insertUsers(tx: Tx, users: readonly User[]): Promise<void> {
  await insertRows(tx, "users", userColumns, users.map(toNewRow));
}

/** Users after an id, in the order of ids. */
export async function listUsersAfter(reader: Reader, afterId: string, limit: number): Promise<User[]> {
  const users = reader.selectFrom("users").selectAll().where("id", ">", afterId);
  return (await users.orderBy("id").limit(limit).execute()).map(toUser);
}

/** What tells identities apart. */
type IdentityKey = Pick<Identity, "issuer" | "subject">;

/** Those of some subjects, whatever their issuers. */
export async function findManyIdentities(
  reader: Reader,
  subjects: readonly string[],
): Promise<readonly Identity[]> {
  if (subjects.length === 0) return [];
  const rows = await reader.selectFrom("identities").selectAll().where("subject", "in", subjects).execute();
  return rows.map(toIdentity);
}

const identityColumns = {
  issuer: "text",
  subject: "text",
  user_id: "text",
  strategy: "text",
  email: "text",
  gave_email: "integer",
  created_at: "integer",
} as const;

/** Stores new identities. @throws a unique violation when there is one of that issuer and subject */
export async function insertIdentities(tx: Tx, identities: readonly Identity[]): Promise<void> {
  await insertRows(tx, "identities", identityColumns, identities.map(toIdentityRow));
}

/** Identities after another, in the order of issuers and subjects. */
export async function listIdentitiesAfter(
  reader: Reader,
  after: IdentityKey,
  limit: number,
): Promise<Identity[]> {
  const rows = await reader
    .selectFrom("identities")
    .selectAll()
    .where(({ eb, refTuple, tuple }) =>
      eb(refTuple("issuer", "subject"), ">", tuple(after.issuer, after.subject)),
    )
    .orderBy("issuer")
    .orderBy("subject")
    .limit(limit)
    .execute();
  return rows.map(toIdentity);
}
