/**
 * What the OAuth routes have in common: a form comes in, a client says who it
 * is by exactly one method (RFC 6749 §2.3), JSON goes out, nothing is cached.
 * They are handed Node's request as it comes, for they are called for every
 * token. They read no cookie. Whose a credential is says the judge.
 */
import { readBody } from "../http/node-http.ts";
import type { RawRoute } from "../http/plain-route.ts";
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { GuardedJudge } from "../principals/judge.ts";
import {
  type AuthorizationCredential,
  type PresentedCredential,
  readAuthorization,
} from "../principals/presented.ts";
import type { Principal } from "../principals/principal.ts";

/** A request, read but not judged. */
export interface OauthRequest {
  /** As sent, without its query. */
  readonly path: string;
  readonly form: Form;
  readonly authorization: string | undefined;
  /** `X-Project`. */
  readonly project: string | undefined;
  /** `X-Organization`. */
  readonly organization: string | undefined;
  readonly info: RequestInfo;
}

/** Answers a request with a JSON text. Refuses by DomainError. */
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
      const { "x-project": project, "x-organization": organization } = headers;
      const [asPath = ""] = (request.url ?? "").split("?");
      const asked: OauthRequest = {
        path: asPath,
        form: readForm(body),
        authorization: headers.authorization,
        project: typeof project === "string" ? project : undefined,
        organization: typeof organization === "string" ? organization : undefined,
        info,
      };
      const answer = await (info.doWork === undefined ? endpoint(asked) : info.doWork(() => endpoint(asked)));
      response.statusCode = 200;
      response.setHeader("cache-control", "no-store");
      response.setHeader("pragma", "no-cache");
      response.setHeader("content-type", "application/json");
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
function decodeFormText(text: string): string {
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

/** RFC 7523 §2.2. */
export const jwtAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** The methods clients may use, by their registered names (RFC 7591 §2). */
export const clientAuthenticationMethods = [
  "client_secret_basic",
  "client_secret_post",
  "private_key_jwt",
] as const;

/** Client authentication as a request presents it. */
export interface ClientAuthentication {
  /** Absent for a client that only names itself. */
  readonly presented?: AuthorizationCredential | PresentedCredential<"assertion">;
  /** `client_id`, where it stands alone or beside an assertion. */
  readonly clientId?: string | undefined;
}

/** Both halves are form-encoded here, unlike everywhere else (RFC 6749 §2.3.1). */
function fromHeader(authorization: string): AuthorizationCredential {
  const presented = readAuthorization(authorization);
  if (presented.kind !== "basic") return presented;
  try {
    return { kind: "basic", id: decodeFormText(presented.id), secret: decodeFormText(presented.secret) };
  } catch {
    return { kind: "malformed", detail: "basic: id and secret are not form-encoded" };
  }
}

/** Assertions are read strictly: the relaxation for Frontier's clients is AuthToken's alone. */
function fromAssertion(form: Form): ClientAuthentication {
  const type = form.get("client_assertion_type");
  const assertion = form.get("client_assertion");
  if (type === undefined || assertion === undefined) {
    throw invalidRequest("client_assertion and client_assertion_type come together");
  }
  if (type !== jwtAssertionType) {
    return { presented: { kind: "malformed", detail: "unknown client_assertion_type" } };
  }
  const rules = { relaxed: false };
  return {
    presented: { kind: "assertion", assertion, use: "private_key_jwt", rules },
    clientId: form.get("client_id"),
  };
}

/**
 * Reads how a request authenticates its client.
 *
 * A `client_id` may stand beside the header only if it repeats what is in it.
 *
 * @throws DomainError INVALID_REQUEST for two methods at once, or half of one
 */
export function readClientAuthentication(
  form: Form,
  authorization: string | undefined,
): ClientAuthentication {
  const clientId = form.get("client_id");
  const secret = form.get("client_secret");
  const hasAssertion = form.has("client_assertion") || form.has("client_assertion_type");
  const methods = [authorization !== undefined, secret !== undefined, hasAssertion];
  if (methods.filter(Boolean).length > 1) throw invalidRequest("more than one client authentication method");
  if (hasAssertion) return fromAssertion(form);
  if (secret !== undefined) {
    if (clientId === undefined) throw invalidRequest("client_secret without client_id");
    return { presented: { kind: "basic", id: clientId, secret } };
  }
  if (authorization === undefined) return { clientId };
  const presented = fromHeader(authorization);
  if (clientId !== undefined && presented.kind === "basic" && presented.id !== clientId) {
    throw invalidRequest("client_id is not the one in the Authorization header");
  }
  return { presented };
}

/**
 * Proves the client.
 *
 * @throws DomainError NOT_AUTHENTICATED and what else the judge throws; also for a client that only names itself
 */
export async function proveClient(
  guarded: GuardedJudge,
  request: RequestInfo,
  { presented, clientId }: ClientAuthentication,
): Promise<Principal> {
  if (presented === undefined) {
    throw new DomainError("NOT_AUTHENTICATED", { detail: "no client authentication" });
  }
  const { principal } = await guarded.judge(presented, request);
  if (clientId !== undefined && clientId.toLowerCase() !== principal.id) {
    return guarded.refuse(request, "client_id is not the assertion's service user");
  }
  return principal;
}
