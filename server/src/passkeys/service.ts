/**
 * Passkeys of a person: the rules.
 *
 * Owns the public halves. Adding and removing one is recorded and told to the
 * owner by mail, since whoever adds a passkey to an account has it for good.
 * The ceremonies themselves, and proofs by passkey, are the strategy's (`auth/strategies/passkey.ts`).
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { Database, Tx } from "../db/database.ts";
import { orTaken } from "../db/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import { maxPasskeys, type Passkey, type PasskeyUse } from "./passkey.ts";
import * as store from "./store.ts";

/** A passkey whose ceremony was verified, not yet stored. */
export type NewPasskey = Pick<
  Passkey,
  "userId" | "credentialId" | "publicKey" | "counter" | "transports" | "isSynced" | "isBackedUp"
>;

/** Parts that passkeys stand on. */
export interface PasskeyServiceOptions {
  readonly database: Database;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** Whether a user's session is still there; with `tx`, so that an end is before this addition or after it. */
  readonly holdSession: (tx: Tx, sessionId: string, userId: string) => Promise<boolean>;
  /** Whether a user gets into their account without a passkey. */
  readonly hasOtherWayIn: (tx: Tx, userId: string) => Promise<boolean>;
  /** Refuses to take a way in from a user that was there at an instant, where it has to stay for now. */
  readonly requireRemovable: (tx: Tx, userId: string, since: Date) => Promise<void>;
  /** Tells an owner what happened to their account. Best effort: must not throw. */
  readonly notify: (email: string, event: "added" | "removed", name: string) => void;
}

/** Keeps passkeys. */
export class PasskeyService {
  readonly #database: Database;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #holdSession: PasskeyServiceOptions["holdSession"];
  readonly #hasOtherWayIn: PasskeyServiceOptions["hasOtherWayIn"];
  readonly #requireRemovable: PasskeyServiceOptions["requireRemovable"];
  readonly #notify: PasskeyServiceOptions["notify"];

  constructor(options: PasskeyServiceOptions) {
    this.#database = options.database;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#holdSession = options.holdSession;
    this.#hasOtherWayIn = options.hasOtherWayIn;
    this.#requireRemovable = options.requireRemovable;
    this.#notify = options.notify;
  }

  /**
   * Stores a verified passkey under the next free name, while its owner's session lives: whoever took
   * the account over, or ended its sessions, has no stranger's passkey after it.
   *
   * @param caller its owner, who added it.
   * @throws DomainError TOO_MANY_PASSKEYS, PASSKEY_TAKEN, USER_NOT_FOUND, INVALID_FLOW (the session is over)
   */
  async add(caller: Caller, fresh: NewPasskey): Promise<Passkey> {
    const { sessionId } = requireUser(caller);
    const now = this.#clock.now();
    const { passkey, email } = await orTaken(
      this.#database.transaction(async (tx) => {
        const owner = await this.#getOwner(tx, fresh.userId);
        if (!(await this.#holdSession(tx, sessionId, fresh.userId))) {
          throw new DomainError("INVALID_FLOW", { detail: "passkey: the session was ended meanwhile" });
        }
        const others = await store.findPasskeys(tx, fresh.userId);
        if (others.length >= maxPasskeys) throw new DomainError("TOO_MANY_PASSKEYS");
        const passkey: Passkey = { ...fresh, id: newId(now), name: toFreeName(others), createdAt: now };
        await store.insertPasskey(tx, passkey);
        await this.#audit.record(tx, caller, {
          action: "passkey.add",
          target: passkey.id,
          details: { name: passkey.name },
        });
        return { passkey, email: owner.email };
      }),
      "PASSKEY_TAKEN",
    );
    this.#notify(email, "added", passkey.name);
    return passkey;
  }

  /** Notes that a passkey was used, and records when it has become one that is synced. */
  async noteUse(passkey: Passkey, use: PasskeyUse): Promise<void> {
    await this.#database.transaction(async (tx) => {
      if (!(await store.updatePasskeyUse(tx, passkey.id, use, this.#clock.now()))) return;
      await this.#audit.recordOwn(tx, "server", {
        action: "passkey.sync",
        target: passkey.id,
        details: { user: passkey.userId },
      });
    });
  }

  /** The caller's own, oldest first. @throws DomainError NOT_AUTHORIZED for machines. */
  async list(caller: Caller): Promise<Passkey[]> {
    return await store.findPasskeys(this.#database.reader, requireUser(caller).id);
  }

  /** @throws DomainError PASSKEY_NOT_FOUND, also for another person's. */
  async rename(caller: Caller, id: string, name: string): Promise<Passkey> {
    const user = requireUser(caller);
    return await this.#database.transaction(async (tx) => {
      const passkey = await store.updatePasskeyName(tx, id.toLowerCase(), user.id, name);
      if (passkey === undefined) throw new DomainError("PASSKEY_NOT_FOUND");
      await this.#audit.record(tx, caller, {
        action: "passkey.rename",
        target: passkey.id,
        details: { name },
      });
      return passkey;
    });
  }

  /** @throws DomainError PASSKEY_NOT_FOUND, also for another person's, LAST_WAY_IN, EMAIL_UNDO_OPEN */
  async delete(caller: Caller, passkeyId: string): Promise<void> {
    const user = requireUser(caller);
    const id = passkeyId.toLowerCase();
    const name = await this.#database.transaction(async (tx) => {
      // Whoever takes a way in from the account waits for the others.
      await store.lockUser(tx, user.id);
      const all = await store.findPasskeys(tx, user.id);
      const passkey = all.find((one) => one.id === id);
      if (passkey === undefined) throw new DomainError("PASSKEY_NOT_FOUND");
      if (all.length === 1 && !(await this.#hasOtherWayIn(tx, user.id))) throw new DomainError("LAST_WAY_IN");
      await this.#requireRemovable(tx, user.id, passkey.createdAt);
      await store.deletePasskey(tx, id, user.id);
      await this.#audit.record(tx, caller, { action: "passkey.remove", target: id });
      return passkey.name;
    });
    this.#notify(user.email, "removed", name);
  }

  /** Notes in the audit that a counter went back: the passkey may have been copied. */
  noteCounterRegression(passkey: Passkey, presented: number): void {
    const counters = `stored ${passkey.counter}, presented ${presented}`;
    void this.#database
      .transaction((tx) =>
        this.#audit.recordOwn(tx, "server", {
          action: "passkey.counter_regression",
          target: passkey.id,
          details: { user: passkey.userId, counters },
        }),
      )
      .catch(() => {});
  }

  async #getOwner(tx: Tx, userId: string) {
    await store.lockUser(tx, userId);
    const owner = await store.findPasskeyOwner(tx, userId);
    if (owner === undefined) throw new DomainError("USER_NOT_FOUND");
    return owner;
  }
}

function toFreeName(others: readonly Passkey[]): string {
  const taken = new Set(others.map((one) => one.name));
  for (let number = others.length + 1; ; number++) {
    const name = number === 1 ? "Passkey" : `Passkey ${number}`;
    if (!taken.has(name)) return name;
  }
}

function requireUser({ principal }: Caller): UserPrincipal {
  if (principal.type === "user") return principal;
  throw new DomainError("NOT_AUTHORIZED", { detail: "only people have passkeys" });
}
