import { toTitle as toFitTitle } from "../lib/title.ts";

/** Longest URL of a picture that is kept, in characters. */
const longestPicture = 2048;

/** What a provider calls a person, fit to be stored and shown; undefined if it says nothing. */
export function toTitle(value: unknown): string | undefined {
  return (typeof value === "string" && toFitTitle(value)) || undefined;
}

/** A picture that a page may show; undefined if there is none. */
export function toPicture(value: unknown): string | undefined {
  if (typeof value !== "string" || value.length > longestPicture) return undefined;
  return /^https:\/\/[\x21-\x7e]+$/.test(value) ? value : undefined;
}
