/**
 * What becomes of an account that somebody opened on an address that was never
 * proven, when the mailbox is.
 *
 * Proven from outside, it may be another person's: they get the account and
 * nothing that was put into it. What opened it, identities, passkeys and
 * sessions, is gone, and so are title, picture and metadata, what was chosen
 * and agreed to, and the memberships: an organization that is left without an owner is disabled, save
 * the default one.
 */
import type { AuditEvent } from "../audit/audit.ts";
import type { Change } from "../changes/topics.ts";
import type { Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { deleteInvitationsBy } from "../organizations/invitation-store.ts";
import { deleteMember, findOrganizationIds } from "../organizations/member-store.ts";
import { defaultOrganizationName, type Organization } from "../organizations/organization.ts";
import { findLeftOwnerless } from "../organizations/owners.ts";
import { findOrganization, updateOrganizationState } from "../organizations/store.ts";
import * as identities from "./identity-store.ts";
import { deletePreferences } from "./preference-store.ts";
import * as store from "./store.ts";
import type { User } from "./user.ts";

/** What a take-over did, for those who are to be told of it. */
export interface TakeOver {
  /** Of the account. */
  readonly email: string;
  /** Strategies of the identities that were linked, each once. */
  readonly strategies: readonly string[];
  readonly passkeys: number;
  /** How many organizations the account was a member of. */
  readonly organizations: number;
  /** Those of them that are disabled now, for want of an owner. */
  readonly disabled: readonly Organization[];
}

/** What takes from an account all that it had before the owner of its address took it over. */
export interface TakeOverParts {
  readonly clock: Clock;
  /** Ends all sessions of a user with `tx`; what it answers is to be appended to the feed. */
  readonly endSessions: (tx: Tx, userId: string) => Promise<readonly Change[]>;
  /** Removes all passkeys of a user with `tx`, and answers how many there were. */
  readonly forgetPasskeys: (tx: Tx, userId: string) => Promise<number>;
  /** Forgets which frontdoors' owners a user lets know who they are. */
  readonly forgetConfirmations: (tx: Tx, userId: string) => Promise<void>;
}

/** A take-over and what it leaves to be recorded and told. */
export interface Taken {
  readonly user: User;
  readonly events: readonly AuditEvent[];
  readonly changes: readonly Change[];
  readonly takenOver: TakeOver;
}

/** Takes an account over, with `tx`. @param user locked, and not proven. */
export async function takeOver(tx: Tx, user: User, parts: TakeOverParts): Promise<Taken> {
  const { clock, endSessions, forgetPasskeys, forgetConfirmations } = parts;
  const now = clock.now();
  const linked = await identities.findIdentities(tx, user.id);
  await identities.deleteIdentities(tx, user.id);
  const passkeys = await forgetPasskeys(tx, user.id);
  const ended = await endSessions(tx, user.id);
  await deletePreferences(tx, user.id);
  await forgetConfirmations(tx, user.id);
  const orgIds = await findOrganizationIds(tx, user.id);
  const { ownerless } = await findLeftOwnerless(tx, orgIds, async () => {
    for (const orgId of orgIds) await deleteMember(tx, orgId, user.id);
  });
  const disabled: Organization[] = [];
  for (const orgId of ownerless) {
    const before = await findOrganization(tx, orgId);
    // One that somebody disabled before is nothing new; the default one is the superusers' and stays open to them.
    if (before?.state !== "enabled" || before.name === defaultOrganizationName) continue;
    const organization = await updateOrganizationState(tx, orgId, "disabled", now);
    if (organization !== undefined) disabled.push(organization);
  }
  const uninvited = await deleteInvitationsBy(tx, { type: "user", id: user.id }, "user.take_over");
  const blank = { title: "", avatar: "", metadata: {} };
  const proven = { ...user, ...blank, emailProven: true, isEmailGiven: false, updatedAt: now };
  await store.updateUser(tx, user, proven);
  const takenOver: TakeOver = {
    email: user.email,
    strategies: [...new Set(linked.map(({ strategy }) => strategy))],
    passkeys,
    organizations: orgIds.length,
    disabled,
  };
  return {
    user: proven,
    events: [...toEvents(user.id, takenOver, orgIds, ended.length), ...uninvited],
    changes: [
      ...ended,
      { topic: "user", subject: user.id },
      ...disabled.map(({ id }) => ({ topic: "organization", subject: id }) as const),
    ],
    takenOver,
  };
}

/** Organizations hear of it too: their members and state have changed. */
function toEvents(
  userId: string,
  { strategies, passkeys, organizations, disabled }: TakeOver,
  orgIds: readonly string[],
  sessions: number,
): readonly AuditEvent[] {
  const details = { because: "user.take_over" };
  return [
    {
      action: "user.take_over",
      target: userId,
      details: {
        identities: strategies.join(","),
        passkeys: String(passkeys),
        sessions: String(sessions),
        organizations: String(organizations),
      },
    },
    ...orgIds.map((orgId) => ({ action: "member.remove", target: userId, orgId, details }) as const),
    ...disabled.map(
      ({ id }) => ({ action: "organization.disable", target: id, orgId: id, details }) as const,
    ),
  ];
}
