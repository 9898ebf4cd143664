/**
 * Organizations: the rules.
 *
 * Owns the rows of organizations and their state. Members and projects have
 * services of their own beside this one; what hangs on an organization goes
 * with it when it is deleted. The room signs nobody in and
 * proves no address: whether one is proven comes with the caller.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { Avatars } from "../avatars/avatars.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import { orTaken } from "../db/errors.ts";
import { beginsWith } from "../db/search-prefixes.ts";
import { listChanged } from "../lib/changed.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { checkMetadata, type Metadata } from "../lib/metadata.ts";
import { type Page, type PageRequest, toPageById } from "../lib/page-token.ts";
import { type Caller, type Principal, requireSuperuser } from "../principals/principal.ts";
import { type Access, requireProven } from "./access.ts";
import { insertMember, lockPerson } from "./member-store.ts";
import { defaultOrganizationName, type Organization } from "./organization.ts";
import { lockForGrant, type OwnershipLimit, requireRoomToOwn } from "./owners.ts";
import * as store from "./store.ts";

/** The writable part of an organization; a picture is as a request names it. */
export interface OrganizationDraft {
  readonly name: string;
  readonly title: string;
  readonly metadata: Metadata;
  readonly avatar: string;
}

/** What is said of an organization. What is absent stays as it is. */
export type OrganizationPatch = Partial<OrganizationDraft>;

/** What deleting an organization would take with it, and what stands against it. */
export interface DeletionCheck {
  readonly organization: Organization;
  readonly contents: store.OrganizationContents;
  /** Whether it is the one that is never deleted. */
  readonly isDefault: boolean;
}

/** Which organizations to list. */
export interface OrganizationFilter {
  readonly state?: Organization["state"] | undefined;
  /** Beginning of a name or title, in any case. */
  readonly query?: string | undefined;
}

/** Parts that organizations stand on. */
export interface OrganizationServiceOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly access: Access;
  readonly audit: AuditTrail;
  readonly avatars: Pick<Avatars, "read" | "keep">;
  readonly clock: Clock;
  readonly limits: OwnershipLimit;
  /** Whether people may make organizations, or superusers alone. */
  readonly creation: "everybody" | "superusers";
}

/** Manages organizations. */
export class OrganizationService {
  readonly #database: Database;
  readonly #feed: ChangeFeed;
  readonly #access: Access;
  readonly #audit: AuditTrail;
  readonly #avatars: OrganizationServiceOptions["avatars"];
  readonly #clock: Clock;
  readonly #limits: OwnershipLimit;
  readonly #creation: OrganizationServiceOptions["creation"];

  constructor(options: OrganizationServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#access = options.access;
    this.#audit = options.audit;
    this.#avatars = options.avatars;
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#creation = options.creation;
  }

  /**
   * Creates an organization; a person who creates one becomes its owner.
   *
   * @throws DomainError NOT_AUTHORIZED for machines and as `organizations.creation` says, ADDRESS_UNPROVEN, TOO_MANY_ORGANIZATIONS, NAME_TAKEN
   */
  async create(caller: Caller, draft: OrganizationDraft): Promise<Organization> {
    const { principal } = caller;
    if (principal.type !== "user" && !principal.superuser) {
      throw new DomainError("NOT_AUTHORIZED", { detail: "its credential is for one organization" });
    }
    if (!this.mayCreate(principal)) {
      throw new DomainError("NOT_AUTHORIZED", { detail: "organizations.creation is superusers" });
    }
    requireProven(principal);
    checkMetadata("body.metadata", draft.metadata);
    const avatar = this.#avatars.read(avatarField, draft.avatar);
    const now = this.#clock.now();
    const organization: Organization = {
      ...draft,
      avatar: avatar.stored,
      id: newId(now),
      state: "enabled",
      createdAt: now,
      updatedAt: now,
    };
    await orTaken(
      this.#database.transaction(async (tx) => {
        if (principal.type === "user") {
          await lockPerson(tx, principal.id);
          await requireRoomToOwn(tx, principal, principal.id, this.#limits);
        }
        await this.#avatars.keep(tx, avatarField, avatar);
        await store.insertOrganization(tx, organization, principal.superuser ? "" : principal.id);
        if (principal.type === "user") {
          await insertMember(tx, { orgId: organization.id, userId: principal.id, role: "owner" }, now);
        }
        await this.#audit.record(tx, caller, {
          action: "organization.create",
          target: organization.id,
          orgId: organization.id,
          details: { name: organization.name },
        });
      }),
      "NAME_TAKEN",
    );
    return organization;
  }

  /** Whether the setting lets somebody make organizations; their address must be proven besides. */
  mayCreate({ superuser }: Pick<Principal, "superuser">): boolean {
    return this.#creation === "everybody" || superuser;
  }

  /** @throws DomainError NOT_AUTHORIZED, also when there is none. */
  async get(caller: Caller, org: string): Promise<Organization> {
    const { organization } = await this.#access.require(caller.principal, org, {
      role: "viewer",
      writes: false,
    });
    return organization;
  }

  /**
   * Changes an organization: managers may, another name needs an owner.
   *
   * @throws DomainError NOT_AUTHORIZED, ORGANIZATION_DISABLED, DEFAULT_ORGANIZATION for its name, NAME_TAKEN, INVALID_REQUEST
   */
  async update(caller: Caller, org: string, asked: OrganizationPatch): Promise<Organization> {
    const need = { role: "manager", writes: true } as const;
    const { organization } = await this.#access.require(caller.principal, org, need);
    const { avatar: picture, ...others } = asked;
    if (others.metadata !== undefined) checkMetadata("body.metadata", others.metadata);
    const avatar = picture === undefined ? undefined : this.#avatars.read(avatarField, picture);
    const patch = avatar === undefined ? others : { ...others, avatar: avatar.stored };
    return await this.#database.transaction(async (tx) => {
      await lockForGrant(tx, caller.principal, organization.id, need.role);
      const before = await store.findOrganization(tx, organization.id);
      const isRenamed = patch.name !== undefined && patch.name !== before?.name;
      if (isRenamed) await lockForGrant(tx, caller.principal, organization.id, "owner");
      if (before === undefined) throw new DomainError("NOT_AUTHORIZED", { detail: "unknown organization" });
      if (before.state === "disabled") throw new DomainError("ORGANIZATION_DISABLED");
      const changed = listChanged(before, patch);
      if (changed.length === 0) return before;
      const after = { ...before, ...patch, updatedAt: this.#clock.now() };
      if (avatar !== undefined && changed.includes("avatar")) {
        await this.#avatars.keep(tx, avatarField, avatar);
      }
      await this.#store(tx, before, after);
      const names = { name: after.name, previous_name: before.name };
      await this.#audit.record(tx, caller, {
        action: "organization.update",
        target: before.id,
        orgId: before.id,
        details: { changed: changed.join(","), ...(before.name !== after.name && names) },
      });
      await this.#feed.append(tx, { topic: "organization", subject: before.id });
      return after;
    });
  }

  async #store(tx: Tx, before: Organization, after: Organization): Promise<void> {
    if (before.name !== after.name) {
      refuseDefault(before);
      if (!(await store.claimOrganizationName(tx, after, after.updatedAt)))
        throw new DomainError("NAME_TAKEN");
    }
    await store.updateOrganization(tx, before, after);
  }

  /** What deleting an organization would do, for its owners. @throws DomainError NOT_AUTHORIZED */
  async checkDelete(caller: Caller, org: string): Promise<DeletionCheck> {
    const need = { role: "owner", writes: !caller.principal.superuser } as const;
    const { organization } = await this.#access.require(caller.principal, org, need);
    const contents = await store.countContents(this.#database.reader, organization.id);
    return { organization, contents, isDefault: organization.name === defaultOrganizationName };
  }

  /** Those the caller has a role in, oldest first; for a superuser all, newest first. */
  async list(
    caller: Caller,
    page: PageRequest,
    { state, query = "" }: OrganizationFilter = {},
  ): Promise<Page<Organization>> {
    const { principal } = caller;
    if (principal.type !== "user" && !principal.superuser) {
      const own = await this.get(caller, principal.orgId);
      const isOfState = state === undefined || own.state === state;
      const isListed = isOfState && beginsWith([own.name, own.title], query);
      return { items: isListed ? [own] : [], nextPageToken: "" };
    }
    const { reader } = this.#database;
    const list = ["ListOrganizations", principal.superuser ? "" : principal.id, state ?? "", query];
    return await toPageById(list, page, (range) => {
      const filter = { state, query, ...range };
      return principal.superuser
        ? store.findOrganizations(reader, filter)
        : store.findOrganizationsOf(reader, principal.id, filter);
    });
  }

  /**
   * Enables or disables an organization; one that already is stays untouched.
   *
   * @throws DomainError NOT_AUTHORIZED unless the caller is a superuser; DEFAULT_ORGANIZATION
   */
  async setState(caller: Caller, org: string, state: Organization["state"]): Promise<Organization> {
    requireSuperuser(caller);
    const { organization } = await this.#access.require(caller.principal, org, {
      role: "owner",
      writes: false,
    });
    if (state === "disabled") refuseDefault(organization);
    return await this.#database.transaction(async (tx) => {
      await store.lockOrganization(tx, organization.id);
      const before = await store.findOrganization(tx, organization.id);
      if (before?.state === state) return before;
      const updated = await store.updateOrganizationState(tx, organization.id, state, this.#clock.now());
      if (updated === undefined) throw new DomainError("NOT_AUTHORIZED", { detail: "unknown organization" });
      await this.#audit.record(tx, caller, {
        action: state === "enabled" ? "organization.enable" : "organization.disable",
        target: organization.id,
        orgId: organization.id,
      });
      await this.#feed.append(tx, { topic: "organization", subject: organization.id });
      return updated;
    });
  }

  /** Deletes an organization with everything in it. @throws DomainError NOT_AUTHORIZED, DEFAULT_ORGANIZATION */
  async delete(caller: Caller, org: string): Promise<void> {
    const need = { role: "owner", writes: !caller.principal.superuser } as const;
    const { organization } = await this.#access.require(caller.principal, org, need);
    refuseDefault(organization);
    await this.#database.transaction(async (tx) => {
      await lockForGrant(tx, caller.principal, organization.id, need.role);
      if (!(await store.deleteOrganization(tx, organization.id, this.#clock.now()))) {
        throw new DomainError("NOT_AUTHORIZED", { detail: "unknown organization" });
      }
      await this.#audit.record(tx, caller, {
        action: "organization.delete",
        target: organization.id,
        orgId: organization.id,
        details: { name: organization.name },
      });
      await this.#feed.append(tx, { topic: "organization", subject: organization.id });
    });
  }
}

/** Where a request names a picture. */
const avatarField = "body.avatar";

function refuseDefault(organization: Organization): void {
  if (organization.name === defaultOrganizationName) throw new DomainError("DEFAULT_ORGANIZATION");
}
