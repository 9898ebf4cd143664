/**
 * Which user a proof belongs to: sign-up, and the joining of identities.
 *
 * An identity is its issuer and subject; its address never moves it to another
 * user. These rules keep strangers out:
 *
 * - An identity joins an account by its address only if that address was
 *   proven here and the provider is authoritative for it. Every other match,
 *   and every address the provider has not verified, needs a code out of the
 *   mailbox first.
 * - Where not everybody may sign up, who may is told by their address: it
 *   counts only once it is proven, by a code or by an authoritative provider.
 * - An account whose address was never proven may have been made by somebody
 *   else. Whoever proves the mailbox from outside of its sessions takes it over
 *   (`take-over.ts`); from inside, they have shown to be who opened it, and it
 *   stays as it is. So it does where a superuser gave the address: nobody else
 *   chose it.
 * - An address that an account had lately, and can take back (`undo-store.ts`),
 *   opens nothing until then, and nobody signs up with it.
 * - A provider changes an account's address under the conditions of
 *   `given-address.ts` alone.
 */
import type { AuditEvent } from "../audit/audit.ts";
import type { Change } from "../changes/topics.ts";
import type { SignupConfig } from "../config/config.ts";
import type { Reader, Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { findInvitingPowers } from "../organizations/invitation-store.ts";
import { toEmailDomain } from "./email.ts";
import { type GivenAddressParts, lockOwner, takeGivenAddress } from "./given-address.ts";
import type { Identity } from "./identity-store.ts";
import * as identities from "./identity-store.ts";
import * as store from "./store.ts";
import { type TakeOver, type TakeOverParts, takeOver } from "./take-over.ts";
import { findHolder } from "./undo-store.ts";
import { toNewUser, type User } from "./user.ts";

/** What an identity provider says of someone. */
export interface ProvenIdentity {
  readonly issuer: string;
  readonly subject: string;
  /** As `toEmail` spells it; absent if the provider told none that it accepts. */
  readonly email?: string;
  /** Whether the provider says it has verified the address. */
  readonly emailVerified: boolean;
  /** Whether the provider is authoritative for the address's domain. */
  readonly isAuthoritative: boolean;
  readonly title?: string;
  readonly avatar?: string;
  /** Name of the strategy that it came by. */
  readonly strategy: string;
}

/** An identity that waits for its mailbox to be proven. */
export type WaitingIdentity = Omit<ProvenIdentity, "emailVerified" | "isAuthoritative">;

/** Someone who may sign in, and what it took. */
export interface Admission {
  readonly user: User;
  /** For the audit, with the transaction that made the changes. */
  readonly events: readonly AuditEvent[];
  /** To be appended to the feed at the end of the transaction. */
  readonly changes: readonly Change[];
  /** Of an account that was taken over: to be told once the transaction has committed. */
  readonly takenOver?: TakeOver;
  /** Of an account whose address an identity has changed, the one before: to be told as well. */
  readonly movedFrom?: string;
}

/** What else is known of whoever has proven a mailbox. */
export interface MailboxProof {
  /** The identity that waited for it. */
  readonly waiting?: WaitingIdentity | undefined;
  /** The user in whose session the proof began and ended. */
  readonly insideOf?: string | undefined;
}

/** Parts that finding the user of a proof stands on, and who may sign up. */
export interface AccountsOptions extends TakeOverParts, GivenAddressParts {
  readonly signup: SignupConfig;
  /** Lower case. May always sign up. */
  readonly adminEmails: readonly string[];
  /** Whether a user has a passkey. */
  readonly hasPasskey: (reader: Reader, userId: string) => Promise<boolean>;
}

/** An identity that is joined, and the user it signs in. */
interface Owner {
  readonly user: User;
  readonly identity: Identity;
}

/** @see the head of this file */
export class Accounts {
  readonly #options: AccountsOptions;

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  /**
   * The user of an identity, new if need be.
   *
   * @returns the address whose mailbox must be proven first, where it must.
   * @throws DomainError EMAIL_REQUIRED, SIGNUP_CLOSED, ADDRESS_HELD, PRINCIPAL_DISABLED
   */
  async admitIdentity(tx: Tx, identity: ProvenIdentity): Promise<Admission | { readonly needs: string }> {
    const owner = await this.#holdOwner(tx, identity);
    if (owner !== undefined) return await this.#admitKnown(tx, owner, identity);
    const { email, emailVerified, isAuthoritative } = identity;
    if (email === undefined) throw new DomainError("EMAIL_REQUIRED");
    const local = await store.lockUserByEmail(tx, email);
    const isOpen = this.#options.signup.mode === "open";
    const isProven = emailVerified && isAuthoritative;
    const isNobodys = local === undefined && !(await this.#isHeld(tx, email));
    const isSure = isNobodys
      ? isProven || (emailVerified && isOpen)
      : isProven && local?.emailProven !== false;
    if (!isSure) {
      // Another first sign-in of the same identity may have made the account since the look above.
      const meanwhile = local && (await this.#holdOwner(tx, identity));
      if (meanwhile !== undefined) return await this.#admitKnown(tx, meanwhile, identity);
      // Before the mailbox is proven nothing is told of it: whether it has an account, a disabled one, or may have one.
      return { needs: email };
    }
    if (local === undefined) {
      await this.#checkSignup(tx, email);
      const admission = await this.#signUp(tx, email, isAuthoritative, identity);
      return await this.#join(tx, admission, identity, isAuthoritative);
    }
    requireEnabled(local);
    return await this.#join(tx, { user: local, events: [], changes: [] }, identity);
  }

  /**
   * The user of a mailbox, new if need be, with the identity that waited for it.
   * Of two proofs at once of an unproven account the first decides what becomes
   * of it; to the second it is proven.
   *
   * @throws DomainError SIGNUP_CLOSED, ADDRESS_HELD, PRINCIPAL_DISABLED, USER_NOT_FOUND (deleted meanwhile),
   *   INVALID_FLOW (the identity is another user's by now)
   */
  async admitMailbox(tx: Tx, email: string, { waiting, insideOf }: MailboxProof = {}): Promise<Admission> {
    const local = await store.lockUserByEmail(tx, email);
    if (local === undefined) await this.#checkSignup(tx, email);
    else requireEnabled(local);
    const admission =
      local === undefined
        ? await this.#signUp(tx, email, true, waiting)
        : local.emailProven
          ? { user: local, events: [], changes: [] }
          : await this.#prove(tx, local.id, insideOf);
    return waiting === undefined ? admission : await this.#join(tx, admission, waiting);
  }

  /**
   * How to get into an account and keep what is there, of which a proof of its
   * mailbox from outside would take everything: the strategies of its
   * identities, and `passkey`. Empty where there is no such account.
   */
  async findWaysToKeep(
    reader: Reader,
    email: string,
    { insideOf }: Pick<MailboxProof, "insideOf">,
  ): Promise<readonly string[]> {
    const local = await store.findUserByEmail(reader, email);
    if (local === undefined || local.emailProven || local.state === "disabled") return [];
    if (local.isEmailGiven || local.id === insideOf) return [];
    const linked = await identities.findIdentities(reader, local.id);
    const strategies = new Set(linked.map(({ strategy }) => strategy));
    if (await this.#options.hasPasskey(reader, local.id)) strategies.add("passkey");
    return [...strategies];
  }

  /** The user of an id, such as a passkey names. @throws DomainError USER_NOT_FOUND, PRINCIPAL_DISABLED */
  async admitUser(tx: Tx, userId: string): Promise<Admission> {
    const user = await store.findUser(tx, userId);
    if (user === undefined) throw new DomainError("USER_NOT_FOUND");
    requireEnabled(user);
    return { user, events: [], changes: [] };
  }

  /** Whom an identity signs in, with `tx` until it ends: whoever takes it from them waits, or has come first. */
  async #holdOwner(tx: Tx, identity: ProvenIdentity): Promise<Owner | undefined> {
    const known = await identities.findIdentity(tx, identity);
    if (known === undefined) return undefined;
    const user = await lockOwner(tx, known, identity, this.#options);
    const held = await identities.findIdentity(tx, identity);
    return held !== undefined && held.userId === user?.id ? { user, identity: held } : undefined;
  }

  /** An authoritative provider proves the address of an identity that was joined before it was, and may change it. */
  async #admitKnown(tx: Tx, owner: Owner, identity: ProvenIdentity): Promise<Admission> {
    const { user } = owner;
    requireEnabled(user);
    const { email, emailVerified, isAuthoritative } = identity;
    const proves = !user.emailProven && email === user.email && emailVerified && isAuthoritative;
    if (proves) return await this.#keep(tx, user);
    const moved = await takeGivenAddress(tx, user, owner.identity, identity, this.#options);
    return moved ?? { user, events: [], changes: [] };
  }

  /** Whether an account that had an address lately can take it back. */
  async #isHeld(tx: Tx, email: string): Promise<boolean> {
    return (await findHolder(tx, email, this.#options.clock.now())) !== undefined;
  }

  async #checkSignup(tx: Tx, email: string): Promise<void> {
    const { signup, adminEmails } = this.#options;
    if (await this.#isHeld(tx, email)) throw new DomainError("ADDRESS_HELD");
    const isOpen =
      adminEmails.includes(email) ||
      signup.mode === "open" ||
      (signup.mode === "domains" && signup.domains.includes(toEmailDomain(email))) ||
      (await this.#isInvited(tx, email));
    if (!isOpen) throw new DomainError("SIGNUP_CLOSED", { detail: `sign-up mode is ${signup.mode}` });
  }

  /** By a superuser, or into an organization by whoever may still invite, as far as that counts. */
  async #isInvited(tx: Tx, email: string): Promise<boolean> {
    const { signup, adminEmails, clock } = this.#options;
    const isBySuperusers = signup.mode === "invited";
    if (isBySuperusers && (await identities.isInvited(tx, email))) return true;
    if (!isBySuperusers && !signup.byMembers) return false;
    const powers = await findInvitingPowers(tx, email, adminEmails, clock.now());
    return signup.byMembers ? powers.size > 0 : powers.has("superuser");
  }

  async #signUp(
    tx: Tx,
    email: string,
    emailProven: boolean,
    { title = "", avatar = "" }: { readonly title?: string; readonly avatar?: string } = {},
  ): Promise<Admission> {
    const user = { ...toNewUser(email, this.#options.clock.now()), title, avatar, emailProven };
    await store.insertUser(tx, user);
    return { user, events: [{ action: "user.create", target: user.id }], changes: [] };
  }

  /** The mailbox of an account was proven that was not proven a moment ago. */
  async #prove(tx: Tx, userId: string, insideOf: string | undefined): Promise<Admission> {
    const user = await store.lockUser(tx, userId);
    if (user === undefined) throw new DomainError("USER_NOT_FOUND");
    requireEnabled(user);
    if (user.emailProven) return { user, events: [], changes: [] };
    const isTheirs = user.isEmailGiven || insideOf === user.id;
    return isTheirs ? await this.#keep(tx, user) : await takeOver(tx, user, this.#options);
  }

  /** Notes that an address is proven of an account that stays as it is. */
  async #keep(tx: Tx, user: User): Promise<Admission> {
    await store.markEmailProven(tx, user.id, this.#options.clock.now());
    return {
      user: { ...user, emailProven: true },
      events: [{ action: "user.prove_email", target: user.id }],
      changes: [{ topic: "user", subject: user.id }],
    };
  }

  /** @param gaveEmail whether the account has its address of the identity, and its provider speaks for that */
  async #join(
    tx: Tx,
    admission: Admission,
    identity: WaitingIdentity,
    gaveEmail = false,
  ): Promise<Admission> {
    const { user, events } = admission;
    const { issuer, subject, strategy, email = "" } = identity;
    const known = await identities.findIdentity(tx, identity);
    if (known !== undefined && known.userId !== user.id) {
      throw new DomainError("INVALID_FLOW", { detail: "the identity was joined to another user meanwhile" });
    }
    if (known !== undefined) return admission;
    const createdAt = this.#options.clock.now();
    const joining = { issuer, subject, userId: user.id, strategy, email, gaveEmail, createdAt };
    await identities.insertIdentity(tx, joining);
    const joined = { action: "identity.join", target: user.id, details: { issuer, strategy } } as const;
    return { ...admission, events: [...events, joined] };
  }
}

function requireEnabled({ id, state }: User): void {
  if (state === "enabled") return;
  throw new DomainError("PRINCIPAL_DISABLED", { detail: "user is disabled", owner: { type: "user", id } });
}
