import { z } from "zod";
import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { jsonColumn, jsonObject } from "../db/json-column.ts";
import { prepared } from "../db/prepared.ts";
import { removeOld } from "../db/remove-rows.ts";
import type { PersonalTokenRow } from "../db/schema.ts";
import { clockSlackMs } from "../lib/clock.ts";
import type { IdRange } from "../lib/page-token.ts";
import type { Role } from "../principals/principal.ts";
import { type LiveToken, type PersonalToken, type TokenScope, unusedMs } from "./personal-token.ts";

const metadataColumn = jsonColumn("personal_tokens.metadata", jsonObject);
const projectIdsColumn = jsonColumn("personal_tokens.project_ids", z.array(z.string()));

/** What titles are the same: those that read the same, in any case of letters. */
function toTitleKey(title: string): string {
  return title.normalize("NFKC").toLowerCase();
}

type ScopeColumns = Pick<PersonalTokenRow, "role" | "project_role" | "project_ids">;

function toScope({ role, project_role, project_ids }: ScopeColumns): TokenScope {
  return {
    ...(role !== null && { role }),
    ...(project_role !== null && {
      projects: { role: project_role, ids: projectIdsColumn.decode(project_ids) },
    }),
  };
}

function toScopeColumns({ role, projects }: TokenScope): ScopeColumns {
  return {
    role: role ?? null,
    project_role: projects?.role ?? null,
    project_ids: projectIdsColumn.encode([...(projects?.ids ?? [])]),
  };
}

function toPersonalToken(row: PersonalTokenRow): PersonalToken {
  return {
    id: row.id,
    userId: row.user_id,
    orgId: row.org_id,
    title: row.title,
    scope: toScope(row),
    metadata: metadataColumn.decode(row.metadata),
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
    ...(row.regenerated_at !== null && { regeneratedAt: new Date(row.regenerated_at) }),
    ...(row.last_used_at !== null && { lastUsedAt: new Date(row.last_used_at) }),
    expiresAt: new Date(row.expires_at),
  };
}

/** Stores a new token. @throws a unique violation when its owner has one of that title there */
export async function insertToken(tx: Tx, token: PersonalToken, secretHash: string): Promise<void> {
  await tx
    .insertInto("personal_tokens")
    .values({
      id: token.id,
      user_id: token.userId,
      org_id: token.orgId,
      title: token.title,
      title_key: toTitleKey(token.title),
      secret_hash: secretHash,
      ...toScopeColumns(token.scope),
      metadata: metadataColumn.encode(token.metadata),
      created_at: token.createdAt.getTime(),
      updated_at: token.updatedAt.getTime(),
      regenerated_at: null,
      last_used_at: null,
      unused_mail_due_at: token.createdAt.getTime() + unusedMs,
      expires_at: token.expiresAt.getTime(),
    })
    .execute();
}

/** A person's tokens, of one organization or all, newest first. */
export async function findTokens(reader: Reader, userId: string, orgId?: string): Promise<PersonalToken[]> {
  let query = reader.selectFrom("personal_tokens").selectAll().where("user_id", "=", userId);
  if (orgId !== undefined) query = query.where("org_id", "=", orgId);
  return (await query.orderBy("id", "desc").execute()).map(toPersonalToken);
}

/** A range of all tokens of a person, newest first. */
export async function findTokenRange(
  reader: Reader,
  userId: string,
  { afterId, limit }: IdRange,
): Promise<PersonalToken[]> {
  let query = reader.selectFrom("personal_tokens").selectAll().where("user_id", "=", userId);
  if (afterId !== "") query = query.where("id", "<", afterId);
  return (await query.orderBy("id", "desc").limit(limit).execute()).map(toPersonalToken);
}

/** One of a person's tokens. */
export async function findToken(
  reader: Reader,
  userId: string,
  id: string,
): Promise<PersonalToken | undefined> {
  const row = await reader
    .selectFrom("personal_tokens")
    .selectAll()
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .executeTakeFirst();
  return row && toPersonalToken(row);
}

/** Whether a person has a token of such a title in an organization. */
export async function hasTitle(
  reader: Reader,
  userId: string,
  orgId: string,
  title: string,
): Promise<boolean> {
  const row = await reader
    .selectFrom("personal_tokens")
    .select("id")
    .where("user_id", "=", userId)
    .where("org_id", "=", orgId)
    .where("title_key", "=", toTitleKey(title))
    .executeTakeFirst();
  return row !== undefined;
}

/** How many tokens a person has in an organization. */
export async function countTokens(reader: Reader, userId: string, orgId: string): Promise<number> {
  const row = await reader
    .selectFrom("personal_tokens")
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .where("user_id", "=", userId)
    .where("org_id", "=", orgId)
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** What is changed of a token. */
export interface TokenChange extends Partial<Pick<PersonalToken, "title" | "scope" | "metadata">> {
  /** Of a new secret, with how long it lives. */
  readonly secret?: { readonly hash: string; readonly expiresAt: Date };
}

/** Changes one of a person's tokens and answers it; undefined when it is gone. @throws a unique violation as {@link insertToken} */
export async function updateToken(
  tx: Tx,
  { userId, id }: Pick<PersonalToken, "userId" | "id">,
  { title, scope, metadata, secret }: TokenChange,
  now: Date,
): Promise<PersonalToken | undefined> {
  const row = await tx
    .updateTable("personal_tokens")
    .set({
      updated_at: now.getTime(),
      ...(title !== undefined && { title, title_key: toTitleKey(title) }),
      ...(scope !== undefined && toScopeColumns(scope)),
      ...(metadata !== undefined && { metadata: metadataColumn.encode(metadata) }),
      ...(secret !== undefined && {
        secret_hash: secret.hash,
        expires_at: secret.expiresAt.getTime(),
        regenerated_at: now.getTime(),
        unused_mail_due_at: now.getTime() + unusedMs,
      }),
    })
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .returningAll()
    .executeTakeFirst();
  return row && toPersonalToken(row);
}

/** Removes one of a person's tokens and answers it; undefined when there is none. */
export async function deleteToken(tx: Tx, userId: string, id: string): Promise<PersonalToken | undefined> {
  const row = await tx
    .deleteFrom("personal_tokens")
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .returningAll()
    .executeTakeFirst();
  return row && toPersonalToken(row);
}

/** Removes all of a person's tokens, and answers their ids. */
export async function deleteTokens(tx: Tx, userId: string): Promise<string[]> {
  const rows = await tx.deleteFrom("personal_tokens").where("user_id", "=", userId).returning("id").execute();
  return rows.map(({ id }) => id);
}

/** Removes a token, whosever it is; does nothing when it is gone. */
export async function deleteTokenById(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom("personal_tokens").where("id", "=", id).execute();
}

function selectLive(database: Reader) {
  return database
    .selectFrom("personal_tokens")
    .innerJoin("users", "users.id", "personal_tokens.user_id")
    .innerJoin("organizations", "organizations.id", "personal_tokens.org_id")
    .innerJoin("memberships", (join) =>
      join
        .onRef("memberships.org_id", "=", "personal_tokens.org_id")
        .onRef("memberships.user_id", "=", "personal_tokens.user_id"),
    )
    .select([
      "personal_tokens.id",
      "personal_tokens.user_id",
      "personal_tokens.org_id",
      "personal_tokens.role",
      "personal_tokens.project_role",
      "personal_tokens.project_ids",
      "personal_tokens.regenerated_at",
      "personal_tokens.last_used_at",
      "personal_tokens.expires_at",
      "users.email",
      "users.email_proven",
      "users.state as user_state",
      "organizations.state as org_state",
      "memberships.role as member_role",
    ]);
}

const selectLiveByHash = prepared((database, { secretHash }: { secretHash: string }) =>
  selectLive(database).where("personal_tokens.secret_hash", "=", secretHash),
);

const selectLiveById = prepared((database, { id }: { id: string }) =>
  selectLive(database).where("personal_tokens.id", "=", id),
);

type LiveRow = Awaited<ReturnType<typeof selectLiveById.first>> & object;

function toLiveToken(row: LiveRow): LiveToken {
  return {
    id: row.id,
    userId: row.user_id,
    orgId: row.org_id,
    scope: toScope(row),
    ...(row.regenerated_at !== null && { regeneratedAt: new Date(row.regenerated_at) }),
    ...(row.last_used_at !== null && { lastUsedAt: new Date(row.last_used_at) }),
    expiresAt: new Date(row.expires_at),
    email: row.email,
    emailProven: row.email_proven === 1,
    userState: row.user_state,
    orgState: row.org_state,
    memberRole: row.member_role,
  };
}

/** The token of a secret, with what its owner is; may have expired. */
export async function findLiveTokenByHash(
  reader: Reader,
  secretHash: string,
): Promise<LiveToken | undefined> {
  const row = await selectLiveByHash.first(reader, { secretHash });
  return row && toLiveToken(row);
}

/** A token by id, with what its owner is; may have expired. */
export async function findLiveToken(reader: Reader, id: string): Promise<LiveToken | undefined> {
  const row = await selectLiveById.first(reader, { id });
  return row && toLiveToken(row);
}

/** Who makes a token, as of a transaction. */
export interface Maker {
  readonly isEnabled: boolean;
  readonly emailProven: boolean;
  /** What they are in the organization; undefined for no member. */
  readonly role: Role | undefined;
}

/**
 * Locks a person and what they are in an organization, so that all who make
 * tokens for them there, and whoever takes their role, wait until the
 * transaction ends. Users are locked before organizations.
 */
export async function lockMaker(tx: Tx, userId: string, orgId: string): Promise<Maker | undefined> {
  const user = await tx
    .selectFrom("users")
    .select(["state", "email_proven"])
    .where("id", "=", userId)
    .$call(forUpdate(tx))
    .executeTakeFirst();
  const membership = await tx
    .selectFrom("memberships")
    .select("role")
    .where("org_id", "=", orgId)
    .where("user_id", "=", userId)
    .$call(forUpdate(tx))
    .executeTakeFirst();
  return (
    user && {
      isEnabled: user.state === "enabled",
      emailProven: user.email_proven === 1,
      role: membership?.role,
    }
  );
}

/** Of some projects those that are in an organization, and that a person was let into where that is asked. */
export async function findVisibleProjectIds(
  reader: Reader,
  orgId: string,
  ids: readonly string[],
  memberId: string | undefined,
): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  let query = reader.selectFrom("projects").select("id").where("org_id", "=", orgId).where("id", "in", ids);
  if (memberId !== undefined) {
    query = query.where("id", "in", (members) =>
      members
        .selectFrom("project_members")
        .select("project_id")
        .where("principal_type", "=", "user")
        .where("principal_id", "=", memberId),
    );
  }
  return new Set((await query.execute()).map(({ id }) => id));
}

const touch = prepared((database, row: { id: string; atMs: number; aheadMs: number; dueMs: number }) =>
  database
    .updateTable("personal_tokens")
    .set({ last_used_at: row.atMs, unused_mail_due_at: row.dueMs })
    .where("id", "=", row.id)
    .where((eb) =>
      eb.or([
        eb("last_used_at", "is", null),
        eb("last_used_at", "<", row.atMs),
        eb("last_used_at", ">", row.aheadMs),
      ]),
    ),
);

/** Notes last uses, from which on it counts how long each is not used; an older one changes nothing, unless a clock ran ahead. */
export async function touchTokens(
  tx: Tx,
  uses: readonly { readonly id: string; readonly at: Date }[],
): Promise<void> {
  for (const { id, at } of uses) {
    const atMs = at.getTime();
    await touch.run(tx, { id, atMs, aheadMs: atMs + clockSlackMs, dueMs: atMs + unusedMs });
  }
}

/** A token that has not been used for long, and who is to be told. */
export interface UnusedToken {
  readonly email: string;
  readonly title: string;
  /** Title or name. */
  readonly organization: string;
}

/** Takes up to `limit` tokens out that are good and whose owners are to be told that they are not used, each once. */
export async function takeUnused(tx: Tx, now: Date, limit: number): Promise<UnusedToken[]> {
  const rows = await tx
    .updateTable("personal_tokens")
    .set({ unused_mail_due_at: null })
    .where("id", "in", (due) =>
      due
        .selectFrom("personal_tokens")
        .select("id")
        .where("unused_mail_due_at", "<=", now.getTime())
        .orderBy("unused_mail_due_at")
        .limit(limit),
    )
    // Asked anew as each is changed: another process may have been first.
    .where("unused_mail_due_at", "<=", now.getTime())
    .returning(["id"])
    .execute();
  if (rows.length === 0) return [];
  const unused = await tx
    .selectFrom("personal_tokens")
    .innerJoin("users", "users.id", "personal_tokens.user_id")
    .innerJoin("organizations", "organizations.id", "personal_tokens.org_id")
    .select([
      "users.email",
      "personal_tokens.title",
      "organizations.title as org_title",
      "organizations.name",
    ])
    .where(
      "personal_tokens.id",
      "in",
      rows.map(({ id }) => id),
    )
    .where("personal_tokens.expires_at", ">", now.getTime())
    .where("users.state", "=", "enabled")
    .where("users.email_proven", "=", 1)
    .execute();
  return unused.map(({ email, title, org_title, name }) => ({
    email,
    title,
    organization: org_title || name,
  }));
}

/** How long an expired token is kept to be looked at, and made anew, in milliseconds. */
const expiredKeptMs = 90 * 86_400_000;

/** Removes tokens that expired long ago. */
export const deleteLongExpired = removeOld("personal_tokens", ["id"], "expires_at", expiredKeptMs);
