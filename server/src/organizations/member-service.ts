/** Who is a member of an organization, and as what: the rules. */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import { orTaken } from "../db/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { fromPageToken, type Page, type PageRequest, toPage } from "../lib/page-token.ts";
import type { Caller, Role, UserPrincipal } from "../principals/principal.ts";
import { type Access, type GrantedAccess, requireGrantable, requireProven } from "./access.ts";
import { deleteInvitationsBy } from "./invitation-store.ts";
import * as store from "./member-store.ts";
import type { Member, Membership } from "./organization.ts";
import { keepingAnOwner, lockForGrant, type OwnershipLimit, requireRoomToOwn } from "./owners.ts";

/** Parts that members stand on. */
export interface MemberServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly access: Access;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly limits: OwnershipLimit;
}

/** A membership, as a request names it. */
export interface MemberRef {
  /** The organization's id or name. */
  readonly org: string;
  readonly userId: string;
}

/** A person who calls. */
type PersonCaller = Caller & { readonly principal: UserPrincipal };

/** What a person is in an organization: superusers act in those, too, that they are no member of. */
export interface Standing extends GrantedAccess {
  readonly member: Member | undefined;
}

const governs = { role: "owner", writes: true } as const;

/** Manages the members of organizations. */
export class MemberService {
  readonly #database: Database;
  readonly #feed: MemberServiceOptions["feed"];
  readonly #access: Access;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #limits: OwnershipLimit;

  constructor(options: MemberServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#access = options.access;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#limits = options.limits;
  }

  /**
   * Makes somebody a member who was not asked: superusers may. To an owner the
   * answer is the same whoever was named, and nothing is told of them.
   *
   * @throws DomainError NOT_AUTHORIZED, CONSENT_NEEDED, USER_NOT_FOUND, ALREADY_MEMBER
   */
  async add(caller: Caller, ref: MemberRef, role: Role): Promise<Member> {
    const granted = await this.#access.require(caller.principal, ref.org, governs);
    if (!caller.principal.superuser) throw new DomainError("CONSENT_NEEDED");
    const orgId = granted.organization.id;
    const userId = ref.userId.toLowerCase();
    return await orTaken(
      this.#database.transaction(async (tx) => {
        if (!(await store.lockPerson(tx, userId))) throw new DomainError("USER_NOT_FOUND");
        await store.insertMember(tx, { orgId, userId, role }, this.#clock.now());
        await this.#audit.record(tx, caller, {
          action: "member.add",
          target: userId,
          orgId,
          details: { role, via: "superuser" },
        });
        const member = await store.findMember(tx, orgId, userId);
        if (member === undefined) throw new DomainError("USER_NOT_FOUND");
        await this.#feed.append(tx, { topic: "user", subject: userId });
        return member;
      }),
      "ALREADY_MEMBER",
    );
  }

  /** Longest first. */
  async list(caller: Caller, org: string, page: PageRequest): Promise<Page<Member>> {
    const { organization } = await this.#access.require(caller.principal, org, {
      role: "viewer",
      writes: false,
    });
    const list = ["ListMembers", organization.id];
    const [afterAt, afterId] = fromPageToken(list, page.token, ["integer", "text"]) ?? [-1, ""];
    const rows = await store.findMembers(this.#database.reader, organization.id, {
      afterAt,
      afterId,
      limit: page.size + 1,
    });
    return toPage(rows, page.size, list, (member) => [member.createdAt.getTime(), member.userId]);
  }

  /** What a person is a member of, disabled organizations included; oldest organizations first. */
  async listOwn({ principal }: PersonCaller, page: PageRequest): Promise<Page<Membership>> {
    const list = ["listOwn", principal.id];
    const [afterId] = fromPageToken(list, page.token, ["text"]) ?? [""];
    const range = { afterId, limit: page.size + 1 };
    const rows = await store.findMemberships(this.#database.reader, principal.id, range);
    return toPage(rows, page.size, list, ({ organization }) => [organization.id]);
  }

  /** What a person may do in an organization, and as which member if they are one. @throws DomainError as `Access.require` */
  async getStanding({ principal }: PersonCaller, org: string): Promise<Standing> {
    const granted = await this.#access.require(principal, org, { role: "viewer", writes: false });
    const orgId = granted.organization.id;
    return { ...granted, member: await store.findMember(this.#database.reader, orgId, principal.id) };
  }

  /**
   * Gives a member another role; who has it already keeps it, and nothing is recorded.
   *
   * @throws DomainError NOT_AUTHORIZED, ADDRESS_UNPROVEN, MEMBER_NOT_FOUND, LAST_OWNER, TOO_MANY_ORGANIZATIONS
   */
  async setRole(caller: Caller, ref: MemberRef, role: Role): Promise<Member> {
    const granted = await this.#access.require(caller.principal, ref.org, governs);
    requireProven(caller.principal);
    requireGrantable(granted, role);
    const orgId = granted.organization.id;
    const userId = ref.userId.toLowerCase();
    return await this.#database.transaction(async (tx) => {
      if (role === "owner") await store.lockPerson(tx, userId);
      await lockForGrant(tx, caller.principal, orgId, governs.role);
      const before = await keepingAnOwner(tx, orgId, async () => {
        const found = await store.findMember(tx, orgId, userId);
        const becomesOwner = role === "owner" && found !== undefined && found.role !== "owner";
        if (becomesOwner) await requireRoomToOwn(tx, caller.principal, userId, this.#limits);
        await store.updateMemberRole(tx, orgId, userId, role);
        return found;
      });
      if (before === undefined) throw new DomainError("MEMBER_NOT_FOUND");
      if (before.role === role) return before;
      await this.#audit.record(tx, caller, {
        action: "member.set_role",
        target: userId,
        orgId,
        details: { role, previous_role: before.role },
      });
      if (role !== "owner") await this.#endInvitations(tx, caller, { org: orgId, userId }, "member.set_role");
      await this.#feed.append(tx, { topic: "user", subject: userId });
      return { ...before, role };
    });
  }

  /** Owners may remove anyone, everyone themselves. @throws DomainError NOT_AUTHORIZED, MEMBER_NOT_FOUND, LAST_OWNER */
  async remove(caller: Caller, ref: MemberRef): Promise<void> {
    const userId = ref.userId.toLowerCase();
    const leaves = caller.principal.type === "user" && caller.principal.id === userId;
    const need = leaves ? ({ role: "viewer", writes: true } as const) : governs;
    const { organization } = await this.#access.require(caller.principal, ref.org, need);
    await this.#database.transaction(async (tx) => {
      if (!leaves) await lockForGrant(tx, caller.principal, organization.id, governs.role);
      const isMember = await keepingAnOwner(tx, organization.id, () =>
        store.deleteMember(tx, organization.id, userId),
      );
      if (!isMember) throw new DomainError("MEMBER_NOT_FOUND");
      await this.#audit.record(tx, caller, {
        action: "member.remove",
        target: userId,
        orgId: organization.id,
      });
      await this.#endInvitations(tx, caller, { org: organization.id, userId }, "member.remove");
      await this.#feed.append(tx, { topic: "user", subject: userId });
    });
  }

  /** Who is no owner any more has invited nobody. */
  async #endInvitations(tx: Tx, caller: Caller, { org, userId }: MemberRef, because: string): Promise<void> {
    const ended = await deleteInvitationsBy(tx, { type: "user", id: userId }, because, org);
    for (const event of ended) await this.#audit.record(tx, caller, event);
  }
}
