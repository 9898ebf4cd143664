/** Which invitations wait for their mail, and who sends it. */
import type { Reader, Tx } from "../db/database.ts";

/** Ids of invitations into enabled organizations, still pending, whose mail is due; the longest first. */
export async function findDueInvitations(reader: Reader, now: Date, limit: number): Promise<string[]> {
  const rows = await reader
    .selectFrom("organization_invitations as invitation")
    .innerJoin("organizations", "organizations.id", "invitation.org_id")
    .select("invitation.id")
    .where("invitation.mail_due_at", "<=", now.getTime())
    .where("invitation.expires_at", ">", now.getTime())
    .where("organizations.state", "=", "enabled")
    .orderBy("invitation.mail_due_at")
    .limit(limit)
    .execute();
  return rows.map(({ id }) => id);
}

/** Claims the mail of an invitation, and gives it the link's hash; how often it was claimed, if it is due. */
export async function claimInvitationMail(
  tx: Tx,
  id: string,
  tokenHash: string,
  now: Date,
  until: Date,
): Promise<number | undefined> {
  const row = await tx
    .updateTable("organization_invitations")
    .set((eb) => ({
      token_hash: tokenHash,
      mail_due_at: until.getTime(),
      mail_attempts: eb("mail_attempts", "+", 1),
    }))
    .where("id", "=", id)
    .where("mail_due_at", "<=", now.getTime())
    .returning("mail_attempts")
    .executeTakeFirst();
  return row?.mail_attempts;
}

/** Notes what became of the mail with this link; nothing where it is not the latest any more. */
export async function settleInvitationMail(
  tx: Tx,
  tokenHash: string,
  dueAt: Date | undefined,
  sentAt: Date | undefined,
): Promise<void> {
  await tx
    .updateTable("organization_invitations")
    .set({ mail_due_at: dueAt?.getTime() ?? null, ...(sentAt && { sent_at: sentAt.getTime() }) })
    .where("token_hash", "=", tokenHash)
    .execute();
}

/** Addresses that may sign up, whose mail is due; the longest first. */
export async function findDueSignUps(reader: Reader, now: Date, limit: number): Promise<string[]> {
  const rows = await reader
    .selectFrom("invitations")
    .select("email")
    .where("mail_due_at", "<=", now.getTime())
    .orderBy("mail_due_at")
    .limit(limit)
    .execute();
  return rows.map(({ email }) => email);
}

/** Claims the mail to an address that may sign up; how often it was claimed, if it is due. */
export async function claimSignUpMail(
  tx: Tx,
  email: string,
  now: Date,
  until: Date,
): Promise<number | undefined> {
  const row = await tx
    .updateTable("invitations")
    .set((eb) => ({ mail_due_at: until.getTime(), mail_attempts: eb("mail_attempts", "+", 1) }))
    .where("email", "=", email)
    .where("mail_due_at", "<=", now.getTime())
    .returning("mail_attempts")
    .executeTakeFirst();
  return row?.mail_attempts;
}

/** Notes what became of the mail that was claimed so many times; nothing where it was asked for anew. */
export async function settleSignUpMail(
  tx: Tx,
  email: string,
  attempts: number,
  dueAt: Date | undefined,
): Promise<void> {
  await tx
    .updateTable("invitations")
    .set({ mail_due_at: dueAt?.getTime() ?? null })
    .where("email", "=", email)
    .where("mail_attempts", "=", attempts)
    .execute();
}

/** Lets an address sign up; false when it may already. */
export async function insertSignUp(tx: Tx, email: string, now: Date): Promise<boolean> {
  const result = await tx
    .insertInto("invitations")
    .values({ email, created_at: now.getTime(), mail_due_at: null })
    .onConflict((conflict) => conflict.column("email").doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** Has a mail sent to an address that may sign up. */
export async function makeSignUpDue(tx: Tx, email: string, now: Date): Promise<void> {
  await tx
    .updateTable("invitations")
    .set({ mail_due_at: now.getTime() })
    .where("email", "=", email)
    .execute();
}
