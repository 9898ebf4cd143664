import { randomBytes } from "node:crypto";
import { type Selectable, sql } from "kysely";
import { releaseAvatar } from "../avatars/store.ts";
import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { jsonColumn, jsonObject } from "../db/json-column.ts";
import { prepared } from "../db/prepared.ts";
import type { UserRow } from "../db/schema.ts";
import {
  beginsWith,
  fromPrefix,
  type Searchable,
  searchByPrefix,
  updateSearch,
} from "../db/search-prefixes.ts";
import type { IdRange } from "../lib/page-token.ts";
import type { User } from "./user.ts";

const metadataColumn = jsonColumn("users.metadata", jsonObject);

/** A user as their row says. */
export function toUser(row: Selectable<UserRow>): User {
  return {
    id: row.id,
    name: row.name,
    title: row.title,
    email: row.email,
    emailProven: row.email_proven === 1,
    metadata: metadataColumn.decode(row.metadata),
    avatar: row.avatar,
    state: row.state,
    ...(row.disabled_reason !== "" && { disabledReason: row.disabled_reason }),
    ...(row.email_given === 1 && { isEmailGiven: true }),
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** What a user is found by. */
function textsOf({ email, name, title }: User): readonly string[] {
  return [email, name, title];
}

/** A user as they are found by their texts. */
export function toSearchable(user: User): Searchable {
  return { id: user.id, state: user.state, texts: textsOf(user) };
}

/** Columns that change after a user has been made. */
function toColumns(user: User) {
  return {
    name: user.name,
    title: user.title,
    email: user.email,
    email_proven: user.emailProven ? 1 : 0,
    email_given: user.isEmailGiven ? 1 : 0,
    metadata: metadataColumn.encode(user.metadata),
    avatar: user.avatar,
    state: user.state,
    disabled_reason: user.disabledReason ?? "",
    updated_at: user.updatedAt.getTime(),
  } as const;
}

/**
 * WebAuthn's user handle: when it was made, in 6 bytes, and 26 that are random,
 * so that those made one after another stand together in its index.
 */
function newPasskeyHandle(now: Date): string {
  const handle = randomBytes(32);
  handle.writeUIntBE(now.getTime(), 0, 6);
  return handle.toString("base64url");
}

/** The row of a new user, with a passkey handle of its own. */
export function toNewRow(user: User) {
  return {
    id: user.id,
    passkey_handle: newPasskeyHandle(user.updatedAt),
    ...toColumns(user),
    created_at: user.createdAt.getTime(),
  };
}

/** Stores a new user. @throws a unique violation when the address or name is taken. */
export async function insertUser(tx: Tx, user: User): Promise<void> {
  await tx.insertInto("users").values(toNewRow(user)).execute();
  await updateSearch(tx, "user", undefined, toSearchable(user));
}

/** Stores what has changed of a locked user. @throws a unique violation when the address or name is taken. */
export async function updateUser(tx: Tx, before: User, after: User): Promise<void> {
  await tx.updateTable("users").set(toColumns(after)).where("id", "=", after.id).execute();
  if (before.avatar !== after.avatar) await releaseAvatar(tx, before.avatar);
  await updateSearch(tx, "user", toSearchable(before), toSearchable(after));
}

const selectById = prepared((database, { id }: { id: string }) =>
  database.selectFrom("users").selectAll().where("id", "=", id),
);

/** A user by id. */
export async function findUser(reader: Reader, id: string): Promise<User | undefined> {
  const row = await selectById.first(reader, { id });
  return row && toUser(row);
}

/** Finds a user, whose row is held until the transaction ends. */
export async function lockUser(tx: Tx, id: string): Promise<User | undefined> {
  const row = await tx
    .selectFrom("users")
    .selectAll()
    .where("id", "=", id)
    .$call(forUpdate(tx))
    .executeTakeFirst();
  return row && toUser(row);
}

/** Notes that a user's address has been proven. */
export async function markEmailProven(tx: Tx, id: string, now: Date): Promise<void> {
  await tx
    .updateTable("users")
    .set({ email_proven: 1, email_given: 0, updated_at: now.getTime() })
    .where("id", "=", id)
    .execute();
}

/** A user by address, in lower case. */
export async function findUserByEmail(reader: Reader, email: string): Promise<User | undefined> {
  const row = await reader.selectFrom("users").selectAll().where("email", "=", email).executeTakeFirst();
  return row && toUser(row);
}

/** A user by address, in lower case, whose row is held until the transaction ends: the address is theirs until then. */
export async function lockUserByEmail(tx: Tx, email: string): Promise<User | undefined> {
  const row = await tx
    .selectFrom("users")
    .selectAll()
    .where("email", "=", email)
    .$call(forUpdate(tx))
    .executeTakeFirst();
  return row && toUser(row);
}

/** A user by handle. */
export async function findUserByName(reader: Reader, name: string): Promise<User | undefined> {
  const row = await reader.selectFrom("users").selectAll().where("name", "=", name).executeTakeFirst();
  return row && toUser(row);
}

/** Which users are listed. */
export interface FindUsers extends IdRange {
  readonly email?: string | undefined;
  readonly state?: User["state"] | undefined;
  /** Beginning of an address, name or title, in any case; empty for all. */
  readonly query: string;
}

/** Users after another in the list, newest first. */
export async function findUsers(reader: Reader, filter: FindUsers): Promise<readonly User[]> {
  const { email, state, query } = filter;
  if (email !== undefined) {
    const user = await findUserByEmail(reader, email);
    const isListed = user !== undefined && (state ?? user.state) === user.state;
    return isListed && beginsWith(textsOf(user), query) ? [user] : [];
  }
  if (query !== "") {
    const find = (prefix: string, range: IdRange) => findByPrefix(reader, state, prefix, range);
    return await searchByPrefix(filter, filter, find, textsOf);
  }
  let found = reader.selectFrom("users").selectAll();
  if (filter.afterId !== "") found = found.where("id", "<", filter.afterId);
  // As a literal, which the index of the disabled is known by.
  if (state !== undefined) found = found.where("state", "=", sql.lit(state));
  return (await found.orderBy("id", "desc").limit(filter.limit).execute()).map(toUser);
}

async function findByPrefix(
  reader: Reader,
  state: User["state"] | undefined,
  prefix: string,
  range: IdRange,
): Promise<User[]> {
  const rows = await fromPrefix(reader, { kind: "user", state, prefix }, range)
    .innerJoin("users", "users.id", "found.id")
    .selectAll("users")
    .execute();
  return rows.map(toUser);
}

/** Sets the state, with the reason to be disabled, and answers the user as it is now; undefined when there is none. */
export async function updateUserState(
  tx: Tx,
  id: string,
  state: User["state"],
  now: Date,
  disabledReason = "",
): Promise<User | undefined> {
  const row = await tx
    .updateTable("users")
    .set({ state, disabled_reason: disabledReason, updated_at: now.getTime() })
    .where("id", "=", id)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const user = toUser(row);
  const other = state === "enabled" ? "disabled" : "enabled";
  await updateSearch(tx, "user", toSearchable({ ...user, state: other }), toSearchable(user));
  return user;
}

/** Removes a user with their memberships and whether their address may sign up; false when there is none. */
export async function deleteUser(tx: Tx, id: string): Promise<boolean> {
  await tx
    .deleteFrom("invitations")
    .where("email", "in", (user) => user.selectFrom("users").select("email").where("id", "=", id))
    .execute();
  await tx
    .deleteFrom("project_members")
    .where("principal_type", "=", "user")
    .where("principal_id", "=", id)
    .execute();
  const row = await tx.deleteFrom("users").where("id", "=", id).returningAll().executeTakeFirst();
  if (row === undefined) return false;
  await releaseAvatar(tx, row.avatar);
  await updateSearch(tx, "user", toSearchable(toUser(row)), undefined);
  return true;
}
