import { toAsciiDomain } from "../lib/ascii-domain.ts";
import { DomainError, reasons } from "../lib/errors.ts";

/** Longest address, in characters (RFC 5321 §4.5.3.1.3 with its brackets taken off). */
const longestEmail = 254;

const localPart = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const printableAscii = /^[\x21-\x7e]+$/;

/**
 * An address in the one spelling that is kept: lower case, without space
 * around it, its domain as DNS has it, where `bücher.example` is
 * `xn--bcher-kva.example`. ASCII alone before the `@`, no quoted local part, no
 * address literal: what is refused here never reaches a mail's header or envelope.
 *
 * ASCII before it is lower case: some other letters have a lower case that is
 * ASCII, such as the Kelvin sign, and would become somebody else's address.
 *
 * @returns undefined for what is no such address.
 */
export function toEmail(text: string): string | undefined {
  const trimmed = text.trim();
  const { local: givenLocal, domain } = split(trimmed);
  const given = `${givenLocal}@${toAsciiDomain(domain) ?? domain}`;
  const email = given.toLowerCase();
  const { local, domain: asciiDomain } = split(email);
  const labels = asciiDomain.split(".");
  const isGood =
    printableAscii.test(given) &&
    email.length <= longestEmail &&
    local.length <= 64 &&
    localPart.test(local) &&
    labels.every((each) => label.test(each)) &&
    !/^\d+$/.test(labels.at(-1) ?? "");
  return isGood ? email : undefined;
}

function split(text: string): { local: string; domain: string } {
  const at = text.lastIndexOf("@");
  return { local: text.slice(0, Math.max(at, 0)), domain: text.slice(at + 1) };
}

/**
 * As {@link toEmail}; says so where it is only letters beyond ASCII before the
 * `@` that are not taken: they need mail servers all the way that have SMTPUTF8
 * (RFC 6531), and have no one spelling to be compared in.
 *
 * @throws DomainError INVALID_EMAIL
 */
export function requireEmail(text: string): string {
  const email = toEmail(text);
  if (email !== undefined) return email;
  const { local, domain } = split(text.trim());
  const isForeign = /[^\0-\x7f]/.test(local) && toEmail(`a@${domain}`) !== undefined;
  if (!isForeign) throw new DomainError("INVALID_EMAIL");
  const [, said] = reasons.INVALID_EMAIL;
  throw new DomainError("INVALID_EMAIL", {
    message: `${said}: before the @ only ASCII is taken, without SMTPUTF8 (RFC 6531)`,
  });
}

/** The part of a good address behind the `@`. */
export function toEmailDomain(email: string): string {
  return email.slice(email.lastIndexOf("@") + 1);
}
