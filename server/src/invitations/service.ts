/**
 * Invitations into organizations: the rules.
 *
 * An owner names an address, and a mail goes there; whoever has proven that
 * address accepts, in a session of their own. What the mail's link carries
 * shows the invitation and grants nothing: it may have been forwarded, or read
 * by a machine. An invitation lives by its sender's power, which is asked once
 * more when it is accepted. To everybody but its organization and its addressee
 * there is no invitation.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { type Page, type PageRequest, toPageById } from "../lib/page-token.ts";
import { isSecretOf } from "../lib/secrets.ts";
import { type Access, requireGrantable, requireProven } from "../organizations/access.ts";
import { type Invitation, stateOf } from "../organizations/invitation.ts";
import * as store from "../organizations/invitation-store.ts";
import { hasMemberOf, lockPerson } from "../organizations/member-store.ts";
import { lockForGrant, type OwnershipLimit } from "../organizations/owners.ts";
import { findProject } from "../organizations/project-store.ts";
import { type Caller, type Principal, type Role, toActor } from "../principals/principal.ts";
import { requireEmail } from "../users/email.ts";
import { findUser } from "../users/store.ts";
import { type InvitationRef, isOf, isTo, join, lockOwn } from "./answers.ts";
import { takeMails } from "./mail-limits.ts";

/** Who is asked into which organization, and as what. */
export interface InvitationRequest {
  /** The organization's id or name. */
  readonly org: string;
  /** In any case. */
  readonly emails: readonly string[];
  readonly role: Role;
  /** Ids or names of projects of the organization. */
  readonly projects: readonly string[];
}

/** Parts that invitations stand on. */
export interface InvitationServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly access: Access;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly limits: OwnershipLimit;
  /** How long an invitation works. */
  readonly validitySeconds: number;
  /** Lower case. */
  readonly adminEmails: readonly string[];
  /** Has the mails sent that are due. Never throws, and waits for nothing. */
  readonly onDue: () => void;
}

const governs = { role: "owner", writes: true } as const;
const manages = { role: "manager", writes: false } as const;

/** How many invitations of an organization may be pending. */
const mostPending = 100;

/** How many invitations of one address are listed. */
const listedPerAddress = 200;

/** @see the head of this file */
export class InvitationService {
  readonly #options: InvitationServiceOptions;

  constructor(options: InvitationServiceOptions) {
    this.#options = options;
  }

  /**
   * Invites all of the addresses, or none. One that is invited already is
   * renewed: same id, all else as asked now, and its link is dead.
   *
   * @returns in the order of the addresses, each once.
   * @throws DomainError NOT_AUTHORIZED, ADDRESS_UNPROVEN, INVALID_EMAIL, ALREADY_MEMBER, PROJECT_NOT_FOUND,
   *   TOO_MANY_INVITATIONS
   */
  async create(caller: Caller, request: InvitationRequest): Promise<Invitation[]> {
    const { role } = request;
    const emails = [...new Set(request.emails.map(requireEmail))];
    return await this.#write(caller, request.org, role, async (tx, orgId) => {
      const projectIds = await findProjectIds(tx, orgId, request.projects);
      return emails.map((email) => ({ email, role, projectIds }));
    });
  }

  /**
   * Asks the same of the same address anew: another link, and all of the time.
   *
   * @throws DomainError NOT_AUTHORIZED, ADDRESS_UNPROVEN, INVITATION_NOT_FOUND, ALREADY_MEMBER, TOO_MANY_INVITATIONS
   */
  async renew(caller: Caller, ref: Required<InvitationRef>): Promise<Invitation> {
    const [renewed] = await this.#write(caller, ref.org, "viewer", async (tx, orgId, granted) => {
      const found = await getInvitation(tx, ref.id, orgId);
      requireGrantable(granted, found.role);
      return [found];
    });
    if (renewed === undefined) throw notFound();
    return renewed;
  }

  /** Oldest first, of one address if given. @throws DomainError NOT_AUTHORIZED */
  async list(
    caller: Caller,
    { org, email = "" }: { readonly org: string; readonly email?: string },
    page: PageRequest,
  ): Promise<Page<Invitation>> {
    const { organization } = await this.#options.access.require(caller.principal, org, manages);
    const asked = email.toLowerCase();
    const list = ["ListOrganizationInvitations", organization.id, asked];
    const filter = asked === "" ? {} : { email: asked };
    return await toPageById(list, page, (range) =>
      store.findInvitations(this.#options.database.reader, organization.id, { ...filter, ...range }),
    );
  }

  /** Those of the caller's own address, oldest first; none of one that nobody has proven. */
  async listForAddress({ principal }: Caller): Promise<Invitation[]> {
    const { reader } = this.#options.database;
    const user = principal.type === "user" ? await findUser(reader, principal.id) : undefined;
    return user?.emailProven ? await store.findInvitationsTo(reader, user.email, listedPerAddress) : [];
  }

  /** Those of a user's address. @throws DomainError NOT_AUTHORIZED unless the caller is a superuser, USER_NOT_FOUND */
  async listForUser({ principal }: Caller, userId: string): Promise<Invitation[]> {
    if (!principal.superuser) throw new DomainError("NOT_AUTHORIZED", { detail: "needs a superuser" });
    const { reader } = this.#options.database;
    const user = await findUser(reader, userId.toLowerCase());
    if (user === undefined) throw new DomainError("USER_NOT_FOUND");
    return await store.findInvitationsTo(reader, user.email, listedPerAddress);
  }

  /** For managers and for the invited. @throws DomainError NOT_AUTHORIZED, INVITATION_NOT_FOUND */
  async get(caller: Caller, ref: Required<InvitationRef>): Promise<Invitation> {
    const own = await this.findOwn(caller, ref.id);
    if (own !== undefined && isOf(own, ref)) return own;
    const { organization } = await this.#options.access.require(caller.principal, ref.org, manages);
    return await getInvitation(this.#options.database.reader, ref.id, organization.id);
  }

  /** An invitation of the caller's own, proven address. */
  async findOwn({ principal }: Caller, id: string): Promise<Invitation | undefined> {
    if (principal.type !== "user") return undefined;
    const { reader } = this.#options.database;
    const user = await findUser(reader, principal.id);
    const found = await store.findInvitation(reader, id);
    return user !== undefined && found !== undefined && isTo(found, user) ? found : undefined;
  }

  /**
   * What the link in the mail shows, to whoever has it. Undefined for a link
   * that another has taken the place of.
   */
  async findByLink(id: string, token: string): Promise<Invitation | undefined> {
    const { reader } = this.#options.database;
    const found = await store.findInvitation(reader, id);
    const tokenHash = found && (await store.findTokenHash(reader, found.id));
    return isSecretOf(token, tokenHash) ? found : undefined;
  }

  /** Takes an invitation back. @throws DomainError NOT_AUTHORIZED, INVITATION_NOT_FOUND */
  async withdraw(caller: Caller, ref: Required<InvitationRef>): Promise<void> {
    const { access, database, audit } = this.#options;
    const { organization } = await access.require(caller.principal, ref.org, governs);
    await database.transaction(async (tx) => {
      await lockForGrant(tx, caller.principal, organization.id, governs.role);
      const { id, orgId, email } = await getInvitation(tx, ref.id, organization.id);
      if (!(await store.deleteInvitation(tx, id))) throw notFound();
      await audit.record(tx, caller, {
        action: "invitation.delete",
        target: id,
        orgId,
        mailbox: email,
        details: { email },
      });
    });
  }

  /**
   * Removes an invitation of the caller's own, proven address. As accepting it
   * this takes the person: whoever was given an access token of theirs answers
   * nothing for them.
   *
   * @throws DomainError NOT_AUTHORIZED, INVITATION_NOT_FOUND
   */
  async decline(caller: Caller, ref: InvitationRef): Promise<void> {
    const { database, audit, adminEmails } = this.#options;
    requireSession(caller);
    await database.transaction(async (tx) => {
      const { invitation } = await lockOwn(tx, caller.principal, ref, adminEmails);
      const { id, orgId, email } = invitation;
      await store.deleteInvitation(tx, id);
      await audit.record(tx, caller, {
        action: "invitation.decline",
        target: id,
        orgId,
        mailbox: email,
        details: { email },
      });
    });
  }

  /** Withdraws or declines, whichever the caller may. @throws DomainError NOT_AUTHORIZED, INVITATION_NOT_FOUND */
  async delete(caller: Caller, ref: Required<InvitationRef>): Promise<void> {
    const own = await this.findOwn(caller, ref.id);
    if (own !== undefined && isOf(own, ref)) await this.decline(caller, ref);
    else await this.withdraw(caller, ref);
  }

  /**
   * Makes the caller a member; one that is already keeps their role. Members
   * are made of people in a session of their own alone.
   *
   * @throws DomainError NOT_AUTHORIZED, INVITATION_NOT_FOUND, INVITATION_EXPIRED, ORGANIZATION_DISABLED,
   *   TOO_MANY_ORGANIZATIONS
   */
  async accept(caller: Caller, ref: InvitationRef): Promise<Invitation> {
    const { database, audit, feed, clock, limits, adminEmails } = this.#options;
    const { principal } = caller;
    requireSession(caller);
    return await database.transaction(async (tx) => {
      const now = clock.now();
      const own = await lockOwn(tx, principal, ref, adminEmails);
      const { invitation, user } = own;
      if (stateOf(invitation, now) === "expired") throw new DomainError("INVITATION_EXPIRED");
      if (invitation.organization.state === "disabled") throw new DomainError("ORGANIZATION_DISABLED");
      const { id, orgId, email, role, invitedBy } = invitation;
      await store.deleteInvitation(tx, id);
      await audit.record(tx, caller, {
        action: "invitation.accept",
        target: id,
        orgId,
        mailbox: email,
        details: { email, role, invited_by: `${invitedBy.type}:${invitedBy.id}` },
      });
      for (const event of await join(tx, principal, own, limits, now)) await audit.record(tx, caller, event);
      await feed.append(tx, { topic: "user", subject: user.id });
      return invitation;
    });
  }

  /** Invites, or invites anew, all that `find` answers, with its organization locked. */
  async #write(
    caller: Caller,
    org: string,
    role: Role,
    find: (
      tx: Tx,
      orgId: string,
      granted: Awaited<ReturnType<Access["require"]>>,
    ) => Promise<readonly Pick<Invitation, "email" | "role" | "projectIds">[]>,
  ): Promise<Invitation[]> {
    const { access, database, clock, validitySeconds, onDue } = this.#options;
    const { principal } = caller;
    const granted = await access.require(principal, org, governs);
    requireProven(principal);
    requireGrantable(granted, role);
    const orgId = granted.organization.id;
    const written = await database.transaction(async (tx) => {
      // Who asks is locked before the organization, as everywhere.
      if (principal.type === "user") await lockPerson(tx, principal.id);
      await lockForGrant(tx, principal, orgId, governs.role);
      const now = clock.now();
      const asked = await find(tx, orgId, granted);
      for (const { email } of asked) {
        if (await hasMemberOf(tx, orgId, email)) throw alreadyMember();
      }
      const sender = { orgId, senderId: principal.id, isSuperuser: principal.superuser };
      await takeMails(
        tx,
        sender,
        asked.map(({ email }) => email),
        now,
      );
      const expiresAt = new Date(now.getTime() + validitySeconds * 1000);
      const invited: Invitation[] = [];
      for (const { email, role, projectIds } of asked) {
        const draft = { orgId, email, role, projectIds, expiresAt };
        invited.push(await this.#put(tx, caller, draft, now));
      }
      await this.#requirePlace(tx, principal, orgId, now);
      return invited;
    });
    onDue();
    return written;
  }

  async #put(
    tx: Tx,
    caller: Caller,
    asked: Pick<store.InvitationDraft, "orgId" | "email" | "role" | "projectIds" | "expiresAt">,
    now: Date,
  ): Promise<Invitation> {
    const { principal } = caller;
    const draft = { ...asked, invitedBy: toActor(principal), bySuperuser: principal.superuser };
    const { orgId, email, role, expiresAt } = asked;
    const [before] = await store.findInvitations(tx, orgId, { email, afterId: "", limit: 1 });
    const id = before?.id ?? newId(now);
    if (before === undefined) await store.insertInvitation(tx, id, draft, now);
    else await store.renewInvitation(tx, id, draft, now);
    await this.#options.audit.record(tx, caller, {
      action: before === undefined ? "invitation.create" : "invitation.renew",
      target: id,
      orgId,
      mailbox: email,
      details: { email, role, expires_at: expiresAt.toISOString() },
    });
    return await getInvitation(tx, id, orgId);
  }

  async #requirePlace(tx: Tx, { superuser }: Principal, orgId: string, now: Date): Promise<void> {
    if (superuser || (await store.countPending(tx, orgId, now)) <= mostPending) return;
    const nextAt = await store.findNextExpiry(tx, orgId, now);
    throw new DomainError("TOO_MANY_INVITATIONS", {
      message: `no more than ${mostPending} invitations of an organization can be pending: withdraw some first`,
      retryAfterSeconds: Math.max(1, Math.ceil((nextAt.getTime() - now.getTime()) / 1000)),
    });
  }
}

/** @throws DomainError NOT_AUTHORIZED */
function requireSession({ principal }: Caller): void {
  if (principal.credentialKind !== "session") {
    throw new DomainError("NOT_AUTHORIZED", { detail: "needs a session" });
  }
}

/** In Frontier's words. */
function alreadyMember(): DomainError {
  return new DomainError("ALREADY_MEMBER", { message: "principal is already a member of the resource" });
}

function notFound(): DomainError {
  return new DomainError("INVITATION_NOT_FOUND");
}

async function getInvitation(
  reader: Parameters<typeof store.findInvitation>[0],
  id: string,
  orgId: string,
): Promise<Invitation> {
  const found = await store.findInvitation(reader, id, orgId);
  if (found === undefined) throw notFound();
  return found;
}

async function findProjectIds(tx: Tx, orgId: string, projects: readonly string[]): Promise<string[]> {
  const ids = new Set<string>();
  for (const name of projects) {
    const project = await findProject(tx, orgId, name);
    if (project === undefined) throw new DomainError("PROJECT_NOT_FOUND");
    ids.add(project.id);
  }
  return [...ids];
}
