/** Entity tags, and the conditions that name them (RFC 9110 §8.8.3, §13.1). */
import { hash } from "node:crypto";
import { DomainError } from "../lib/errors.ts";

/** Each tag of a list; commas may stand inside one. */
const tagPattern = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g;

/** A tag that says two answers mean the same, byte for byte or not, when it is the same. */
export function toWeakTag(text: string): string {
  return `W/${toTag(text)}`;
}

/** A tag of what is made of this text alone. */
export function toTag(text: string): string {
  return `"${hash("sha256", text, "base64url").slice(0, 22)}"`;
}

/**
 * Whether `If-Match` as sent lets a write to what has this tag through:
 * `*`, or the tag by strong comparison, which a weak one never passes.
 */
export function isMatch(ifMatch: string, tag: string): boolean {
  if (ifMatch.trim() === "*") return true;
  return !tag.startsWith("W/") && listTags(ifMatch).includes(tag);
}

/** Whether `If-None-Match` as sent names this tag: `*`, or by weak comparison. */
export function isNoneMatch(ifNoneMatch: string | null | undefined, tag: string): boolean {
  if (ifNoneMatch === null || ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === "*") return true;
  return listTags(ifNoneMatch).map(toOpaque).includes(toOpaque(tag));
}

/** What is no tag names nothing. */
function listTags(list: string): string[] {
  return list.match(tagPattern) ?? [];
}

function toOpaque(tag: string): string {
  return tag.replace(/^W\//, "");
}

/** What binds a write to the state its author has read (RFC 9110 §13.1), as sent. */
export interface WriteCondition {
  /** `If-Match`. */
  readonly ifMatch?: string;
  /** `If-None-Match`: `*` for a write that must not find anything. */
  readonly ifNoneMatch?: string;
}

/** The conditions that a request carries. */
export function readCondition(header: Headers): WriteCondition {
  const [ifMatch, ifNoneMatch] = [header.get("if-match"), header.get("if-none-match")];
  return { ...(ifMatch !== null && { ifMatch }), ...(ifNoneMatch !== null && { ifNoneMatch }) };
}

/**
 * Holds what a write has found against its conditions.
 *
 * @throws DomainError PRECONDITION_FAILED
 */
export function checkCondition(tag: string, { ifMatch, ifNoneMatch }: WriteCondition): void {
  if (ifMatch !== undefined && !isMatch(ifMatch, tag)) throw new DomainError("PRECONDITION_FAILED");
  if (isNoneMatch(ifNoneMatch, tag)) throw new DomainError("PRECONDITION_FAILED");
}
