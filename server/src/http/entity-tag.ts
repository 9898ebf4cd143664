/** Entity tags, and the conditions that name them (RFC 9110 §8.8.3, §13.1). */
import { hash } from "node:crypto";

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
