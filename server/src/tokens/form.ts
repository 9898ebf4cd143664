/**
 * Forms as OAuth posts them (RFC 6749 appendix B), read strictly: a name comes
 * once, every escape is whole and of UTF-8, and there are few fields. A lenient
 * reader and a strict one in front of it could see two different requests.
 */
import type { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";

/** Fields by name. One that was sent empty counts as absent (RFC 6749 §3.1). */
export type Form = ReadonlyMap<string, string>;

/** Most fields that are read. */
const mostFields = 32;

function invalid(message: string): DomainError {
  return invalidRequest(message);
}

/** Undoes form encoding. @throws DomainError INVALID_REQUEST */
export function decodeFormText(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw invalid("the form is not encoded as UTF-8");
  }
}

/** Whether a `Content-Type` is that of a form, with no other character set than UTF-8. */
export function isFormType(contentType: string | undefined): boolean {
  return /^application\/x-www-form-urlencoded(?:\s*;\s*charset="?utf-8"?)?\s*$/i.test(contentType ?? "");
}

/** Reads a form. @throws DomainError INVALID_REQUEST for repeated, too many or wrongly encoded fields */
export function readForm(body: Buffer): Form {
  const fields = new Map<string, string>();
  let hasEmpty = false;
  // Anything beyond ASCII should have been escaped; as latin1 it comes to nothing that is a name or secret here.
  const text = body.toString("latin1");
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf("&", at);
    const end = found < 0 ? text.length : found;
    if (end > at) {
      const equals = text.indexOf("=", at);
      const nameEnd = equals < 0 || equals > end ? end : equals;
      const name = decodeFormText(text.slice(at, nameEnd));
      const value = decodeFormText(text.slice(Math.min(nameEnd + 1, end), end));
      if (fields.has(name)) throw invalid("a form field is repeated");
      if (fields.size === mostFields) throw invalid("the form has too many fields");
      fields.set(name, value);
      hasEmpty ||= value === "";
    }
    at = end + 1;
  }
  if (hasEmpty) for (const [name, value] of fields) if (value === "") fields.delete(name);
  return fields;
}
