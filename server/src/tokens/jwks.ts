/**
 * The key set over plain HTTP, the way every JWT library fetches it
 * (RFC 7517 §5), cacheable for five minutes.
 */
import { isNoneMatch } from "../lib/entity-tag.ts";
import type { JwksDocument } from "./keyring.ts";

/** For how long a verifier may keep the key set: less than a key is published ahead. */
export const jwksMaxAgeSeconds = 300;

/** A plain answer: status, headers, body. */
export interface JwksAnswer {
  readonly status: 200 | 304;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers a request for the key set. */
export function toJwksAnswer(document: JwksDocument, ifNoneMatch: string | undefined): JwksAnswer {
  const headers = {
    "cache-control": `public, max-age=${jwksMaxAgeSeconds}`,
    etag: document.etag,
  };
  if (isNoneMatch(ifNoneMatch, document.etag)) return { status: 304, headers, body: "" };
  return {
    status: 200,
    headers: { ...headers, "content-type": "application/jwk-set+json" },
    body: document.body,
  };
}
