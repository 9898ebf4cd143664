/**
 * What the OAuth routes have in common: a form comes in, JSON goes out, nothing
 * is cached. They are handed Node's request as it comes, for they are called
 * for every token. They read no cookie.
 */
import { readBody } from "../http/node-http.ts";
import type { RawRoute } from "../http/plain-route.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";

/** A request, read but not judged. */
export interface OauthRequest {
  readonly form: Form;
  readonly authorization: string | undefined;
  /** `X-Project`. */
  readonly project: string | undefined;
  readonly info: RequestInfo;
}

/** Answers a request with a JSON text, or with an empty 200. Refuses by DomainError. */
export type OauthEndpoint = (request: OauthRequest) => Promise<string>;

/**
 * Makes a route of an endpoint.
 *
 * @param bodyBytes longest body that is read
 */
export function toOauthRoute(path: string, endpoint: OauthEndpoint, bodyBytes: number): RawRoute {
  return {
    method: "POST",
    path,
    refusals: "oauth",
    readsNoCookie: true,
    raw: async (request, response, info) => {
      const { headers } = request;
      const body = await readBody(request, bodyBytes);
      if (!isFormType(headers["content-type"])) {
        throw invalidRequest("content-type must be application/x-www-form-urlencoded");
      }
      const project = headers["x-project"];
      const asked: OauthRequest = {
        form: readForm(body),
        authorization: headers.authorization,
        project: typeof project === "string" ? project : undefined,
        info,
      };
      const answer = await (info.doWork === undefined ? endpoint(asked) : info.doWork(() => endpoint(asked)));
      response.statusCode = 200;
      response.setHeader("cache-control", "no-store");
      response.setHeader("pragma", "no-cache");
      if (answer !== "") response.setHeader("content-type", "application/json");
      const bytes = Buffer.byteLength(answer);
      response.setHeader("content-length", bytes);
      // ASCII alone is the same in both, and costs less to write as what takes no encoding.
      response.end(answer, bytes === answer.length ? "latin1" : "utf8");
    },
  };
}

/** Fields by name. One that was sent empty counts as absent (RFC 6749 §3.1). */
export type Form = ReadonlyMap<string, string>;

/** Most fields that are read. */
const mostFields = 32;

/** Undoes form encoding. @throws DomainError INVALID_REQUEST */
export function decodeFormText(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw invalidRequest("the form is not encoded as UTF-8");
  }
}

/** Whether a `Content-Type` is that of a form, with no other character set than UTF-8. */
export function isFormType(contentType: string | undefined): boolean {
  return /^application\/x-www-form-urlencoded(?:\s*;\s*charset="?utf-8"?)?\s*$/i.test(contentType ?? "");
}

/**
 * Reads a form as OAuth posts them (RFC 6749 appendix B), strictly: a name comes
 * once, every escape is whole and of UTF-8, and there are few fields. A lenient
 * reader and a strict one in front of it could see two different requests.
 *
 * @throws DomainError INVALID_REQUEST for repeated, too many or wrongly encoded fields
 */
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
      if (fields.has(name)) throw invalidRequest("a form field is repeated");
      if (fields.size === mostFields) throw invalidRequest("the form has too many fields");
      fields.set(name, value);
      hasEmpty ||= value === "";
    }
    at = end + 1;
  }
  if (hasEmpty) for (const [name, value] of fields) if (value === "") fields.delete(name);
  return fields;
}
