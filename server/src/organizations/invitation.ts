import type { Role } from "../principals/principal.ts";
import type { Organization } from "./organization.ts";

/** Whose power an invitation lives by. */
export interface Inviter {
  readonly type: "user" | "serviceuser";
  readonly id: string;
}

/** An address that is asked into an organization. */
export interface Invitation {
  /** The same when it is renewed. */
  readonly id: string;
  readonly orgId: string;
  readonly organization: Pick<Organization, "id" | "name" | "title" | "state">;
  /** Lower case. */
  readonly email: string;
  readonly role: Role;
  readonly projectIds: readonly string[];
  /** Who sent it, or renewed it last; the name is an address, or a machine's title. */
  readonly invitedBy: Inviter & { readonly name: string };
  readonly createdAt: Date;
  /** When the mail server took its latest mail; absent while it has not. */
  readonly sentAt?: Date;
  readonly expiresAt: Date;
}

/** Whether an invitation can still be accepted, as far as its time goes. */
export function stateOf({ expiresAt }: Pick<Invitation, "expiresAt">, now: Date): "pending" | "expired" {
  return expiresAt > now ? "pending" : "expired";
}

/** What whoever sent an invitation is by now. */
export interface InviterStanding {
  readonly isEnabled: boolean;
  /** Their role in the organization, if they have one. */
  readonly role: Role | undefined;
  /** Of a person, whose address says whether they are a superuser. */
  readonly email?: string;
  readonly emailProven: boolean;
  /** Of a machine. */
  readonly isSuperuser: boolean;
}

/**
 * By which power an invitation lives, if there is any left.
 *
 * @param adminEmails lower case: whoever has proven one of them is a superuser.
 */
export function powerOf(
  { isEnabled, role, email = "", emailProven, isSuperuser }: InviterStanding,
  adminEmails: readonly string[],
): "superuser" | "owner" | undefined {
  if (!isEnabled) return undefined;
  if (isSuperuser || (emailProven && adminEmails.includes(email))) return "superuser";
  return role === "owner" ? "owner" : undefined;
}
