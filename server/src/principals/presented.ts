import { isUtf8 } from "node:buffer";

/** What an assertion proves; the `auth_via` of tokens made from it. */
export type AssertionUse = "private_key_jwt" | "jwt_bearer";

/** Strictness with which an assertion is read. */
export interface AssertionRules {
  /**
   * For Frontier's clients: `aud` and `jti` may be absent and `iss` is free. A
   * present `aud` must match all the same, a present `jti` is single use.
   */
  readonly relaxed: boolean;
}

/** What there is of each kind of credential: a new kind is a line here, its name below, and a judge in its noun's room. */
interface CredentialParts {
  /** A client secret, or an opaque token under its own or its service user's id. */
  basic: { readonly id: string; readonly secret: string };
  access_token: { readonly token: string };
  opaque_token: { readonly token: string };
  /** A personal access token, known by its prefix. */
  personal_token: { readonly token: string };
  /** A session cookie's value. */
  session: { readonly cookie: string };
  /** Of a key pair (RFC 7523). On no header: the grants alone present it. */
  assertion: { readonly assertion: string; readonly use: AssertionUse; readonly rules: AssertionRules };
  /** What cannot be read, or has no place where it stands: always refused, `detail` says for what. */
  malformed: { readonly detail: string };
}

/** Kind of a credential as it is presented. */
export type CredentialKind = keyof CredentialParts;

/** A credential as it is presented, not yet judged; of the kinds named, or any. */
export type PresentedCredential<K extends CredentialKind = CredentialKind> = {
  [P in K]: { readonly kind: P } & CredentialParts[P];
}[K];

/** What the headers of a request can present. */
export type HeaderCredential = PresentedCredential<Exclude<CredentialKind, "assertion">>;

/** What stands in `Authorization`. */
export type AuthorizationCredential = PresentedCredential<"basic" | BearerKind | "malformed">;

/** Kinds of bearer tokens. */
type BearerKind = "access_token" | "opaque_token" | "personal_token";

/** As what each kind is noted in log, metrics and audit. */
export const credentialKindNames: Readonly<Record<CredentialKind, string>> = {
  basic: "client_secret",
  access_token: "access_token",
  opaque_token: "opaque_token",
  personal_token: "personal_token",
  session: "session",
  assertion: "key_pair",
  malformed: "malformed",
};

/** Name of the session cookie. */
export const sessionCookieName = "sid";

/** Headers that carry a credential; no page of another site can set them unasked. */
export const credentialHeaders: readonly string[] = ["authorization", "x-user-token"];

/**
 * Name of its companion, which only this very host can set, by https
 * (RFC 6265bis §4.1.3.2): a `sid` may have been put into a browser by a
 * neighbour under the same domain, its companion may not.
 */
export const companionCookieName = "__Host-vestibule-bind";

/** How personal access tokens begin. */
const personalTokenStart = "vstu_";

/** Whether a text has two dots. Not taken apart for that: every call by token asks. */
function hasThreeParts(token: string): boolean {
  const first = token.indexOf(".");
  const second = first < 0 ? -1 : token.indexOf(".", first + 1);
  return second >= 0 && !token.includes(".", second + 1);
}

/** Tells tokens apart: three parts between dots are a JWT (RFC 7515 §7.1), opaque ones contain no dot. */
export function readBearerToken(token: string): PresentedCredential<BearerKind | "malformed"> {
  if (token === "") return { kind: "malformed", detail: "empty bearer token" };
  if (hasThreeParts(token)) return { kind: "access_token", token };
  if (token.startsWith(personalTokenStart)) return { kind: "personal_token", token };
  return { kind: "opaque_token", token };
}

const base64Pattern = /^[A-Za-z0-9+/]+={0,2}$/;

/** Splits at the first colon: user names have none, passwords may (RFC 7617 §2). */
function fromBasic(encoded: string): PresentedCredential<"basic" | "malformed"> {
  const bytes = Buffer.from(encoded, "base64");
  if (!base64Pattern.test(encoded) || !isUtf8(bytes))
    return { kind: "malformed", detail: "basic: not base64 of UTF-8" };
  const text = bytes.toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 0) return { kind: "malformed", detail: "basic: no colon" };
  return { kind: "basic", id: text.slice(0, colon), secret: text.slice(colon + 1) };
}

/** Reads the value of `Authorization`. Schemes are case-insensitive (RFC 9110 §11.1). */
export function readAuthorization(header: string): AuthorizationCredential {
  const value = header.trim();
  const space = value.indexOf(" ");
  const scheme = (space < 0 ? value : value.slice(0, space)).toLowerCase();
  const rest = space < 0 ? "" : value.slice(space + 1).trim();
  if (scheme === "bearer") return readBearerToken(rest);
  if (scheme === "basic") return fromBasic(rest);
  return { kind: "malformed", detail: "unknown authorization scheme" };
}

/** Whether a request says that a browser made it: by `Origin`, or by any `Sec-Fetch-…` (Fetch Metadata §2). */
export function isFromBrowser(header: Headers): boolean {
  return header.has("origin") || [...header.keys()].some((name) => name.startsWith("sec-fetch-"));
}

/** Finds the session cookies of a request that count; the others are as good as absent. */
export type FindSessionCookies = (header: Headers) => readonly string[] | Promise<readonly string[]>;

/**
 * Every credential on a request, in no order of preference: all of them must
 * be good and name one principal.
 *
 * @param sessionCookies those that count
 */
export function readPresentedCredentials(
  header: Headers,
  sessionCookies: readonly string[],
): HeaderCredential[] {
  const presented: HeaderCredential[] = [];
  const authorization = header.get("authorization");
  if (authorization !== null) presented.push(readAuthorization(authorization));
  const userToken = header.get("x-user-token");
  if (userToken !== null) presented.push({ kind: "access_token", token: userToken.trim() });
  for (const cookie of sessionCookies) presented.push({ kind: "session", cookie });
  return presented;
}
