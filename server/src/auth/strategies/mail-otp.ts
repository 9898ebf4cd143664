/**
 * Sign-in by a code that is mailed and typed.
 *
 * The mail goes out after the answer, by the same path whether or not the
 * address is known. Counting wrong codes, per flow and per mailbox, is the
 * service's.
 */
import { DomainError } from "../../lib/errors.ts";
import type { Metadata } from "../../lib/metadata.ts";
import { toProviderLabel } from "../../lib/well-known-providers.ts";
import type { Mailer } from "../../mail/mailer.ts";
import { type MailTemplate, renderMail } from "../../mail/template.ts";
import type { BeginRequest, Strategy } from "../strategy.ts";
import { isDigestOf, newCode, normalizeCode, type SecretDigest, toDigest } from "./mailed-code.ts";

/** How codes to sign in by are mailed. */
export interface MailOtpOptions {
  readonly mailer: Pick<Mailer, "isAvailable" | "findRefusal">;
  readonly template: MailTemplate;
  /** What the people who are written to call the place. */
  readonly siteName: string;
  /** How long a code works. */
  readonly validitySeconds: number;
  /** The code that an address always has, without a mail: for tests of whole systems. */
  readonly findFixedCode?: (email: string) => string | undefined;
}

/** The mail's texts where none are configured. */
export const mailOtpTemplate: MailTemplate = {
  subject: "{{.Otp}} is your sign-in code",
  body: [
    "Your sign-in code is",
    "{{.Otp}}",
    "Type it where you asked for it. It works for {{.Minutes}} minutes, once.",
    "If you did not ask for it, someone else typed your address: there is nothing to do.",
  ].join("\n\n"),
};

/**
 * The template of a mail whose code does more than sign in once: whoever reads
 * it must be told, whatever the template's own words, for somebody else may
 * have asked for it.
 */
function toJoining({ subject, body }: MailTemplate, strategyName: string): MailTemplate {
  const warning = `It also lets the account at ${toProviderLabel(strategyName)} that you have just used sign in as you from then on. If you have used none, tell the code to nobody.`;
  return { subject, body: `${body.trimEnd()}\n\n${warning}` };
}

/** The address to write to. @throws DomainError INVALID_EMAIL when there is none, UNAVAILABLE while mail cannot be sent */
export function requireMailbox(request: BeginRequest, mailer: MailOtpOptions["mailer"]): string {
  if (request.email === undefined) throw new DomainError("INVALID_EMAIL");
  if (!mailer.isAvailable()) {
    throw new DomainError("UNAVAILABLE", { message: "mail cannot be sent at the moment, try again later" });
  }
  return request.email;
}

/** Reads back the digest that `begin` kept under a name. */
export function findDigest(secret: Metadata, name: string): SecretDigest | undefined {
  const kept = secret[name] as Partial<SecretDigest> | undefined;
  return typeof kept?.salt === "string" && typeof kept.digest === "string"
    ? (kept as SecretDigest)
    : undefined;
}

/** Strategy `mailotp`. */
export function createMailOtpStrategy(options: MailOtpOptions): Strategy {
  const { mailer, template, siteName: site, validitySeconds } = options;
  return {
    name: "mailotp",
    params: {},
    flowSeconds: validitySeconds,
    attempts: "code",
    isClosed: () => mailer.findRefusal() !== undefined,
    async begin(request) {
      const to = requireMailbox(request, mailer);
      const fixed = options.findFixedCode?.(to);
      if (fixed !== undefined) return { secret: { code: toDigest(normalizeCode(fixed)) } };
      const otp = newCode();
      const minutes = Math.round(validitySeconds / 60);
      const words = request.joins === undefined ? template : toJoining(template, request.joins);
      const mail = { to, ...renderMail(words, { site, otp, minutes }) };
      return { secret: { code: toDigest(otp) }, mail };
    },
    async finish({ code, flow }) {
      const kept = findDigest(flow.secret, "code");
      if (kept === undefined || flow.email === undefined || !isDigestOf(kept, normalizeCode(code))) {
        throw new DomainError("INVALID_OTP");
      }
      return { kind: "mailbox", email: flow.email };
    },
  };
}
