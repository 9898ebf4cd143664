/**
 * Page tokens (AIP-158): opaque texts that say where the next page begins.
 *
 * A token carries a check of what was being listed, so that one used with
 * another filter is refused instead of answering a page of something else. It
 * grants nothing: the caller's rights are judged anew for every page.
 */
import { hash } from "node:crypto";
import { DomainError } from "./errors.ts";

/** Sort key of the last row of a page. */
export type PagePosition = readonly (string | number)[];

/** Rows on a page when the caller does not say. */
export const defaultPageSize = 50;

function toCheck(list: readonly string[]): string {
  return hash("sha256", JSON.stringify(list), "base64url").slice(0, 8);
}

/** @param list the method's name and every filter of the request. */
export function toPageToken(list: readonly string[], position: PagePosition): string {
  return Buffer.from(JSON.stringify([toCheck(list), ...position])).toString("base64url");
}

/**
 * Where the page begins; undefined for an empty token, which means the first page.
 *
 * @throws DomainError INVALID_REQUEST when it is not a token of this very list.
 */
export function fromPageToken(list: readonly string[], token: string): PagePosition | undefined {
  if (token === "") return undefined;
  const [check, ...position] = parse(token);
  if (check !== toCheck(list)) throw refusal();
  return position;
}

function parse(token: string): PagePosition {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    if (Array.isArray(value) && value.every((part) => typeof part === "string" || typeof part === "number"))
      return value;
  } catch {
    // Falls through to the one refusal.
  }
  throw refusal();
}

function refusal(): DomainError {
  const description = "must be the next_page_token of the same list";
  return new DomainError("INVALID_REQUEST", {
    message: `page_token: ${description}`,
    violations: [{ field: "page_token", description }],
  });
}

/** One page of rows, and the token of the next. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/**
 * Cuts a page out of rows that were read one beyond its size.
 *
 * @param rows at most `size + 1` of them.
 */
export function toPage<T>(
  rows: readonly T[],
  size: number,
  list: readonly string[],
  positionOf: (row: T) => PagePosition,
): Page<T> {
  const items = rows.slice(0, size);
  const last = items.at(-1);
  const hasMore = rows.length > size && last !== undefined;
  return { items, nextPageToken: hasMore ? toPageToken(list, positionOf(last)) : "" };
}
