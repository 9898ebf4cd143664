import { type DescMessage, type JsonObject, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { isNoneMatch, toWeakTag } from "../../http/entity-tag.ts";
import type { PlainResponse } from "../../http/plain-route.ts";
import type { CallAnswer } from "../calls/unary-call.ts";
import { isJsonObject } from "../json/strict-json.ts";
import type { Binding } from "./binding.ts";
import { hasLinks, type LinkSource, toPageLinks, toSelfLink } from "./links.ts";
import type { AnswerType } from "./media-types.ts";

/** Headers of ours that no handler sets. */
const ownHeaders = new Set(["content-type", "content-length", "set-cookie"]);

/** What the request says of the answer it wants. */
export interface AnswerWish {
  /** HAL adds `_links`, where an answer can carry them. */
  readonly type: AnswerType;
  /** `If-None-Match` as sent. */
  readonly ifNoneMatch: string | undefined;
}

/**
 * A call's answer over HTTP. The handler's headers go along; nothing is stored
 * by caches unless the handler says so, for an answer may hold a secret.
 *
 * What a GET reads, other than a page of a list, has an entity tag: the
 * handler's, or a weak one made of what is answered. A caller that knows it is
 * answered 304 without a body (RFC 9110 §13.1.2, §15.4.5).
 */
export function toRestAnswer(
  binding: Binding,
  { message, header }: CallAnswer,
  { type, ifNoneMatch }: AnswerWish,
  source: Omit<LinkSource, "answer">,
): PlainResponse {
  const headers: Record<string, string | string[]> = { "cache-control": "no-store", ...toHeaders(header) };
  const status = binding.successStatus;
  if (status === 204) return { status, headers };
  const json = toBody(binding, message);
  headers.vary = "Accept";
  if (isTagged(binding)) {
    const tag = header.get("etag") ?? toWeakTag(JSON.stringify(json));
    headers.etag = tag;
    if (isNoneMatch(ifNoneMatch, tag)) return { status: 304, headers };
  }
  const isHal = type === "application/hal+json" && hasLinks(binding) && isJsonObject(json);
  const body = isHal ? withLinks(binding, json, header, { ...source, answer: message }) : json;
  headers["content-type"] = isHal ? type : "application/json";
  return { status, headers, body: JSON.stringify(body) };
}

/** Whether answers have entity tags. Pages of lists have none: they would be read whole to be compared. */
export function isTagged({ httpMethod, paging, style }: Binding): boolean {
  return httpMethod === "GET" && paging === undefined && style !== "frontier";
}

function toHeaders(header: Headers): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of header) {
    if (!ownHeaders.has(name)) headers[name] = value;
  }
  const cookies = header.getSetCookie();
  return cookies.length > 0 ? { ...headers, "set-cookie": cookies } : headers;
}

function toBody({ method, responseBody, style }: Binding, message: Message): JsonValue {
  const isFrontier = style === "frontier";
  const json = toJson(method.output, message, {
    alwaysEmitImplicit: !isFrontier,
    useProtoFieldName: isFrontier,
  });
  // Frontier's own screens walk through an answer's lists without asking whether they are there.
  if (isFrontier) addEmptyLists(method.output, json as JsonObject);
  if (responseBody === undefined) return json as JsonValue;
  const name = isFrontier ? responseBody.name : responseBody.jsonName;
  return (json as JsonObject)[name] ?? emptyOf(responseBody.fieldKind);
}

function addEmptyLists({ fields }: DescMessage, json: JsonObject): void {
  for (const { fieldKind, name } of fields) {
    if (fieldKind === "list") json[name] ??= [];
  }
}

/** What stands for a field that is unset. */
function emptyOf(kind: string): JsonValue {
  return kind === "list" ? [] : {};
}

function withLinks(
  { paging, successStatus, responseBody, template: { verb } }: Binding,
  json: JsonObject,
  header: Headers,
  source: LinkSource,
): JsonObject {
  const location = successStatus === 201 ? header.get("location") : null;
  // A verb that answers what it was done to is no address of that.
  const path = verb !== "" && responseBody ? source.path.slice(0, -verb.length - 1) : source.path;
  const self =
    location === null
      ? toSelfLink({ ...source, path })
      : { href: new URL(location, source.publicOrigin).href };
  const links = { self, ...(paging && toPageLinks(paging, source)) };
  return { ...json, _links: links as unknown as JsonObject };
}
