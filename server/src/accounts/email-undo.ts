/**
 * How the mailbox that an account's address was changed from takes it back.
 *
 * Whoever changed it may have been a thief: with the address come back all that
 * they could have left behind to come in by. A thief who changes it several
 * times leaves each mailbox on the way a link, so the earliest wins: one undone
 * takes the later ones with it, and leaves those from before.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";
import { hashSecret } from "../lib/secrets.ts";
import type { MailMessage } from "../mail/message.ts";
import type { UserPrincipal } from "../principals/principal.ts";
import { type EndFlows, lockForMove, moveUser } from "../users/move.ts";
import { findUser } from "../users/store.ts";
import { consumeUndo, deleteUndos, findUndo, fixEmail, type EmailUndo as Undo } from "../users/undo-store.ts";
import { toLostNotice, toTakenBackNotice } from "./notices.ts";

/** Path of the page that the link of an undo opens. */
export const undoPath = "/email-change/undo";

/** How long a change can be undone, in milliseconds: 7 days. */
export const undoableMs = 7 * 24 * 3_600_000;

/** How long an address that was taken back stays, in milliseconds: 72 hours. */
const fixedMs = 72 * 3_600_000;

/** What of an account is gone when its address is taken back. */
export interface Withdrawn {
  readonly count: number;
  /** To be appended to the feed at the end of the transaction. */
  readonly changes?: readonly Change[];
}

/** Takes from a user, with `tx`, what was added at an instant or later; sessions and personal access tokens all. */
type Withdraw = (tx: Tx, userId: string, since: Date) => Promise<Withdrawn>;

/** Parts that undoing stands on. */
export interface EmailUndoOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly endFlows: EndFlows;
  /** Whatever a thief could come in by, by the name that the audit has for it. */
  readonly withdraw: Readonly<Record<"sessions" | "passkeys" | "identities" | "pats", Withdraw>>;
  /** Sends a notice. Best effort: must not throw. */
  readonly notify: (mail: MailMessage) => void;
  readonly siteName: string;
}

/** A change that can be undone. */
export interface UndoableChange {
  /** The address before. */
  readonly from: string;
  /** The one that the account has. */
  readonly to: string;
  readonly changedAt: Date;
  readonly expiresAt: Date;
}

/** @see the head of this file */
export class EmailUndo {
  readonly #options: EmailUndoOptions;

  constructor(options: EmailUndoOptions) {
    this.#options = options;
  }

  /** The change that a link undoes, which looking at it does not. @throws DomainError INVALID_FLOW */
  async look(token: string): Promise<UndoableChange> {
    const { database, clock } = this.#options;
    const undo = await findUndo(database.reader, hashSecret(token), clock.now());
    const user = undo && (await findUser(database.reader, undo.userId));
    if (undo === undefined || user === undefined) throw new DomainError("INVALID_FLOW");
    const { email: from, changedAt, expiresAt } = undo;
    return { from, to: user.email, changedAt, expiresAt };
  }

  /** Takes the address back, and answers it. @throws DomainError INVALID_FLOW */
  async undo(token: string, request: RequestInfo): Promise<string> {
    const { database, clock, notify, siteName } = this.#options;
    const { from, to } = await database.transaction(async (tx) => {
      const undo = await findUndo(tx, hashSecret(token), clock.now());
      if (undo === undefined) throw new DomainError("INVALID_FLOW");
      return await this.#takeBack(tx, undo, request);
    });
    notify(toTakenBackNotice(siteName, from));
    if (to !== from) notify(toLostNotice(siteName, to));
    return from;
  }

  async #takeBack(tx: Tx, undo: Undo, request: RequestInfo): Promise<{ from: string; to: string }> {
    const { clock, endFlows, withdraw, audit, feed } = this.#options;
    const { userId, email, changedAt } = undo;
    const before = await lockForMove(tx, userId, email, endFlows);
    if (before === undefined || !(await consumeUndo(tx, undo.id))) throw new DomainError("INVALID_FLOW");
    const now = clock.now();
    const { isEmailGiven: _, ...kept } = before;
    await moveUser(tx, before, { ...kept, email, emailProven: true, updatedAt: now });
    await deleteUndos(tx, userId, changedAt);
    await fixEmail(tx, userId, new Date(now.getTime() + fixedMs));
    const sessions = await withdraw.sessions(tx, userId, changedAt);
    const passkeys = await withdraw.passkeys(tx, userId, changedAt);
    const identities = await withdraw.identities(tx, userId, changedAt);
    const pats = await withdraw.pats(tx, userId, changedAt);
    const principal: UserPrincipal = {
      type: "user",
      id: userId,
      email,
      emailProven: true,
      superuser: false,
      sessionId: undo.id,
      authVia: "session",
      credentialKind: "email_undo",
    };
    await audit.record(
      tx,
      { principal, request },
      {
        action: "user.undo_email_change",
        target: userId,
        mailbox: email,
        details: {
          email,
          previous_email: before.email,
          sessions: String(sessions.count),
          passkeys: String(passkeys.count),
          identities: String(identities.count),
          pats: String(pats.count),
        },
      },
    );
    const changes = [sessions, passkeys, identities, pats].flatMap((each) => each.changes ?? []);
    await feed.append(tx, { topic: "user", subject: userId }, ...changes);
    return { from: email, to: before.email };
  }
}
