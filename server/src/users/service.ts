/**
 * People, for those who run the platform: the rules.
 *
 * Users come to be by signing in, which is not this room's; here a superuser
 * looks them up, makes and changes them, shuts them out and removes them, and
 * people change their own profile. The room owns the rows of
 * users and identities, and says which user a proof belongs to (`accounts.ts`);
 * it never proves anybody, and keeps no session.
 */
import type { AuditEvent, AuditTrail } from "../audit/audit.ts";
import type { AvatarDraft, Avatars } from "../avatars/avatars.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { Database, Tx } from "../db/database.ts";
import { orTaken } from "../db/errors.ts";
import { listChanged } from "../lib/changed.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError, reasons } from "../lib/errors.ts";
import { checkMetadata } from "../lib/metadata.ts";
import { type Page, type PageRequest, toPageById } from "../lib/page-token.ts";
import { deleteInvitationsBy } from "../organizations/invitation-store.ts";
import { findOrganizationIds } from "../organizations/member-store.ts";
import { findLeftOwnerless, refuseOwnerless } from "../organizations/owners.ts";
import { type Caller, requireSuperuser, type UserPrincipal } from "../principals/principal.ts";
import { type DeletionParts, deleteAccount, lockForDeletion } from "./deletion.ts";
import { requireEmail, toEmail } from "./email.ts";
import { lockForMove, moveUser } from "./move.ts";
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

/** What is said of a user. What is absent stays as it is; a picture is as a request names it. */
export type UserPatch = Partial<Pick<User, "name" | "email" | "title" | "avatar" | "metadata">>;

/** A patch whose picture is checked. */
interface CheckedPatch {
  readonly patch: UserPatch;
  readonly avatar: AvatarDraft | undefined;
}

/** How somebody is shut out. */
export interface DisablingOptions {
  /** Whether organizations may be left without an owner that is enabled. */
  readonly allowsOwnerless?: boolean;
  /** Kept until the user is enabled; empty for none. */
  readonly reason?: string;
}

/** Parts that users stand on. */
export interface UserServiceOptions extends DeletionParts {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly avatars: Pick<Avatars, "read" | "keep">;
  readonly clock: Clock;
  /** Ends all sessions of a user with `tx`; what it answers is to be appended to the feed. */
  readonly endSessions: (tx: Tx, userId: string) => Promise<readonly Change[]>;
  /** Tells an account's old address and its new one. Best effort: must not throw. */
  readonly onEmailChange: (from: string, to: string) => void;
}

/** Manages users. Every call needs a superuser, save that by which people change their own profile. */
export class UserService {
  readonly #database: Database;
  readonly #feed: ChangeFeed;
  readonly #audit: AuditTrail;
  readonly #avatars: UserServiceOptions["avatars"];
  readonly #clock: Clock;
  readonly #endSessions: UserServiceOptions["endSessions"];
  readonly #deletion: DeletionParts;
  readonly #onEmailChange: UserServiceOptions["onEmailChange"];

  constructor(options: UserServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#audit = options.audit;
    this.#avatars = options.avatars;
    this.#clock = options.clock;
    this.#endSessions = options.endSessions;
    this.#deletion = options;
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
  async create(caller: Caller, asked: UserPatch): Promise<User> {
    requireSuperuser(caller);
    const email = requireEmail(asked.email ?? "");
    const { patch, avatar } = this.#check(asked);
    const made = toNewUser(email, this.#clock.now());
    const user = { ...made, ...patch, email, isEmailGiven: true };
    await orTaken(
      this.#database.transaction(async (tx) => {
        await requireFree(tx, user, this.#clock.now());
        if (avatar !== undefined) await this.#avatars.keep(tx, avatarField, avatar);
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
  async update(caller: Caller, userId: string, asked: UserPatch): Promise<User> {
    requireSuperuser(caller);
    const { email, ...profile } = asked;
    const moved = email === undefined ? {} : { email: requireEmail(email) };
    return await this.#change(caller, userId.toLowerCase(), this.#check({ ...profile, ...moved }));
  }

  /** The caller's own. @throws DomainError NOT_AUTHORIZED for machines, USER_NOT_FOUND */
  async getOwn(caller: Caller): Promise<User> {
    const user = await store.findUser(this.#database.reader, requireUser(caller).id);
    if (user === undefined) throw new DomainError("USER_NOT_FOUND");
    return user;
  }

  /**
   * Changes the caller's own profile. An address may be said, if it is theirs.
   *
   * @throws DomainError NOT_AUTHORIZED for machines, EMAIL_CHANGE_ELSEWHERE, USER_EXISTS, INVALID_REQUEST
   */
  async updateOwn(caller: Caller, { email, ...profile }: UserPatch): Promise<User> {
    const { id } = requireUser(caller);
    const said = email === undefined ? undefined : (toEmail(email) ?? "");
    return await this.#change(caller, id, this.#check(profile), ({ email: present }) => {
      if (said !== undefined && said !== present) throw new DomainError("EMAIL_CHANGE_ELSEWHERE");
    });
  }

  /** What a patch says that can be told to be good before the database is asked. @throws DomainError INVALID_REQUEST */
  #check(patch: UserPatch): CheckedPatch {
    if (patch.metadata !== undefined) checkMetadata("body.metadata", patch.metadata);
    if (patch.avatar === undefined) return { patch, avatar: undefined };
    const avatar = this.#avatars.read(avatarField, patch.avatar);
    return { patch: { ...patch, avatar: avatar.stored }, avatar };
  }

  /** @param check refuses what does not fit the user as they are, whose row is locked */
  async #change(
    caller: Caller,
    id: string,
    { patch, avatar }: CheckedPatch,
    check: (before: User) => void = () => {},
  ): Promise<User> {
    const work = this.#database.transaction(async (tx) => {
      const before = await (patch.email === undefined
        ? store.lockUser(tx, id)
        : lockForMove(tx, id, patch.email, this.#deletion.endFlows));
      if (before === undefined) throw new DomainError("USER_NOT_FOUND");
      check(before);
      const changed = listChanged(before, patch);
      if (changed.length === 0) return { before, after: before };
      const isMoved = changed.includes("email");
      const proof = isMoved ? { emailProven: false, isEmailGiven: true } : {};
      const after = { ...before, ...patch, ...proof, updatedAt: this.#clock.now() };
      await requireFree(tx, after, this.#clock.now());
      if (avatar !== undefined && changed.includes("avatar")) {
        await this.#avatars.keep(tx, avatarField, avatar);
      }
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
      const user = await lockForDeletion(tx, id, this.#deletion);
      if (user === undefined) throw new DomainError("USER_NOT_FOUND");
      await deleteAccount(tx, caller, user, this.#deletion);
    });
  }

  async #endInvitations(tx: Tx, caller: Caller, id: string, because: string): Promise<void> {
    const ended = await deleteInvitationsBy(tx, { type: "user", id }, because);
    for (const event of ended) await this.#audit.record(tx, caller, event);
  }
}

/** Where a request names a picture. */
const avatarField = "body.avatar";

function requireUser({ principal }: Caller): UserPrincipal {
  if (principal.type === "user") return principal;
  throw new DomainError("NOT_AUTHORIZED", { detail: "only people have a profile" });
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

/** An address that changes is an event of its own, which is found by the one that has no account any more. */
function toEvents(
  { id, email: previous_email }: User,
  { email }: User,
  changed: readonly string[],
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
