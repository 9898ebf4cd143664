/** HAL's `_links` of an answer: to itself, and from one page of a list to the others. */

import type { DescField } from "@bufbuild/protobuf";
import { isFieldSet, type Message } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import { findOpenMessage } from "../json/value-types.ts";
import type { Binding, Paging } from "./binding.ts";

/** A link as HAL has it (draft-kelly-json-hal §5). */
export interface Link {
  readonly href: string;
}

/** What links are made from. */
export interface LinkSource {
  /** The public URL's origin; never a request header. */
  readonly publicOrigin: string;
  /** As sent. */
  readonly path: string;
  /** As sent, without the question mark. */
  readonly query: string;
  readonly request: Message;
  readonly answer: Message;
}

/** Whether a binding's answers can carry links: those that are a message, not an array or a free-form object. */
export function hasLinks({ method, responseBody, style }: Binding): boolean {
  const type = responseBody === undefined ? method.output : findOpenMessage(responseBody);
  return style !== "frontier" && type !== undefined && !hasCustomJsonRepresentation(type);
}

/** The link of an answer to itself, absolute. */
export function toSelfLink({ publicOrigin, path, query }: LinkSource): Link {
  return { href: publicOrigin + path + (query === "" ? "" : `?${query}`) };
}

/**
 * The links from a page to the first, previous, next and last one, as far as
 * there are such. A cursor goes before a number, and a page that was reached
 * by cursor has no number.
 */
export function toPageLinks({ byNumber, byCursor }: Paging, source: LinkSource): Record<string, Link> {
  const pageFields = [byNumber?.page, byCursor?.pageToken].filter((field) => field !== undefined);
  const at = (field?: DescField, value?: string | number) => toPageLink(source, pageFields, field, value);
  const token = byCursor && read(source.request, byCursor.pageToken);
  const nextToken = byCursor && read(source.answer, byCursor.nextPageToken);
  // Whoever reads by cursor goes on so: by number, pages in the middle cost what lies before them.
  const isByCursor = byNumber !== undefined && token !== undefined;
  const links: Record<string, Link> = { first: isByCursor ? at(byCursor?.pageToken, "") : at() };
  if (byNumber !== undefined && (token === undefined || token === "")) {
    const page = Number(read(source.request, byNumber.page) ?? 0);
    const lastPage = Number(read(source.answer, byNumber.totalPages) ?? 0) - 1;
    if (page > 0) links.prev = at(byNumber.page, Math.min(page - 1, Math.max(lastPage, 0)));
    if (page < lastPage) links.next = at(byNumber.page, page + 1);
    links.last = at(byNumber.page, Math.max(lastPage, 0));
  }
  if (typeof nextToken === "string" && nextToken !== "") links.next = at(byCursor?.pageToken, nextToken);
  return links;
}

/** The request's own query with another page, or none. */
function toPageLink(
  { publicOrigin, path, query }: LinkSource,
  pageFields: readonly DescField[],
  field: DescField | undefined,
  value: string | number | undefined,
): Link {
  const names = pageFields.flatMap(({ name, jsonName }) => [name, jsonName]);
  const parameters = new URLSearchParams(query);
  const spelled = names.find((name) => parameters.has(name) && field !== undefined && isName(field, name));
  for (const name of names) parameters.delete(name);
  if (field !== undefined) parameters.set(spelled ?? field.jsonName, String(value));
  const text = parameters.toString();
  return { href: publicOrigin + path + (text === "" ? "" : `?${text}`) };
}

function isName(field: DescField, name: string): boolean {
  return field.name === name || field.jsonName === name;
}

function read(message: Message, field: DescField): unknown {
  return isFieldSet(message, field)
    ? (message as unknown as Record<string, unknown>)[field.localName]
    : undefined;
}
