/** Pieces that the types' schemas share, and what a refusal by one of their patterns says. */

import type { JsonValue } from "../../lib/json.ts";
import { signatureAlgorithms } from "../../signatures/algorithms.ts";
import type { ProviderTypeName } from "./provider-type.ts";

type Schema = { readonly [key: string]: JsonValue };

/** Most members of a list in a provider's data. */
const maxListItems = 64;

const httpUrl = "^https?://[^\\s/?#@\\\\]+(/[^\\s#\\\\]*)?$";
const issuerUrl = "^https?://[^\\s/?#@\\\\]+(/[^\\s?#\\\\]*)?$";
const siteUrl = "^https?://[^\\s/?#@\\\\]+/?$";
const domainName = "^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.)+[A-Za-z0-9-]{2,63}$";
const headerName = "^[A-Za-z0-9][A-Za-z0-9-]*$";
const githubName = "^[A-Za-z0-9][A-Za-z0-9-]{0,38}$";
const uuid = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
const visibleText = "^[\\x21-\\x7e]+$";

/** Headers that mean something to browsers, proxies and servers on the way, or that this service sets itself. */
const takenHeader =
  "^(authorization|www-authenticate|cookie|set-cookie|host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|keep-alive|forwarded|x-forwarded-.*|x-original-.*|x-real-ip|proxy-.*|sec-.*|origin|referer|accept.*|user-agent|via|date|range|if-.*|cache-control|pragma|access-control-.*|x-http-method.*|x-envoy-.*|trace(parent|state)|x-vestibule-.*|x-user-token|x-request-id)$";

/** Patterns of JSON Schema know no flag for it. */
function ignoringCase(pattern: string): string {
  return pattern.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
}

const headerPattern = new RegExp(headerName);
const takenHeaderPattern = new RegExp(ignoringCase(takenHeader));

/** Whether a text is a header's name that means nothing to anybody on the way, and so may be given a meaning. */
export function isFreeHeader(name: string): boolean {
  return headerPattern.test(name) && !takenHeaderPattern.test(name);
}

/** What a value must be that one of the patterns refuses. */
export const patternTexts: ReadonlyMap<string, string> = new Map([
  [httpUrl, "must be an https URL without user name or fragment"],
  [issuerUrl, "must be an https URL without user name, query or fragment"],
  [siteUrl, "must be an https origin such as https://github.example.com"],
  [domainName, "must be a domain name such as example.com"],
  [headerName, "must be a header name of letters, digits and hyphens"],
  [githubName, "must be the login name of a GitHub organization"],
  [uuid, "must be a UUID"],
  [visibleText, "must be of visible ASCII characters, without spaces"],
]);

/** Makes the schema of a type, complete with `$id` and what a form needs. */
export function makeSchema(
  publicUrl: string,
  type: { readonly name: ProviderTypeName; readonly displayName: string; readonly description: string },
  rest: { readonly properties: Schema; readonly required: readonly string[] } & Schema,
): Schema {
  const file = type.name.toLowerCase().replaceAll("_", "-");
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: `${publicUrl}/frontdoor/schemas/${file}.schema.json`,
    title: type.displayName,
    description: type.description,
    type: "object",
    additionalProperties: false,
    ...rest,
  };
}

/** A list of distinct texts, not empty unless `rest` says so. */
export function listOf(items: Schema, rest: Schema): Schema {
  return { minItems: 1, ...rest, type: "array", items, maxItems: maxListItems, uniqueItems: true };
}

const text = (maxLength: number): Schema => ({ type: "string", minLength: 1, maxLength });
const url = (pattern: string): Schema => ({ ...text(2048), format: "uri", pattern });

/** Kinds of single values. */
export const kinds = {
  issuer: url(issuerUrl),
  url: url(httpUrl),
  site: url(siteUrl),
  identifier: { ...text(512), pattern: visibleText },
  audience: text(512),
  domain: { ...text(253), pattern: domainName },
  githubName: { ...text(39), pattern: githubName },
  header: { ...text(64), pattern: headerName, not: { pattern: ignoringCase(takenHeader) } },
  uuid: { type: "string", pattern: uuid, maxLength: 36 },
} as const satisfies Record<string, Schema>;

/** The client's id at its provider. */
export const clientIdProperty: Schema = {
  ...kinds.identifier,
  title: "Client ID",
  description: "Id under which this frontdoor is registered at the provider.",
  examples: ["abc123"],
};

/** The client's secret: written, encrypted, never read. */
export const clientSecretProperty: Schema = {
  ...text(4096),
  title: "Client secret",
  description:
    "Secret that belongs to the client ID. Kept encrypted and never shown again: it reads as ********, and writing that back keeps it.",
  writeOnly: true,
  format: "password",
};

/** Which signatures are accepted. */
export const algorithmsProperty: Schema = listOf(
  { type: "string", enum: [...signatureAlgorithms] },
  {
    title: "Allowed algorithms",
    description:
      "Signature algorithms accepted, each only with a key that is for it. Symmetric algorithms and none are never accepted.",
    default: [...signatureAlgorithms],
    examples: [["RS256"]],
  },
);

/** Claims a token must have. */
export const requiredClaimsProperty: Schema = {
  title: "Required claims",
  description:
    "Claims that a token must carry, by name: the value equal to, or, where the claim is a list (or the text of scope), contained in it. A list asks for each of its values.",
  type: "object",
  maxProperties: 32,
  additionalProperties: {
    type: ["string", "number", "boolean", "array"],
    maxLength: 512,
    minItems: 1,
    maxItems: maxListItems,
    items: { type: ["string", "number", "boolean"], maxLength: 512 },
  },
  examples: [{ email_verified: true, groups: ["staff"] }],
};
