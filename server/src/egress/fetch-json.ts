import type { Egress, EgressRequest } from "./egress.ts";
import { EgressError } from "./egress-error.ts";

/** A JSON object as some other server sent it: nothing in it is to be believed. */
export type RemoteJson = Readonly<Record<string, unknown>>;

/** A fetched object, and how long it may be kept by its own word. */
export interface FetchedJson {
  readonly value: RemoteJson;
  /** `max-age` of `Cache-Control` in seconds, 0 for `no-store` and `no-cache`; undefined if it says nothing. */
  readonly maxAgeSeconds: number | undefined;
}

/** Largest document taken, in bytes. Key sets with certificate chains have some 20 KiB. */
const maxBytes = 128 * 1024;

/**
 * Fetches a JSON object.
 *
 * @throws EgressError also for any status but 200 (`status`) and for what is no object (`content`).
 */
export async function fetchJson(
  egress: Egress,
  url: string,
  request: EgressRequest = {},
): Promise<FetchedJson> {
  const response = await egress.fetch(url, { maxBytes, ...request });
  const { host } = new URL(response.url);
  if (response.status !== 200) {
    const { status } = response;
    throw new EgressError(
      "status",
      host,
      `answered ${status} instead of 200: check the URL`,
      undefined,
      status,
    );
  }
  const value = parseObject(response.body);
  if (value === undefined)
    throw new EgressError("content", host, "did not answer a JSON object: check the URL");
  return { value, maxAgeSeconds: toMaxAge(response.headers.get("cache-control") ?? "") };
}

/** The JSON object in a body; undefined for anything else. */
export function parseObject(body: Buffer): RemoteJson | undefined {
  const value = parse(body);
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as RemoteJson)
    : undefined;
}

/** The JSON array in a body; undefined for anything else. */
export function parseArray(body: Buffer): readonly unknown[] | undefined {
  const value = parse(body);
  return Array.isArray(value) ? value : undefined;
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** RFC 9111 §5.2.2; a number that cannot be read counts as not said. */
function toMaxAge(cacheControl: string): number | undefined {
  if (/(^|,)\s*no-(store|cache)\b/i.test(cacheControl)) return 0;
  const digits = /(?:^|,)\s*max-age\s*=\s*"?(\d{1,10})\b/i.exec(cacheControl)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
