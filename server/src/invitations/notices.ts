/** Mails that ask people in. What others chose in them is cut, made plain, and nothing in it becomes a link. */
import { toShownName } from "../lib/shown-name.ts";
import { renderMail } from "../mail/template.ts";
import type { Invitation } from "../organizations/invitation.ts";
import type { Role } from "../principals/principal.ts";

/** A mail's texts. */
type Notice = ReturnType<typeof renderMail>;

const roleTexts: Readonly<Record<Role, string>> = {
  viewer: "a viewer",
  manager: "a manager",
  owner: "an owner",
};

/**
 * A name that somebody chose, for a mail to a stranger: mail programs make links
 * of what looks like a host or an address, and templates fill in braces.
 */
export function toMailedName(name: string): string {
  return toShownName(name)
    .replace(/[.\u{3002}\u{ff0e}\u{ff61}\u{2024}](?=\S)/gu, "$& ")
    .replace(/:(?=\/)/g, ": ")
    .replace(/@/g, " at ")
    .replace(/[{}]/g, "");
}

/** Somebody invites into an organization. @param site what the people who come here call the place. */
export function toInvitationNotice(site: string, invitation: Invitation, link: string): Notice {
  const { organization, invitedBy, role, expiresAt } = invitation;
  const sender =
    invitedBy.type === "user"
      ? invitedBy.name
      : `The service user \u201c${toMailedName(invitedBy.name)}\u201d`;
  const name = toMailedName(organization.title) || toMailedName(organization.name);
  return toNotice(site, link, "See the invitation", [
    `${sender.replace(/[{}]/g, "")} invites you to the organization \u201c${name}\u201d, as ${roleTexts[role]}.`,
    "{{.Link}}",
    `The invitation works until ${toDay(expiresAt)}. You accept it yourself, signed in with this address: the link alone accepts nothing.`,
    "If you do not know who invites you, there is nothing to do.",
  ]);
}

/** Those who run the platform let an address sign up. */
export function toSignUpNotice(site: string, link: string): Notice {
  return toNotice(site, link, "Sign in", [
    `You can sign in to ${site.replace(/[{}]/g, "")} now, with this address.`,
    "{{.Link}}",
    "If you do not know what this is, there is nothing to do.",
  ]);
}

function toNotice(site: string, link: string, linkLabel: string, body: readonly string[]): Notice {
  const template = { subject: `You are invited to ${site.replace(/[{}]/g, "")}`, body: body.join("\n\n") };
  return renderMail(template, { site, otp: "", minutes: 0, link, linkLabel });
}

function toDay(instant: Date): string {
  return `${instant.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
