import { type JsonObject, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import type { PlainResponse } from "../plain-route.ts";
import type { CallAnswer } from "../unary-call.ts";
import type { Binding } from "./binding.ts";
import { hasLinks, type LinkSource, toPageLinks, toSelfLink } from "./links.ts";
import type { AnswerType } from "./media-types.ts";
import { isJsonObject } from "./type-errors.ts";

/** Headers of ours that no handler sets. */
const ownHeaders = new Set(["content-type", "content-length", "set-cookie"]);

/**
 * A call's answer over HTTP. The handler's headers go along; nothing is stored
 * by caches unless the handler says so, for an answer may hold a secret.
 *
 * @param type HAL adds `_links`, where an answer can carry them
 */
export function toRestAnswer(
  binding: Binding,
  { message, header }: CallAnswer,
  type: AnswerType,
  source: Omit<LinkSource, "answer">,
): PlainResponse {
  const headers: Record<string, string | string[]> = { "cache-control": "no-store", ...toHeaders(header) };
  const status = binding.successStatus;
  if (status === 204) return { status, headers };
  const json = toBody(binding, message);
  const isHal = type === "application/hal+json" && hasLinks(binding) && isJsonObject(json);
  const body = isHal ? withLinks(binding, json, header, { ...source, answer: message }) : json;
  headers["content-type"] = isHal ? type : "application/json";
  headers.vary = "Accept";
  return { status, headers, body: JSON.stringify(body) };
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
  if (responseBody === undefined) return json as JsonValue;
  const name = isFrontier ? responseBody.name : responseBody.jsonName;
  return (json as JsonObject)[name] ?? emptyOf(responseBody.fieldKind);
}

/** What stands for a field that is unset. */
function emptyOf(kind: string): JsonValue {
  return kind === "list" ? [] : {};
}

function withLinks(
  { paging, successStatus }: Binding,
  json: JsonObject,
  header: Headers,
  source: LinkSource,
): JsonObject {
  const location = successStatus === 201 ? header.get("location") : null;
  const self = location === null ? toSelfLink(source) : { href: new URL(location, source.publicOrigin).href };
  const links = { self, ...(paging && toPageLinks(paging, source)) };
  return { ...json, _links: links as unknown as JsonObject };
}
