/**
 * Rows of invitations. They stand here because they live by somebody's power in
 * an organization, and are gone in the transaction that ends it; the rules of
 * inviting are the room's above.
 */
import { z } from "zod";
import type { AuditEvent } from "../audit/audit.ts";
import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { jsonColumn } from "../db/json-column.ts";
import { isUuid } from "../lib/ids.ts";
import { type Invitation, type Inviter, type InviterStanding, powerOf } from "./invitation.ts";

const projectsColumn = jsonColumn<readonly string[]>(
  "organization_invitations.project_ids",
  z.array(z.string()),
);

function invitations(reader: Reader) {
  return reader
    .selectFrom("organization_invitations as invitation")
    .innerJoin("organizations", "organizations.id", "invitation.org_id")
    .leftJoin("users", "users.id", "invitation.invited_by_id")
    .leftJoin("service_users", "service_users.id", "invitation.invited_by_id")
    .selectAll("invitation")
    .select(["organizations.name", "organizations.title", "organizations.state"])
    .select(["users.email as inviter_email", "service_users.title as inviter_title"]);
}

type Row = Awaited<ReturnType<ReturnType<typeof invitations>["executeTakeFirstOrThrow"]>>;

function toInvitation(row: Row): Invitation {
  return {
    id: row.id,
    orgId: row.org_id,
    organization: { id: row.org_id, name: row.name, title: row.title, state: row.state },
    email: row.email,
    role: row.role,
    projectIds: projectsColumn.decode(row.project_ids),
    invitedBy: {
      type: row.invited_by_type,
      id: row.invited_by_id,
      name: row.inviter_email ?? row.inviter_title ?? "",
    },
    createdAt: new Date(row.created_at),
    ...(row.sent_at !== null && { sentAt: new Date(row.sent_at) }),
    expiresAt: new Date(row.expires_at),
  };
}

/** One invitation, by an id of any form; of one organization if given. */
export async function findInvitation(
  reader: Reader,
  id: string,
  orgId?: string,
): Promise<Invitation | undefined> {
  if (!isUuid(id)) return undefined;
  const query = invitations(reader).where("invitation.id", "=", id.toLowerCase());
  const row = await (orgId === undefined
    ? query
    : query.where("invitation.org_id", "=", orgId)
  ).executeTakeFirst();
  return row && toInvitation(row);
}

/** An organization's invitations after an id, oldest first; of one address if given. */
export async function findInvitations(
  reader: Reader,
  orgId: string,
  filter: { readonly email?: string; readonly afterId: string; readonly limit: number },
): Promise<Invitation[]> {
  const { email, afterId, limit } = filter;
  const query = invitations(reader)
    .where("invitation.org_id", "=", orgId)
    .where("invitation.id", ">", afterId)
    .orderBy("invitation.id")
    .limit(limit);
  const rows = await (email === undefined ? query : query.where("invitation.email", "=", email)).execute();
  return rows.map(toInvitation);
}

/** Invitations of an address, in lower case, oldest first. */
export async function findInvitationsTo(reader: Reader, email: string, limit: number): Promise<Invitation[]> {
  const rows = await invitations(reader)
    .where("invitation.email", "=", email)
    .orderBy("invitation.id")
    .limit(limit)
    .execute();
  return rows.map(toInvitation);
}

/** How many invitations of one address count. */
const mostCounted = 200;

/** By which powers an address is invited, pending, into enabled organizations. @param adminEmails as {@link powerOf} */
export async function findInvitingPowers(
  reader: Reader,
  email: string,
  adminEmails: readonly string[],
  now: Date,
): Promise<ReadonlySet<"superuser" | "owner">> {
  const powers = new Set<"superuser" | "owner">();
  for (const invitation of await findInvitationsTo(reader, email, mostCounted)) {
    if (invitation.expiresAt <= now || invitation.organization.state === "disabled") continue;
    const standing = await findInviterStanding(reader, invitation);
    const power = standing && powerOf(standing, adminEmails);
    if (power !== undefined) powers.add(power);
  }
  return powers;
}

/** SHA-256 of what the link of an invitation's latest mail carries, base64url. */
export async function findTokenHash(reader: Reader, id: string): Promise<string | undefined> {
  const row = await reader
    .selectFrom("organization_invitations")
    .select("token_hash")
    .where("id", "=", id)
    .executeTakeFirst();
  return row?.token_hash ?? undefined;
}

/** An invitation whose row is held until the transaction ends. */
export async function lockInvitation(tx: Tx, id: string): Promise<Invitation | undefined> {
  await tx
    .selectFrom("organization_invitations")
    .select("id")
    .where("id", "=", id)
    .$call(forUpdate(tx))
    .execute();
  return await findInvitation(tx, id);
}

/** What is asked of somebody, and by whom. */
export interface InvitationDraft
  extends Pick<Invitation, "orgId" | "email" | "role" | "projectIds" | "expiresAt"> {
  readonly invitedBy: Inviter;
  /** Whether they are a superuser. */
  readonly bySuperuser: boolean;
}

function toColumns(draft: Omit<InvitationDraft, "orgId" | "email">, now: Date) {
  return {
    role: draft.role,
    project_ids: projectsColumn.encode(draft.projectIds),
    token_hash: null,
    invited_by_type: draft.invitedBy.type,
    invited_by_id: draft.invitedBy.id,
    by_superuser: draft.bySuperuser ? 1 : 0,
    sent_at: null,
    expires_at: draft.expiresAt.getTime(),
    mail_due_at: now.getTime(),
    mail_attempts: 0,
  } as const;
}

/** Stores a new invitation, whose mail is due. Lock its organization before. */
export async function insertInvitation(tx: Tx, id: string, draft: InvitationDraft, now: Date): Promise<void> {
  await tx
    .insertInto("organization_invitations")
    .values({
      id,
      org_id: draft.orgId,
      email: draft.email,
      created_at: now.getTime(),
      ...toColumns(draft, now),
    })
    .execute();
}

/** Asks anew, under the same id: the link of the mail before is dead, another mail is due. */
export async function renewInvitation(tx: Tx, id: string, draft: InvitationDraft, now: Date): Promise<void> {
  await tx.updateTable("organization_invitations").set(toColumns(draft, now)).where("id", "=", id).execute();
}

/** Removes an invitation; false when it is gone. */
export async function deleteInvitation(tx: Tx, id: string): Promise<boolean> {
  const result = await tx.deleteFrom("organization_invitations").where("id", "=", id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** How many invitations of an organization are pending. */
export async function countPending(tx: Tx, orgId: string, now: Date): Promise<number> {
  const row = await tx
    .selectFrom("organization_invitations")
    .select(({ fn }) => fn.countAll<number>().as("count"))
    .where("org_id", "=", orgId)
    .where("expires_at", ">", now.getTime())
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** When the next of an organization's pending invitations expires; `now` if there is none. */
export async function findNextExpiry(tx: Tx, orgId: string, now: Date): Promise<Date> {
  const row = await tx
    .selectFrom("organization_invitations")
    .select("expires_at")
    .where("org_id", "=", orgId)
    .where("expires_at", ">", now.getTime())
    .orderBy("expires_at")
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? now : new Date(row.expires_at);
}

/** What whoever sent an invitation is by now; undefined when they are gone. */
export async function findInviterStanding(
  reader: Reader,
  { invitedBy, orgId }: Pick<Invitation, "invitedBy" | "orgId">,
): Promise<InviterStanding | undefined> {
  if (invitedBy.type === "serviceuser") {
    const row = await reader
      .selectFrom("service_users")
      .select(["org_id", "role", "state", "superuser"])
      .where("id", "=", invitedBy.id)
      .executeTakeFirst();
    return (
      row && {
        isEnabled: row.state === "enabled",
        role: row.org_id === orgId ? row.role : undefined,
        emailProven: false,
        isSuperuser: row.superuser === 1,
      }
    );
  }
  const row = await reader
    .selectFrom("users")
    .leftJoin("memberships", (join) =>
      join.onRef("memberships.user_id", "=", "users.id").on("memberships.org_id", "=", orgId),
    )
    .select(["users.email", "users.email_proven", "users.state", "memberships.role"])
    .where("users.id", "=", invitedBy.id)
    .executeTakeFirst();
  return (
    row && {
      isEnabled: row.state === "enabled",
      role: row.role ?? undefined,
      email: row.email,
      emailProven: row.email_proven === 1,
      isSuperuser: false,
    }
  );
}

/**
 * Removes what somebody sent, with the transaction that takes the power by
 * which they did: in all organizations, or in one, where what they sent as a
 * superuser stays.
 *
 * @param because name of the action that took it.
 * @returns what is to be recorded.
 */
export async function deleteInvitationsBy(
  tx: Tx,
  { type, id }: Inviter,
  because: string,
  orgId?: string,
): Promise<AuditEvent[]> {
  const query = tx
    .deleteFrom("organization_invitations")
    .where("invited_by_type", "=", type)
    .where("invited_by_id", "=", id)
    .returning(["id", "org_id", "email"]);
  const rows = await (orgId === undefined
    ? query
    : query.where("org_id", "=", orgId).where("by_superuser", "=", 0)
  ).execute();
  return rows.map((row) => toDeletion(row, because));
}

/** Removes the invitations to an address, whose account is gone. @returns what is to be recorded. */
export async function deleteInvitationsTo(tx: Tx, email: string, because: string): Promise<AuditEvent[]> {
  const rows = await tx
    .deleteFrom("organization_invitations")
    .where("email", "=", email)
    .returning(["id", "org_id", "email"])
    .execute();
  return rows.map((row) => toDeletion(row, because));
}

function toDeletion(
  { id, org_id, email }: { readonly id: string; readonly org_id: string; readonly email: string },
  because: string,
): AuditEvent {
  return {
    action: "invitation.delete",
    target: id,
    orgId: org_id,
    mailbox: email,
    details: { email, because },
  };
}

/** How long an invitation is kept that has expired, in milliseconds. */
const keptMs = 7 * 24 * 3_600_000;

/** Removes up to `limit` invitations that expired a week ago, and answers them. */
export async function deleteLongExpired(
  tx: Tx,
  now: Date,
  limit: number,
): Promise<{ readonly id: string; readonly orgId: string; readonly email: string }[]> {
  const horizon = now.getTime() - keptMs;
  const rows = await tx
    .deleteFrom("organization_invitations")
    .where("expires_at", "<=", horizon)
    .where("id", "in", (expired) =>
      expired
        .selectFrom("organization_invitations")
        .select("id")
        .where("expires_at", "<=", horizon)
        .orderBy("expires_at")
        .limit(limit),
    )
    .returning(["id", "org_id", "email"])
    .execute();
  return rows.map(({ id, org_id: orgId, email }) => ({ id, orgId, email }));
}
