/**
 * People, for those who run the platform: the rules.
 *
 * Users come to be by signing in, which is not this room's; here a superuser
 * looks them up, makes and changes them, shuts them out and removes them. The room owns the rows of
 * users and identities, and says which user a proof belongs to (`accounts.ts`);
 * it never proves anybody, and keeps no session.
 */
import { isDeepStrictEqual } from "node:util";
import type { AuditEvent, AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { Database, Tx } from "../db/database.ts";
import { orTaken } from "../db/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError, reasons } from "../lib/errors.ts";
import { checkMetadata } from "../lib/metadata.ts";
import { type Page, type PageRequest, toPageById } from "../lib/page-token.ts";
import { deleteInvitationsBy, deleteInvitationsTo } from "../organizations/invitation-store.ts";
import { findOrganizationIds } from "../organizations/member-store.ts";
import { findLeftOwnerless, refuseOwnerless } from "../organizations/owners.ts";
import { type Caller, requireSuperuser } from "../principals/principal.ts";
import { toEmail } from "./email.ts";
import { type EndFlows, lockForMove, moveUser } from "./move.ts";
import * as store from "./store.ts";
import { deleteUndos, findHolder } from "./undo-store.ts";
import { toNewUser, type User } from "./user.ts";

/** Which users to list. */
export interface UserFilter {
  /** In any case. */
  readonly email?: string;
  readonly state?: User["state"];
  /** Beginning of an address, name or title, in any case. */
  readonly query?: string;
}

/** What a superuser says of a user. What is absent stays as it is. */
export type UserPatch = Partial<Pick<User, "name" | "email" | "title" | "avatar" | "metadata">>;

/** How somebody is shut out. */
export interface DisablingOptions {
  /** Whether organizations may be left without an owner that is enabled. */
  readonly allowsOwnerless?: boolean;
  /** Kept until the user is enabled; empty for none. */
  readonly reason?: string;
}

/** Parts that users stand on. */
export interface UserServiceOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** Ends all sessions of a user with `tx`; what it answers is to be appended to the feed. */
  readonly endSessions: (tx: Tx, userId: string) => Promise<readonly Change[]>;
  readonly endFlows: EndFlows;
  /** Tells an account's old address and its new one. Best effort: must not throw. */
  readonly onEmailChange: (from: string, to: string) => void;
}

/** Manages users. Every call needs a superuser. */
export class UserService {
  readonly #database: Database;
  readonly #feed: ChangeFeed;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #endSessions: UserServiceOptions["endSessions"];
  readonly #endFlows: EndFlows;
  readonly #onEmailChange: UserServiceOptions["onEmailChange"];

  constructor(options: UserServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#endSessions = options.endSessions;
    this.#endFlows = options.endFlows;
    this.#onEmailChange = options.onEmailChange;
  }

  /** Newest first. @throws DomainError NOT_AUTHORIZED */
  async list(caller: Caller, filter: UserFilter, page: PageRequest): Promise<Page<User>> {
    requireSuperuser(caller);
    const email = filter.email?.toLowerCase();
    const { state, query = "" } = filter;
    const list = ["ListUsers", email ?? "", state ?? "", query];
    return await toPageById(list, page, (range) =>
      store.findUsers(this.#database.reader, { email, state, query, ...range }),
    );
  }

  /**
   * Makes a user whose address nobody has proven yet.
   *
   * @throws DomainError NOT_AUTHORIZED, INVALID_EMAIL, USER_EXISTS, INVALID_REQUEST
   */
  async create(caller: Caller, patch: UserPatch): Promise<User> {
    requireSuperuser(caller);
    const email = requireEmail(patch.email ?? "");
    if (patch.metadata !== undefined) checkMetadata("body.metadata", patch.metadata);
    const made = toNewUser(email, this.#clock.now());
    const user = { ...made, ...patch, email, isEmailGiven: true };
    await orTaken(
      this.#database.transaction(async (tx) => {
        await requireFree(tx, user, this.#clock.now());
        await store.insertUser(tx, user);
        await this.#audit.record(tx, caller, { action: "user.create", target: user.id });
      }),
      "USER_EXISTS",
    );
    return user;
  }

  /**
   * Changes a user. With another address all sessions end, and both addresses
   * are told; what the user changed it to before cannot be undone any more.
   *
   * @throws DomainError NOT_AUTHORIZED, USER_NOT_FOUND, INVALID_EMAIL, USER_EXISTS, INVALID_REQUEST
   */
  async update(caller: Caller, userId: string, patch: UserPatch): Promise<User> {
    requireSuperuser(caller);
    const id = userId.toLowerCase();
    const email = patch.email === undefined ? undefined : requireEmail(patch.email);
    if (patch.metadata !== undefined) checkMetadata("body.metadata", patch.metadata);
    const work = this.#database.transaction(async (tx) => {
      const before = await (email === undefined
        ? store.lockUser(tx, id)
        : lockForMove(tx, id, email, this.#endFlows));
      if (before === undefined) throw new DomainError("USER_NOT_FOUND");
      const wanted = { ...patch, email: email ?? before.email };
      const changed = listChanges(before, wanted);
      if (changed.length === 0) return { before, after: before };
      const isMoved = changed.includes("email");
      const proof = isMoved ? { emailProven: false, isEmailGiven: true } : {};
      const after = { ...before, ...wanted, ...proof, updatedAt: this.#clock.now() };
      await requireFree(tx, after, this.#clock.now());
      await moveUser(tx, before, after);
      // A superuser's word is the last one.
      if (isMoved) await deleteUndos(tx, id);
      const ended = isMoved ? await this.#endSessions(tx, id) : [];
      for (const event of toEvents(before, after, changed, ended.length)) {
        await this.#audit.record(tx, caller, event);
      }
      await this.#feed.append(tx, { topic: "user", subject: id }, ...ended);
      return { before, after };
    });
    const { before, after } = await orTaken(work, "USER_EXISTS");
    if (before.email !== after.email) this.#onEmailChange(before.email, after.email);
    return after;
  }

  /** @throws DomainError NOT_AUTHORIZED, USER_NOT_FOUND */
  async get(caller: Caller, id: string): Promise<User> {
    requireSuperuser(caller);
    const user = await store.findUser(this.#database.reader, id.toLowerCase());
    if (user === undefined) throw new DomainError("USER_NOT_FOUND");
    return user;
  }

  /**
   * Shuts a user out, or lets them in again; one that already is stays
   * untouched. The sessions from before stay rows while their user is disabled,
   * so that their holder hears why they are refused, and end when the user is
   * enabled: whoever stole one must not have it back.
   *
   * @throws DomainError NOT_AUTHORIZED, USER_NOT_FOUND, LAST_OWNER
   */
  async setState(
    caller: Caller,
    userId: string,
    state: User["state"],
    { allowsOwnerless = false, reason = "" }: DisablingOptions = {},
  ): Promise<User> {
    requireSuperuser(caller);
    const id = userId.toLowerCase();
    return await this.#database.transaction(async (tx) => {
      const before = await store.lockUser(tx, id);
      if (before?.state === state) return before;
      if (before === undefined) throw new DomainError("USER_NOT_FOUND");
      const orgIds = state === "disabled" ? await findOrganizationIds(tx, id) : [];
      const { result: user, ownerless } = await findLeftOwnerless(tx, orgIds, () =>
        store.updateUserState(tx, id, state, this.#clock.now(), reason),
      );
      if (!allowsOwnerless) await refuseOwnerless(tx, ownerless, " or set allow_ownerless");
      if (user === undefined) throw new DomainError("USER_NOT_FOUND");
      const ended = state === "enabled" ? await this.#endSessions(tx, id) : [];
      await this.#audit.record(
        tx,
        caller,
        state === "enabled"
          ? { action: "user.enable", target: id }
          : {
              action: "user.disable",
              target: id,
              details: {
                ...(ownerless.length > 0 && { ownerless_org_ids: ownerless.join(",") }),
                ...(reason !== "" && { reason }),
              },
            },
      );
      if (state === "disabled") await this.#endInvitations(tx, caller, id, "user.disable");
      await this.#feed.append(tx, { topic: "user", subject: id }, ...ended);
      return user;
    });
  }

  /** @throws DomainError NOT_AUTHORIZED, USER_NOT_FOUND, LAST_OWNER */
  async delete(caller: Caller, userId: string): Promise<void> {
    requireSuperuser(caller);
    const id = userId.toLowerCase();
    await this.#database.transaction(async (tx) => {
      // Nobody becomes a member of anything from here on, so none of the organizations is missed.
      const user = await store.lockUser(tx, id);
      if (user === undefined) throw new DomainError("USER_NOT_FOUND");
      const orgIds = await findOrganizationIds(tx, id);
      const { ownerless } = await findLeftOwnerless(tx, orgIds, () => store.deleteUser(tx, id));
      await refuseOwnerless(tx, ownerless);
      await this.#audit.record(tx, caller, {
        action: "user.delete",
        target: id,
        mailbox: user.email,
      });
      // Organizations hear of it too: a member is gone, and who was invited.
      const details = { because: "user.delete" };
      for (const orgId of orgIds) {
        await this.#audit.record(tx, caller, { action: "member.remove", target: id, orgId, details });
      }
      for (const event of await deleteInvitationsTo(tx, user.email, "user.delete")) {
        await this.#audit.record(tx, caller, event);
      }
      await this.#endInvitations(tx, caller, id, "user.delete");
      await this.#feed.append(tx, { topic: "user", subject: id });
    });
  }

  async #endInvitations(tx: Tx, caller: Caller, id: string, because: string): Promise<void> {
    const ended = await deleteInvitationsBy(tx, { type: "user", id }, because);
    for (const event of ended) await this.#audit.record(tx, caller, event);
  }
}

/** @throws DomainError INVALID_EMAIL */
function requireEmail(address: string): string {
  const email = toEmail(address);
  if (email === undefined) throw new DomainError("INVALID_EMAIL");
  return email;
}

/** Tells which of the two is taken, before the database tells that one is. @throws DomainError USER_EXISTS */
async function requireFree(tx: Tx, { id, email, name }: User, now: Date): Promise<void> {
  const [, text] = reasons.USER_EXISTS;
  const isOther = (found: User | undefined) => found !== undefined && found.id !== id;
  if (isOther(await store.findUserByEmail(tx, email))) {
    throw new DomainError("USER_EXISTS", { message: `${text}: the address is another user's` });
  }
  const holder = (await findHolder(tx, email, now)) ?? id;
  if (holder !== id) {
    throw new DomainError("USER_EXISTS", { message: `${text}: the address is held for another user` });
  }
  if (isOther(await store.findUserByName(tx, name))) {
    throw new DomainError("USER_EXISTS", { message: `${text}: the name is another user's` });
  }
}

/** What of a user would be another value than it is. */
function listChanges(before: User, patch: UserPatch): readonly (keyof UserPatch)[] {
  const named = Object.keys(patch) as (keyof UserPatch)[];
  return named.filter((name) => !isDeepStrictEqual(before[name], patch[name])).toSorted();
}

/** An address that changes is an event of its own, which is found by the one that has no account any more. */
function toEvents(
  { id, email: previous_email }: User,
  { email }: User,
  changed: readonly (keyof UserPatch)[],
  sessions: number,
): readonly AuditEvent[] {
  const others = changed.filter((name) => name !== "email");
  const moved = { email, previous_email, sessions: String(sessions) };
  return [
    ...(others.length > 0
      ? [{ action: "user.update", target: id, details: { changed: others.join(",") } } as const]
      : []),
    ...(email !== previous_email
      ? [{ action: "user.change_email", target: id, mailbox: previous_email, details: moved } as const]
      : []),
  ];
}
