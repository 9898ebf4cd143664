/**
 * Service users: the rules.
 *
 * Owns the rows of service users. Each change, its audit record and its row in
 * the change feed are one transaction. Credentials are next door, in
 * `credential-service.ts`. The room issues no access token: it proves who a service
 * user is, and `tokens/` goes on from there.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { checkMetadata, type Metadata } from "../lib/metadata.ts";
import { fromPageToken, type Page, toPage } from "../lib/page-token.ts";
import { type Access, isAtLeast, requireGrantable, requireProven } from "../organizations/access.ts";
import { deleteInvitationsBy } from "../organizations/invitation-store.ts";
import { keepingAnOwner, lockForGrant } from "../organizations/owners.ts";
import type { Caller, Role } from "../principals/principal.ts";
import { getServiceUserIn, lockWritable, reads, type ServiceUserRef, writes } from "./access.ts";
import type { ServiceUser } from "./service-user.ts";
import * as store from "./store.ts";

/** The writable part of a service user. */
export interface ServiceUserDraft {
  readonly title: string;
  readonly metadata: Metadata;
  readonly role: Role;
}

/** What to change of a service user; what is absent stays. Metadata is replaced as a whole. */
export type ServiceUserPatch = Partial<ServiceUserDraft>;

/** Which service users to list. */
export interface ServiceUserListing {
  readonly state?: ServiceUser["state"];
  /** 1 to 200; absent for all. */
  readonly size?: number;
  /** Absent or empty for the first page. */
  readonly token?: string;
}

/** Parts that machines stand on. */
export interface ServiceUserServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly access: Access;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

/** Manages service users. */
export class ServiceUserService {
  readonly #database: Database;
  readonly #feed: Pick<ChangeFeed, "append">;
  readonly #access: Access;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;

  constructor(options: ServiceUserServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#access = options.access;
    this.#audit = options.audit;
    this.#clock = options.clock;
  }

  /** @throws DomainError NOT_AUTHORIZED when the role is above the caller's own, ADDRESS_UNPROVEN */
  async create(caller: Caller, org: string, draft: ServiceUserDraft): Promise<ServiceUser> {
    const granted = await this.#access.require(caller.principal, org, writes);
    requireProven(caller.principal);
    requireGrantable(granted, draft.role);
    checkMetadata("body.metadata", draft.metadata);
    const now = this.#clock.now();
    const serviceUser: ServiceUser = {
      ...draft,
      id: newId(now),
      orgId: granted.organization.id,
      state: "enabled",
      superuser: false,
      createdAt: now,
      updatedAt: now,
    };
    await this.#database.transaction(async (tx) => {
      const { title, role } = serviceUser;
      // What every new one is, nobody has to grant.
      if (role !== "viewer") await lockForGrant(tx, caller.principal, serviceUser.orgId, least(role));
      await store.insertServiceUser(tx, serviceUser);
      await this.#audit.record(tx, caller, {
        action: "service_user.create",
        ...toPlace(serviceUser),
        details: { title, role },
      });
    });
    return serviceUser;
  }

  /** @throws DomainError SERVICE_USER_NOT_FOUND */
  async get(caller: Caller, ref: ServiceUserRef): Promise<ServiceUser> {
    const { organization } = await this.#access.require(caller.principal, ref.org, reads);
    return await getServiceUserIn(this.#database.reader, organization.id, ref.id);
  }

  /** Oldest first; of one state if given. @throws DomainError INVALID_REQUEST for another list's page token */
  async list(
    caller: Caller,
    org: string,
    { state, size, token = "" }: ServiceUserListing = {},
  ): Promise<Page<ServiceUser>> {
    const { organization } = await this.#access.require(caller.principal, org, reads);
    const list = ["ListServiceUsers", organization.id, state ?? ""];
    const [afterId] = fromPageToken(list, token, ["text"]) ?? [""];
    const rows = await store.findServiceUsers(this.#database.reader, organization.id, {
      state,
      afterId,
      ...(size !== undefined && { limit: size + 1 }),
    });
    return toPage(rows, size ?? rows.length, list, ({ id }) => [id]);
  }

  /**
   * Changes title, metadata or role. A new role holds at once, for tokens
   * already issued too.
   *
   * @throws DomainError SERVICE_USER_NOT_FOUND, LAST_OWNER; NOT_AUTHORIZED when its role, old or
   *   new, is above the caller's; ADDRESS_UNPROVEN when it is to have another.
   */
  async update(caller: Caller, ref: ServiceUserRef, patch: ServiceUserPatch): Promise<ServiceUser> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    if (patch.role !== undefined) {
      requireProven(caller.principal);
      requireGrantable(granted, patch.role);
    }
    if (patch.metadata !== undefined) checkMetadata("body.metadata", patch.metadata);
    return await this.#database.transaction(async (tx) => {
      const change = async () => {
        const target = await lockWritable(tx, caller, granted, ref.id);
        const changed = { ...target, ...patch, updatedAt: this.#clock.now() };
        await store.updateServiceUser(tx, changed);
        return [target, changed] as const;
      };
      const { role } = patch;
      const orgId = granted.organization.id;
      if (role !== undefined) await lockForGrant(tx, caller.principal, orgId, least(role));
      const [before, after] = role === undefined ? await change() : await keepingAnOwner(tx, orgId, change);
      await this.#audit.record(tx, caller, {
        action: "service_user.update",
        ...toPlace(after),
        details: describePatch(before, patch),
      });
      if (after.role !== "owner") await this.#endInvitations(tx, caller, after, "service_user.update");
      await this.#feed.append(tx, { topic: "service-user", subject: after.id });
      return after;
    });
  }

  /**
   * Enables or disables a service user; one that already is stays untouched.
   * Disabled, it is refused everywhere at once, tokens already issued included.
   *
   * @throws DomainError SERVICE_USER_NOT_FOUND, NOT_AUTHORIZED, SUPERUSER_PROTECTED
   */
  async setState(caller: Caller, ref: ServiceUserRef, state: ServiceUser["state"]): Promise<ServiceUser> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    return await this.#database.transaction(async (tx) => {
      const before = await lockWritable(tx, caller, granted, ref.id);
      if (before.state === state) return before;
      if (before.superuser) throw superuserProtected("disabled");
      const after = { ...before, state, updatedAt: this.#clock.now() };
      await store.updateServiceUser(tx, after);
      const action = state === "enabled" ? "service_user.enable" : "service_user.disable";
      await this.#audit.record(tx, caller, { action, ...toPlace(after) });
      if (state === "disabled") await this.#endInvitations(tx, caller, after, action);
      await this.#feed.append(tx, { topic: "service-user", subject: after.id });
      return after;
    });
  }

  /**
   * Deletes a service user with its credentials and their usage in one transaction.
   *
   * @throws DomainError SERVICE_USER_NOT_FOUND, NOT_AUTHORIZED, SUPERUSER_PROTECTED, LAST_OWNER
   */
  async delete(caller: Caller, ref: ServiceUserRef): Promise<void> {
    const granted = await this.#access.require(caller.principal, ref.org, writes);
    await this.#database.transaction(async (tx) => {
      // Whatever its role is now: it may be made an owner until it is locked.
      const target = await keepingAnOwner(tx, granted.organization.id, async () => {
        const found = await lockWritable(tx, caller, granted, ref.id);
        if (found.superuser) throw superuserProtected("deleted");
        await store.deleteServiceUser(tx, found.id);
        return found;
      });
      await this.#audit.record(tx, caller, {
        action: "service_user.delete",
        ...toPlace(target),
        details: { title: target.title },
      });
      await this.#endInvitations(tx, caller, target, "service_user.delete");
      await this.#feed.append(tx, { topic: "service-user", subject: target.id });
    });
  }

  /** What is no owner any more, or gone, has invited nobody. */
  async #endInvitations(tx: Tx, caller: Caller, target: ServiceUser, because: string): Promise<void> {
    const { id, orgId } = target;
    const ended = await deleteInvitationsBy(tx, { type: "serviceuser", id }, because, orgId);
    for (const event of ended) await this.#audit.record(tx, caller, event);
  }
}

/** What a record is about, and in which organization it happened. */
function toPlace({ id, orgId }: ServiceUser) {
  return { target: id, orgId };
}

/** The least role that may give a service user this one. */
function least(role: Role): Role {
  return isAtLeast(role, writes.role) ? role : writes.role;
}

function superuserProtected(what: string): DomainError {
  return new DomainError("SUPERUSER_PROTECTED", { message: `the bootstrap service user cannot be ${what}` });
}

/** What the audit keeps of a change. Metadata is free-form, so its contents stay out. */
function describePatch(before: ServiceUser, patch: ServiceUserPatch) {
  return {
    ...(patch.title === undefined ? {} : { title: patch.title }),
    ...(patch.metadata === undefined ? {} : { metadata: "replaced" }),
    ...(patch.role === undefined ? {} : { role: patch.role, previous_role: before.role }),
  };
}
