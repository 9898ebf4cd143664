import type { JWK } from "jose";
import { untilAborted } from "../../../shared/src/until-aborted.ts";

/** Where to fetch keys and for how long to try. */
export interface FetchKeySetOptions {
  readonly uri: string;
  readonly fetch: typeof fetch;
  readonly timeoutSeconds: number;
}

/** A key set as it was answered. */
export interface FetchedKeySet {
  readonly keys: readonly JWK[];
  /** For how long the answer may be kept; 0 when it may not. */
  readonly maxAgeSeconds: number;
}

const longestBodyBytes = 256 * 1024;
const defaultMaxAgeSeconds = 300;

/**
 * Fetches a key set. Redirects are not followed: the issuer's keys come from
 * where the issuer said.
 *
 * @throws Error for any answer but 200 with a key set of at most 256 KiB, in time.
 */
export async function fetchKeySet(options: FetchKeySetOptions): Promise<FetchedKeySet> {
  const signal = AbortSignal.timeout(options.timeoutSeconds * 1000);
  // The time is over even if the given fetch does not look at the signal.
  return await untilAborted(fetchUntil(signal, options), signal);
}

async function fetchUntil(signal: AbortSignal, { uri, fetch }: FetchKeySetOptions): Promise<FetchedKeySet> {
  const headers = { accept: "application/jwk-set+json, application/json" };
  const response = await fetch(uri, { headers, redirect: "error", signal });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the key set is answered with status ${response.status}`);
  }
  const document: unknown = JSON.parse(await readBody(response));
  if (!isKeySet(document)) throw new Error("the answer is not a key set");
  return { keys: document.keys, maxAgeSeconds: toMaxAge(response.headers.get("cache-control") ?? "") };
}

async function readBody(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > longestBodyBytes) throw new Error("the key set is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function isKeySet(document: unknown): document is { keys: JWK[] } {
  return (
    typeof document === "object" && document !== null && "keys" in document && Array.isArray(document.keys)
  );
}

/** `max-age` (RFC 9111 §5.2.2.1); `no-store` and `no-cache` go before it. */
function toMaxAge(cacheControl: string): number {
  if (/\bno-(store|cache)\b/i.test(cacheControl)) return 0;
  const [, seconds] = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl) ?? [];
  return seconds === undefined ? defaultMaxAgeSeconds : Number(seconds);
}
