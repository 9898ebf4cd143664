/**
 * The key set over plain HTTP, the way every JWT library fetches it
 * (RFC 7517 §5), cacheable for five minutes. Its answers are made once for
 * each set of keys.
 */
import { isNoneMatch } from "../http/entity-tag.ts";
import type { PlainResponse } from "../http/plain-route.ts";
import type { JwksDocument, Keyring } from "./keyring.ts";

/** For how long a verifier may keep the key set: less than a key is published ahead. */
const jwksMaxAgeSeconds = 300;

/** Both answers of a key set. */
interface JwksAnswers {
  readonly document: JwksDocument;
  readonly whole: PlainResponse;
  readonly notModified: PlainResponse;
}

function toAnswers(document: JwksDocument): JwksAnswers {
  const headers = {
    "cache-control": `public, max-age=${jwksMaxAgeSeconds}`,
    etag: document.etag,
  };
  return {
    document,
    whole: {
      status: 200,
      headers: { ...headers, "content-type": "application/jwk-set+json" },
      body: document.body,
      bodyBytes: Buffer.byteLength(document.body),
    },
    notModified: { status: 304, headers, body: "", bodyBytes: 0 },
  };
}

/**
 * Answers a request for the key set: at once, unless the keys have to be read
 * first. `If-None-Match` is honoured (RFC 9110 §13.1.2).
 *
 * @throws DomainError UNAVAILABLE when the keys cannot be read.
 */
export type AnswerJwks = (request: { readonly header: Headers }) => PlainResponse | Promise<PlainResponse>;

/** Makes what answers them. */
export function createJwksHandler(keyring: Pick<Keyring, "get" | "peek">): AnswerJwks {
  let latest: JwksAnswers | undefined;

  function answer(document: JwksDocument, ifNoneMatch: string | null): PlainResponse {
    if (latest?.document !== document) latest = toAnswers(document);
    return isNoneMatch(ifNoneMatch, document.etag) ? latest.notModified : latest.whole;
  }

  return ({ header }) => {
    const ifNoneMatch = header.get("if-none-match");
    const snapshot = keyring.peek();
    if (snapshot !== undefined) return answer(snapshot.jwks, ifNoneMatch);
    return keyring.get().then(({ jwks }) => answer(jwks, ifNoneMatch));
  };
}
