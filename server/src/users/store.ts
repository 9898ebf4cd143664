import { randomBytes } from "node:crypto";
import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { jsonColumn, jsonObject } from "../db/json-column.ts";
import { prepared } from "../db/prepared.ts";
import type { UserRow } from "../db/schema.ts";
import type { User } from "./user.ts";

const metadataColumn = jsonColumn("users.metadata", jsonObject);

function toUser(row: UserRow): User {
  return {
    id: row.id,
    name: row.name,
    title: row.title,
    email: row.email,
    emailProven: row.email_proven === 1,
    metadata: metadataColumn.decode(row.metadata),
    avatar: row.avatar,
    state: row.state,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** Stores a new user, with a passkey handle of its own. @throws a unique violation when the address or name is taken. */
export async function insertUser(tx: Tx, user: User): Promise<void> {
  await tx
    .insertInto("users")
    .values({
      id: user.id,
      name: user.name,
      title: user.title,
      email: user.email,
      email_proven: user.emailProven ? 1 : 0,
      passkey_handle: randomBytes(32).toString("base64url"),
      metadata: metadataColumn.encode(user.metadata),
      avatar: user.avatar,
      state: user.state,
      created_at: user.createdAt.getTime(),
      updated_at: user.updatedAt.getTime(),
    })
    .execute();
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
    .set({ email_proven: 1, updated_at: now.getTime() })
    .where("id", "=", id)
    .execute();
}

/** A user by address, in lower case. */
export async function findUserByEmail(reader: Reader, email: string): Promise<User | undefined> {
  const row = await reader.selectFrom("users").selectAll().where("email", "=", email).executeTakeFirst();
  return row && toUser(row);
}

/** Users after an id, oldest first. */
export async function findUsers(
  reader: Reader,
  filter: {
    readonly email?: string;
    readonly state?: User["state"];
    readonly afterId: string;
    readonly limit: number;
  },
): Promise<User[]> {
  let query = reader.selectFrom("users").selectAll().where("id", ">", filter.afterId);
  if (filter.email !== undefined) query = query.where("email", "=", filter.email);
  if (filter.state !== undefined) query = query.where("state", "=", filter.state);
  return (await query.orderBy("id").limit(filter.limit).execute()).map(toUser);
}

/** Sets the state and answers the user as it is now; undefined when there is none. */
export async function updateUserState(
  tx: Tx,
  id: string,
  state: User["state"],
  now: Date,
): Promise<User | undefined> {
  const row = await tx
    .updateTable("users")
    .set({ state, updated_at: now.getTime() })
    .where("id", "=", id)
    .returningAll()
    .executeTakeFirst();
  return row && toUser(row);
}

/** Removes a user with their memberships and the invitations of their address; false when there is none. */
export async function deleteUser(tx: Tx, id: string): Promise<boolean> {
  await tx
    .deleteFrom("invitations")
    .where("email", "in", (user) => user.selectFrom("users").select("email").where("id", "=", id))
    .execute();
  await tx
    .deleteFrom("organization_invitations")
    .where("email", "in", (user) => user.selectFrom("users").select("email").where("id", "=", id))
    .execute();
  await tx
    .deleteFrom("project_members")
    .where("principal_type", "=", "user")
    .where("principal_id", "=", id)
    .execute();
  const result = await tx.deleteFrom("users").where("id", "=", id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}
