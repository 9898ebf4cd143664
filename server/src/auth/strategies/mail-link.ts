/**
 * Sign-in by a link that is mailed and followed.
 *
 * Scanners open links before people do: opening this one shows a page with a
 * button and changes nothing, only the button's POST redeems it. It redeems in
 * the browser that asked; for any other browser the mail carries a code as
 * well, to be typed in the first one.
 */
import { randomBytes } from "node:crypto";
import { fromBase64url } from "../../lib/base64url.ts";
import { DomainError } from "../../lib/errors.ts";
import { type MailTemplate, renderMail } from "../../mail/template.ts";
import type { Strategy } from "../strategy.ts";
import { findDigest, type MailOtpOptions, requireMailbox } from "./mail-otp.ts";
import { isDigestOf, newCode, normalizeCode, toDigest } from "./mailed-code.ts";

const codeHint = "On another device, or in another browser, type this code in the first one instead:";

/** The mail's texts where none are configured. */
export const mailLinkTemplate: MailTemplate = {
  subject: "Your sign-in link",
  body: [
    "Follow this link to sign in, in the browser where you asked for it:",
    "{{.Link}}",
    codeHint,
    "{{.Otp}}",
    "Both work for {{.Minutes}} minutes, once. If you did not ask for them, there is nothing to do.",
  ].join("\n\n"),
};

/** How links to sign in by are mailed, and where they lead. */
export interface MailLinkOptions extends MailOtpOptions {
  /** The public URL's page that the link opens: `<public>/auth/callback`. Never made from a request. */
  readonly landingUrl: string;
}

/** A template of one's own may know nothing of the code; without it, the mail is of no use on another device. */
function withCode({ subject, body }: MailTemplate): MailTemplate {
  if (/\{\{\s*\.Otp\s*\}\}/.test(body)) return { subject, body };
  return { subject, body: `${body.trimEnd()}\n\n${codeHint}\n\n{{.Otp}}` };
}

/** How many random bytes a link carries: so many that a wrong one is no guess. */
const tokenBytes = 32;

/** Whether an answer came by a link. One that has this form is never a typed code, however it is padded. */
function isLinkToken(code: string): boolean {
  return fromBase64url(code)?.length === tokenBytes;
}

/** Strategy `maillink`. */
export function createMailLinkStrategy(options: MailLinkOptions): Strategy {
  const template = withCode(options.template);
  const { mailer, siteName: site, validitySeconds, landingUrl } = options;
  return {
    name: "maillink",
    params: {},
    flowSeconds: validitySeconds,
    attempts: "code",
    isUnguessable: isLinkToken,
    isClosed: () => mailer.findRefusal() !== undefined,
    async begin(request) {
      const to = requireMailbox(request, mailer);
      const otp = newCode();
      const token = randomBytes(tokenBytes).toString("base64url");
      const link = new URL(landingUrl);
      link.search = new URLSearchParams({
        strategy_name: "maillink",
        state: request.state,
        code: token,
      }).toString();
      const minutes = Math.round(validitySeconds / 60);
      const mail = { to, ...renderMail(template, { site, otp, link: link.href, minutes }) };
      return { secret: { code: toDigest(otp), token: toDigest(token) }, mail };
    },
    async finish({ code, flow }) {
      const isLink = isLinkToken(code);
      const kept = findDigest(flow.secret, isLink ? "token" : "code");
      const isRight = kept !== undefined && isDigestOf(kept, isLink ? code : normalizeCode(code));
      if (flow.email === undefined || !isRight) throw new DomainError("INVALID_OTP");
      return { kind: "mailbox", email: flow.email };
    },
  };
}
