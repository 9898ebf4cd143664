/**
 * People, for those who run the platform: the rules.
 *
 * Users come to be by signing in, which is not this room's; here a superuser
 * looks them up, shuts them out and removes them. The room owns the rows of
 * users and identities, and says which user a proof belongs to (`accounts.ts`);
 * it never proves anybody, and keeps no session.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { type Page, type PageRequest, toPageById } from "../lib/page-token.ts";
import { deleteInvitationsBy } from "../organizations/invitation-store.ts";
import { findOrganizationIds } from "../organizations/member-store.ts";
import { findLeftOwnerless, refuseOwnerless } from "../organizations/owners.ts";
import { type Caller, requireSuperuser } from "../principals/principal.ts";
import * as store from "./store.ts";
import type { User } from "./user.ts";

/** Which users to list. */
export interface UserFilter {
  /** In any case. */
  readonly email?: string;
  readonly state?: User["state"];
}

/** Parts that users stand on. */
export interface UserServiceOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** Ends all sessions of a user with `tx`; what it answers is to be appended to the feed. */
  readonly endSessions: (tx: Tx, userId: string) => Promise<readonly Change[]>;
}

/** Manages users. Every call needs a superuser. */
export class UserService {
  readonly #database: Database;
  readonly #feed: ChangeFeed;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #endSessions: UserServiceOptions["endSessions"];

  constructor(options: UserServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#endSessions = options.endSessions;
  }

  /** Oldest first. @throws DomainError NOT_AUTHORIZED */
  async list(caller: Caller, filter: UserFilter, page: PageRequest): Promise<Page<User>> {
    requireSuperuser(caller);
    const email = filter.email?.toLowerCase();
    const list = ["ListUsers", email ?? "", filter.state ?? ""];
    const asked = { ...(email !== undefined && { email }), ...(filter.state && { state: filter.state }) };
    return await toPageById(list, page, (range) =>
      store.findUsers(this.#database.reader, { ...asked, ...range }),
    );
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
   * @param allowsOwnerless whether organizations may be left without an owner that is enabled.
   * @throws DomainError NOT_AUTHORIZED, USER_NOT_FOUND, LAST_OWNER
   */
  async setState(
    caller: Caller,
    userId: string,
    state: User["state"],
    allowsOwnerless = false,
  ): Promise<User> {
    requireSuperuser(caller);
    const id = userId.toLowerCase();
    return await this.#database.transaction(async (tx) => {
      const before = await store.lockUser(tx, id);
      if (before?.state === state) return before;
      if (before === undefined) throw new DomainError("USER_NOT_FOUND");
      const orgIds = state === "disabled" ? await findOrganizationIds(tx, id) : [];
      const { result: user, ownerless } = await findLeftOwnerless(tx, orgIds, () =>
        store.updateUserState(tx, id, state, this.#clock.now()),
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
              ...(ownerless.length > 0 && { details: { ownerless_org_ids: ownerless.join(",") } }),
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
      if ((await store.lockUser(tx, id)) === undefined) throw new DomainError("USER_NOT_FOUND");
      const orgIds = await findOrganizationIds(tx, id);
      const { ownerless } = await findLeftOwnerless(tx, orgIds, () => store.deleteUser(tx, id));
      await refuseOwnerless(tx, ownerless);
      await this.#audit.record(tx, caller, { action: "user.delete", target: id });
      await this.#endInvitations(tx, caller, id, "user.delete");
      await this.#feed.append(tx, { topic: "user", subject: id });
    });
  }

  async #endInvitations(tx: Tx, caller: Caller, id: string, because: string): Promise<void> {
    const ended = await deleteInvitationsBy(tx, { type: "user", id }, because);
    for (const event of ended) await this.#audit.record(tx, caller, event);
  }
}
