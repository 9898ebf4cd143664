/**
 * A person's identities at providers, once they are joined: the rules.
 *
 * How one comes to be joined is `accounts.ts`. Here its owner looks at it and
 * parts with it, but never with the last way into the account.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import { deleteIdentity, findIdentities, type Identity } from "./identity-store.ts";
import { findUser, lockUser } from "./store.ts";
import { requireNoUndo } from "./undo.ts";

/** What tells identities apart. */
export type IdentityKey = Pick<Identity, "issuer" | "subject">;

/** Parts that a person's identities stand on. */
export interface IdentityServiceOptions {
  readonly database: Database;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** Whether a user has a passkey. */
  readonly hasPasskey: (tx: Tx, userId: string) => Promise<boolean>;
  /** Tells an owner what happened to their account. Best effort: must not throw. */
  readonly notify: (email: string, identity: Identity) => void;
}

/** Keeps identities. */
export class IdentityService {
  readonly #options: IdentityServiceOptions;

  constructor(options: IdentityServiceOptions) {
    this.#options = options;
  }

  /** The caller's own, oldest first. @throws DomainError NOT_AUTHORIZED for machines. */
  async list(caller: Caller): Promise<Identity[]> {
    return await findIdentities(this.#options.database.reader, requireUser(caller).id);
  }

  /** @throws DomainError IDENTITY_NOT_FOUND, also for another person's, LAST_WAY_IN, EMAIL_UNDO_OPEN */
  async unlink(caller: Caller, { issuer, subject }: IdentityKey): Promise<void> {
    const { database, audit, clock, hasPasskey, notify } = this.#options;
    const user = requireUser(caller);
    const identity = await database.transaction(async (tx) => {
      // Whoever takes a way in from the account waits for the others.
      const owner = await lockUser(tx, user.id);
      const all = await findIdentities(tx, user.id);
      const found = all.find((one) => one.issuer === issuer && one.subject === subject);
      if (found === undefined) throw new DomainError("IDENTITY_NOT_FOUND");
      const isLast = all.length === 1 && !owner?.emailProven && !(await hasPasskey(tx, user.id));
      if (isLast) throw new DomainError("LAST_WAY_IN");
      await requireNoUndo(tx, user.id, clock.now(), found.createdAt);
      await deleteIdentity(tx, { issuer, subject });
      await audit.record(tx, caller, {
        action: "identity.unlink",
        target: user.id,
        details: { issuer, strategy: found.strategy },
      });
      return found;
    });
    notify(user.email, identity);
  }
}

/** Whether a user gets in without a passkey: by mail to an address that is proven theirs, or by an identity. */
export async function hasWayInWithoutPasskey(tx: Tx, userId: string): Promise<boolean> {
  const user = await findUser(tx, userId);
  return user?.emailProven === true || (await findIdentities(tx, userId)).length > 0;
}

function requireUser({ principal }: Caller): UserPrincipal {
  if (principal.type === "user") return principal;
  throw new DomainError("NOT_AUTHORIZED", { detail: "only people have identities" });
}
