/** Mails that ask people in. What others chose in them is cut, made plain, and nothing in it becomes a link. */
import { toShownName } from "../lib/shown-name.ts";
import { type MailTexts, renderNotice } from "../mail/template.ts";
import type { Invitation } from "../organizations/invitation.ts";
import type { Role } from "../principals/principal.ts";

const roleTexts: Readonly<Record<Role, string>> = {
  viewer: "a viewer",
  manager: "a manager",
  owner: "an owner",
};

/**
 * A name that somebody chose, for a mail to a stranger: mail programs make links
 * of what looks like a host or an address.
 */
export function toMailedName(name: string): string {
  return toShownName(name)
    .replace(/[.\u{3002}\u{ff0e}\u{ff61}\u{2024}](?=\S)/gu, "$& ")
    .replace(/:(?=\/)/g, ": ")
    .replace(/@/g, " at ");
}

/** Somebody invites into an organization. @param site what the people who come here call the place. */
export function toInvitationNotice(site: string, invitation: Invitation, link: string): MailTexts {
  const { organization, invitedBy, role, expiresAt } = invitation;
  const sender =
    invitedBy.type === "user"
      ? invitedBy.name
      : `The service user \u201c${toMailedName(invitedBy.name)}\u201d`;
  const name = toMailedName(organization.title) || toMailedName(organization.name);
  return toNotice(site, [
    `${sender} invites you to the organization \u201c${name}\u201d, as ${roleTexts[role]}.`,
    { link, label: "See the invitation" },
    `The invitation works until ${toDay(expiresAt)}. You accept it yourself, signed in with this address: the link alone accepts nothing.`,
    "If you do not know who invites you, there is nothing to do.",
  ]);
}

/** Those who run the platform let an address sign up. */
export function toSignUpNotice(site: string, link: string): MailTexts {
  return toNotice(site, [
    `You can sign in to ${site} now, with this address.`,
    { link, label: "Sign in" },
    "If you do not know what this is, there is nothing to do.",
  ]);
}

function toNotice(site: string, body: Parameters<typeof renderNotice>[2]): MailTexts {
  return renderNotice(site, `You are invited to ${site}`, body);
}

function toDay(instant: Date): string {
  return `${instant.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
