/**
 * The credential that a visitor's request is judged by: `Authorization`, else
 * an API key, else the session at this frontend; the first that is there
 * decides. More than one of a kind is nobody's: which of them an app would
 * read cannot be known.
 */
import type { ProviderCredential } from "../../frontdoor/provider-types/provider-type.ts";
import { findCookiesIn } from "../../http/node-http.ts";
import { readAuthorization } from "../../principals/presented.ts";
import type { VisitorHeaders } from "../asks/ask.ts";
import type { GateFrontend } from "../directory/frontend.ts";

/** A credential where it stands, not read yet. */
export interface VisitorCredential {
  readonly kind: "authorization" | "api_key" | "session";
  /** Header that carries it, in lower case. */
  readonly header: string;
  readonly value: string;
}

/** Finds what a frontend judges a request by; undefined when there is nothing. Reads each header once. */
export function findCredential(
  frontend: Pick<GateFrontend, "byKeyHeader" | "keyHeaders" | "sessionCookie" | "judgesAuthorization">,
  headers: VisitorHeaders,
): VisitorCredential | "ambiguous" | undefined {
  const { byKeyHeader, keyHeaders, sessionCookie, judgesAuthorization } = frontend;
  let authorization: string | undefined;
  let key: string | undefined;
  let keyHeader = "";
  let session: string | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? "";
    const value = headers[at + 1] ?? "";
    if (name === "authorization") {
      if (!judgesAuthorization) continue;
      if (authorization !== undefined) return "ambiguous";
      authorization = value;
    } else if (name === "cookie") {
      // Most cookies are an app's own: only what may hold ours is taken apart.
      if (!value.includes(sessionCookie)) continue;
      for (const found of findCookiesIn(value, sessionCookie)) {
        if (session !== undefined) return "ambiguous";
        session = found;
      }
      // A list of one or two is looked through in less time than a name takes to be hashed.
    } else if (keyHeaders.includes(name) && byKeyHeader.has(name)) {
      if (key !== undefined) return "ambiguous";
      key = value;
      keyHeader = name;
    }
  }
  if (authorization !== undefined) {
    return { kind: "authorization", header: "authorization", value: authorization };
  }
  if (key !== undefined) return { kind: "api_key", header: keyHeader, value: key };
  return session === undefined ? undefined : { kind: "session", header: "cookie", value: session };
}

/** A credential as providers judge it. */
export function readCredential({ kind, value }: VisitorCredential): ProviderCredential {
  switch (kind) {
    case "api_key":
      return { kind, key: value };
    case "session":
      return { kind, cookie: value };
    case "authorization":
      return readAuthorization(value);
  }
}
