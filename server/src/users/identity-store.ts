import type { Reader, Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";

/** An account at an identity provider that signs a user in. */
export interface Identity {
  readonly issuer: string;
  /** The provider's own id of the person: the same for ever, whatever becomes of their address. */
  readonly subject: string;
  readonly userId: string;
  /** Name of the strategy that it came by. */
  readonly strategy: string;
  /** As the provider told it when it was joined; may be empty. */
  readonly email: string;
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
  return row && { ...toKey(row), createdAt: new Date(row.created_at) };
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
  return rows.map((row) => ({ ...toKey(row), createdAt: new Date(row.created_at) }));
}

/** Stores an identity. @throws a unique violation when there is one of that issuer and subject. */
export async function insertIdentity(tx: Tx, identity: Identity): Promise<void> {
  await tx
    .insertInto("identities")
    .values({
      issuer: identity.issuer,
      subject: identity.subject,
      user_id: identity.userId,
      strategy: identity.strategy,
      email: identity.email,
      created_at: identity.createdAt.getTime(),
    })
    .execute();
}

/** Removes an identity; does nothing when there is none. */
export async function deleteIdentity(tx: Tx, { issuer, subject }: Pick<Identity, "issuer" | "subject">) {
  await tx.deleteFrom("identities").where("issuer", "=", issuer).where("subject", "=", subject).execute();
}

/** Removes all identities of a user. */
export async function deleteIdentities(tx: Tx, userId: string): Promise<void> {
  await tx.deleteFrom("identities").where("user_id", "=", userId).execute();
}

function toKey(row: { issuer: string; subject: string; user_id: string; strategy: string; email: string }) {
  const { issuer, subject, user_id: userId, strategy, email } = row;
  return { issuer, subject, userId, strategy, email };
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
