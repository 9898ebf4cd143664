/** What an invitation asks of whoever answers it, and what accepting makes of them. */
import type { AuditEvent } from "../audit/audit.ts";
import type { Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { type Invitation, powerOf } from "../organizations/invitation.ts";
import * as store from "../organizations/invitation-store.ts";
import { findMemberRole, insertMember } from "../organizations/member-store.ts";
import { type OwnershipLimit, requireRoomToOwn } from "../organizations/owners.ts";
import { findProject, insertProjectMember } from "../organizations/project-store.ts";
import { lockOrganization } from "../organizations/store.ts";
import type { Principal } from "../principals/principal.ts";
import { lockUser } from "../users/store.ts";
import type { User } from "../users/user.ts";

/** An invitation, as a request names it. */
export interface InvitationRef {
  /** The organization's id or name; absent where the caller's address says enough. */
  readonly org?: string;
  readonly id: string;
}

/** Somebody's own invitation, and by whose power it lives. */
export interface OwnInvitation {
  readonly invitation: Invitation;
  readonly user: User;
  readonly power: "superuser" | "owner";
}

/** Whether an invitation is to somebody, who has proven its address. */
export function isTo({ email }: Invitation, user: Pick<User, "email" | "emailProven">): boolean {
  return user.emailProven && user.email === email;
}

/** Whether an invitation is of the organization that a request names. */
export function isOf({ organization }: Invitation, { org }: InvitationRef): boolean {
  return org === undefined || org.toLowerCase() === organization.id || org === organization.name;
}

/**
 * An invitation of the caller's own, proven address, whose sender still may:
 * with the caller, its organization and itself locked, in this order.
 *
 * @param adminEmails lower case.
 * @throws DomainError INVITATION_NOT_FOUND
 */
export async function lockOwn(
  tx: Tx,
  principal: Principal,
  ref: InvitationRef,
  adminEmails: readonly string[],
): Promise<OwnInvitation> {
  const user = principal.type === "user" ? await lockUser(tx, principal.id) : undefined;
  const seen = user && (await store.findInvitation(tx, ref.id));
  if (user?.state !== "enabled" || seen === undefined || !isTo(seen, user) || !isOf(seen, ref)) {
    throw new DomainError("INVITATION_NOT_FOUND");
  }
  await lockOrganization(tx, seen.orgId);
  const invitation = await store.lockInvitation(tx, seen.id);
  const standing = invitation && (await store.findInviterStanding(tx, invitation));
  const power = standing && powerOf(standing, adminEmails);
  if (invitation === undefined || power === undefined) {
    const detail = "it is gone, or its sender may not invite any more";
    throw new DomainError("INVITATION_NOT_FOUND", { detail });
  }
  return { invitation, user, power };
}

/**
 * Makes the invited a member, unless they are one, who keep their role; and of
 * its projects, as far as they are there.
 *
 * @returns what is to be recorded.
 * @throws DomainError TOO_MANY_ORGANIZATIONS
 */
export async function join(
  tx: Tx,
  principal: Principal,
  { invitation, user, power }: OwnInvitation,
  limits: OwnershipLimit,
  now: Date,
): Promise<AuditEvent[]> {
  const { orgId, role, projectIds } = invitation;
  const events: AuditEvent[] = [];
  if ((await findMemberRole(tx, user.id, orgId)) === undefined) {
    const giver = { superuser: power === "superuser" || principal.superuser };
    if (role === "owner") await requireRoomToOwn(tx, giver, user.id, limits);
    await insertMember(tx, { orgId, userId: user.id, role }, now);
    events.push({ action: "member.add", target: user.id, orgId, details: { role, via: "invitation" } });
  }
  const member = { type: "user", id: user.id } as const;
  for (const project of projectIds) {
    if ((await findProject(tx, orgId, project)) === undefined) continue;
    if (!(await insertProjectMember(tx, project, member, now))) continue;
    events.push({ action: "project.add_member", target: member, orgId, details: { project } });
  }
  return events;
}
