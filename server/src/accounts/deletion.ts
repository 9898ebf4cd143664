/**
 * How people leave. What their account shows of them goes in one transaction;
 * organizations keep an owner, and whoever can still take an address back finds
 * the account.
 */
import type { Database, Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import type { MailMessage } from "../mail/message.ts";
import type { Caller } from "../principals/principal.ts";
import { type DeletionParts, deleteAccount, lockForDeletion } from "../users/deletion.ts";
import { requireNoUndo } from "../users/undo.ts";
import { toDeletedNotice } from "./notices.ts";
import { type OwnSessionParts, requireRecentSession } from "./own-session.ts";

/** Parts that leaving stands on. */
export interface AccountDeletionOptions extends OwnSessionParts, DeletionParts {
  readonly database: Database;
  /** Whether a user's session is still there, until `tx` ends. */
  readonly holdSession: (tx: Tx, sessionId: string, userId: string) => Promise<boolean>;
  /** Sends a notice. Best effort: must not throw. */
  readonly notify: (mail: MailMessage) => void;
  readonly siteName: string;
}

/** @see the head of this file */
export class AccountDeletion {
  readonly #options: AccountDeletionOptions;

  constructor(options: AccountDeletionOptions) {
    this.#options = options;
  }

  /**
   * Deletes the caller's account, and tells its address.
   *
   * @throws DomainError NOT_AUTHORIZED, REAUTH_REQUIRED, EMAIL_UNDO_OPEN, LAST_OWNER, NOT_AUTHENTICATED (it is gone, or the session is)
   */
  async delete(caller: Caller): Promise<void> {
    const { database, clock, holdSession, notify, siteName } = this.#options;
    const { id, sessionId } = await requireRecentSession(caller, this.#options);
    const email = await database.transaction(async (tx) => {
      const user = await lockForDeletion(tx, id, this.#options);
      if (user !== undefined) await requireNoUndo(tx, id, clock.now());
      if (user === undefined || !(await holdSession(tx, sessionId, id))) {
        throw new DomainError("NOT_AUTHENTICATED", { detail: "the session was ended meanwhile" });
      }
      await deleteAccount(tx, caller, user, this.#options);
      return user.email;
    });
    notify(toDeletedNotice(siteName, email));
  }
}
