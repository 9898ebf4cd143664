import type { Selectable } from "kysely";
import type { Reader, Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
import type { IdentityRow } from "../db/schema.ts";

/** An account at an identity provider that signs a user in. */
export interface Identity {
  readonly issuer: string;
  /** The provider's own id of the person: the same for ever, whatever becomes of their address. */
  readonly subject: string;
  readonly userId: string;
  /** Name of the strategy that it came by. */
  readonly strategy: string;
  /** As the provider told it when it was joined, or gave it last; may be empty. */
  readonly email: string;
  /** Whether the account's address is this one, and the provider spoke for its domain when it gave it. */
  readonly gaveEmail: boolean;
  readonly createdAt: Date;
}

const selectIdentity = prepared((database, { issuer, subject }: { issuer: string; subject: string }) =>
  database.selectFrom("identities").selectAll().where("issuer", "=", issuer).where("subject", "=", subject),
);

/** The identity of an issuer and subject. */
export async function findIdentity(
  reader: Reader,
  key: { readonly issuer: string; readonly subject: string },
): Promise<Identity | undefined> {
  const row = await selectIdentity.first(reader, { issuer: key.issuer, subject: key.subject });
  return row && toIdentity(row);
}

/** A user's identities, oldest first. */
export async function findIdentities(reader: Reader, userId: string): Promise<Identity[]> {
  const rows = await reader
    .selectFrom("identities")
    .selectAll()
    .where("user_id", "=", userId)
    .orderBy("created_at")
    .orderBy("issuer")
    .limit(100)
    .execute();
  return rows.map(toIdentity);
}

/** Stores an identity. @throws a unique violation when there is one of that issuer and subject. */
export async function insertIdentity(tx: Tx, identity: Identity): Promise<void> {
  await tx.insertInto("identities").values(toIdentityRow(identity)).execute();
}

/** The row of an identity. */
export function toIdentityRow(identity: Identity) {
  return {
    issuer: identity.issuer,
    subject: identity.subject,
    user_id: identity.userId,
    strategy: identity.strategy,
    email: identity.email,
    gave_email: identity.gaveEmail ? 1 : 0,
    created_at: identity.createdAt.getTime(),
  } as const;
}

/** Removes an identity; does nothing when there is none. */
export async function deleteIdentity(tx: Tx, { issuer, subject }: Pick<Identity, "issuer" | "subject">) {
  await tx.deleteFrom("identities").where("issuer", "=", issuer).where("subject", "=", subject).execute();
}

/** Removes a user's identities, all or those joined at an instant or later, and answers how many there were. */
export async function deleteIdentities(tx: Tx, userId: string, since = new Date(0)): Promise<number> {
  const result = await tx
    .deleteFrom("identities")
    .where("user_id", "=", userId)
    .where("created_at", ">=", since.getTime())
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** Notes that the address of a user is none that an identity gave. */
export async function forgetGivenEmail(tx: Tx, userId: string): Promise<void> {
  await tx.updateTable("identities").set({ gave_email: 0 }).where("user_id", "=", userId).execute();
}

/** Notes that the address of its user is the one that an identity gives. */
export async function noteGivenEmail(
  tx: Tx,
  { issuer, subject }: Pick<Identity, "issuer" | "subject">,
  email: string,
): Promise<void> {
  await tx
    .updateTable("identities")
    .set({ email, gave_email: 1 })
    .where("issuer", "=", issuer)
    .where("subject", "=", subject)
    .execute();
}

/** An identity as its row says. */
export function toIdentity(row: Selectable<IdentityRow>): Identity {
  return {
    issuer: row.issuer,
    subject: row.subject,
    userId: row.user_id,
    strategy: row.strategy,
    email: row.email,
    gaveEmail: row.gave_email === 1,
    createdAt: new Date(row.created_at),
  };
}

/** Whether an address was invited to sign up. */
export async function isInvited(reader: Reader, email: string): Promise<boolean> {
  const row = await reader
    .selectFrom("invitations")
    .select("email")
    .where("email", "=", email)
    .executeTakeFirst();
  return row !== undefined;
}
