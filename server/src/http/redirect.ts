/** Sending a browser on, and the paths it is sent to. */
import type { PlainResponse } from "./plain-route.ts";

/** Sends a browser on within the site: the next request is a GET, whatever this one was. */
export function redirect(location: string, setCookies: readonly string[] = []): PlainResponse {
  return {
    status: 303,
    headers: {
      location,
      "cache-control": "no-store",
      ...(setCookies.length > 0 && { "set-cookie": [...setCookies] }),
    },
  };
}

/** A path of ours with a query; absent and empty parameters are left out. */
export function toPath(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const query = new URLSearchParams(given).toString();
  return query === "" ? path : `${path}?${query}`;
}

/** A URL as a header can hold it. */
export function toLocation(url: string): string {
  return /^[\x21-\x7e]+$/.test(url) ? url : new URL(url).href;
}
