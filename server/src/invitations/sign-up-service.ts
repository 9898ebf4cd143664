/** Whom superusers let sign up, where that takes an invitation: the rules. */
import type { AuditTrail } from "../audit/audit.ts";
import type { Database } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { Caller } from "../principals/principal.ts";
import { requireEmail } from "../users/email.ts";
import { insertSignUp, makeSignUpDue } from "./due-store.ts";
import { takeMails } from "./mail-limits.ts";

/** Parts that invitations to sign up stand on. */
export interface SignUpServiceOptions {
  readonly database: Database;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** Has the mails sent that are due. Never throws, and waits for nothing. */
  readonly onDue: () => void;
}

/** @see the head of this file */
export class SignUpService {
  readonly #options: SignUpServiceOptions;

  constructor(options: SignUpServiceOptions) {
    this.#options = options;
  }

  /**
   * Lets an address sign up; one that may already stays as it is.
   *
   * @param sendsMail whether to tell them by mail, also where they may already.
   * @throws DomainError NOT_AUTHORIZED, INVALID_EMAIL, TOO_MANY_INVITATIONS; nothing is changed then.
   */
  async invite(caller: Caller, address: string, sendsMail: boolean): Promise<void> {
    const { database, audit, clock, onDue } = this.#options;
    const { id: senderId, superuser: isSuperuser } = caller.principal;
    if (!isSuperuser) throw new DomainError("NOT_AUTHORIZED", { detail: "needs a superuser" });
    const email = requireEmail(address);
    await database.transaction(async (tx) => {
      const now = clock.now();
      const isNew = await insertSignUp(tx, email, now);
      if (sendsMail) {
        await takeMails(tx, { orgId: "", senderId, isSuperuser }, [email], now);
        await makeSignUpDue(tx, email, now);
      }
      if (isNew)
        await audit.record(tx, caller, { action: "user.invite", mailbox: email, details: { email } });
    });
    if (sendsMail) onDue();
  }
}
