/** What the owner of an account is told by mail when something about signing in to it has changed. */
import { renderMail } from "./template.ts";

/** A mail's texts. */
type Notice = ReturnType<typeof renderMail>;

/** Names are people's own and providers': nothing in them is a placeholder. */
function toNotice(site: string, subject: string, ...body: string[]): Notice {
  const template = { subject, body: body.map((text) => text.replace(/[{}]/g, "")).join("\n\n") };
  return renderMail(template, { site, otp: "", minutes: 0 });
}

/** Someone added or removed a passkey. */
export function toPasskeyNotice(site: string, event: "added" | "removed", name: string): Notice {
  const direction = event === "added" ? "to" : "from";
  return toNotice(
    site,
    `A passkey was ${event}`,
    `The passkey "${name}" was ${event} ${direction} your account.`,
    "If that was not you, sign in, end your other sessions and look at your passkeys.",
  );
}

/** An identity was parted from the account. */
export function toUnlinkNotice(site: string, strategy: string, email: string): Notice {
  const account = email === "" ? "" : ` (${email})`;
  return toNotice(
    site,
    "A way to sign in was removed",
    `Your account at "${strategy}"${account} does not sign you in any more.`,
    "If that was not you, sign in, end your other sessions and look at your account.",
  );
}
