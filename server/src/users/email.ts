/** Longest address, in characters (RFC 5321 §4.5.3.1.3 with its brackets taken off). */
const longestEmail = 254;

const localPart = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const printableAscii = /^[\x21-\x7e]+$/;

/**
 * An address in the one spelling that is kept: lower case, without space
 * around it. ASCII alone, no quoted local part, no address literal: what is
 * refused here never reaches a mail's header or envelope.
 *
 * ASCII before it is lower case: some other letters have a lower case that is
 * ASCII, such as the Kelvin sign, and would become somebody else's address.
 *
 * @returns undefined for what is no such address.
 */
export function toEmail(text: string): string | undefined {
  const given = text.trim();
  const email = given.toLowerCase();
  const at = email.lastIndexOf("@");
  const local = email.slice(0, Math.max(at, 0));
  const labels = email.slice(at + 1).split(".");
  const isGood =
    printableAscii.test(given) &&
    email.length <= longestEmail &&
    local.length <= 64 &&
    localPart.test(local) &&
    labels.every((each) => label.test(each)) &&
    !/^\d+$/.test(labels.at(-1) ?? "");
  return isGood ? email : undefined;
}

/** The part of a good address behind the `@`. */
export function toEmailDomain(email: string): string {
  return email.slice(email.lastIndexOf("@") + 1);
}
