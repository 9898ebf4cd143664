/**
 * Page tokens (AIP-158): opaque texts that say where the next page begins.
 *
 * A token carries a check of what was being listed, so that one used with
 * another filter is refused instead of answering a page of something else. It
 * grants nothing: the caller's rights are judged anew for every page.
 */
import { hash } from "node:crypto";
import type { DomainError } from "./errors.ts";
import { invalidField } from "./invalid-request.ts";

/** Sort key of the last row of a page: texts and whole numbers. */
export type PagePosition = readonly (string | number)[];

/** What each part of a position is. */
export type PositionShape = readonly ("text" | "integer")[];

type Position<Shape extends PositionShape> = {
  readonly [Part in keyof Shape]: Shape[Part] extends "text" ? string : number;
};

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
 * Anyone can make a token up, and the position goes into a query: what no
 * database could compare with is refused.
 *
 * @param shape what the list's positions are made of.
 * @throws DomainError INVALID_REQUEST when it is not a token of this very list.
 */
export function fromPageToken<const Shape extends PositionShape>(
  list: readonly string[],
  token: string,
  shape: Shape,
): Position<Shape> | undefined {
  if (token === "") return undefined;
  const [check, ...position] = parse(token);
  const isOfShape = position.length === shape.length && position.every((part, at) => isPart(part, shape[at]));
  if (check !== toCheck(list) || !isOfShape) throw refusal();
  return position as Position<Shape>;
}

function isPart(part: unknown, kind: PositionShape[number] | undefined): boolean {
  if (kind === "integer") return Number.isSafeInteger(part);
  return typeof part === "string" && part.isWellFormed() && !part.includes("\0");
}

function parse(token: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    if (Array.isArray(value)) return value;
  } catch {
    // Falls through to the one refusal.
  }
  throw refusal();
}

function refusal(): DomainError {
  return invalidField("page_token", "must be the next_page_token of the same list");
}

/** Which page of a list. */
export interface PageRequest {
  /** 1 to 200. */
  readonly size: number;
  /** Empty for the first page. */
  readonly token: string;
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

/** Which rows of a list are read: those after an id, in the list's order; empty for the first. */
export interface IdRange {
  readonly afterId: string;
  readonly limit: number;
}

/**
 * One page of a list that is in the order of its ids.
 *
 * @param list as for {@link toPageToken}.
 * @throws DomainError INVALID_REQUEST as {@link fromPageToken}
 */
export async function toPageById<T extends { readonly id: string }>(
  list: readonly string[],
  { size, token }: PageRequest,
  find: (range: IdRange) => Promise<readonly T[]>,
): Promise<Page<T>> {
  const [afterId] = fromPageToken(list, token, ["text"]) ?? [""];
  return toPage(await find({ afterId, limit: size + 1 }), size, list, ({ id }) => [id]);
}
