import type { RequestInfo } from "../lib/request.ts";

/** A request as a plain route sees it. */
export interface PageRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly header: Headers;
  readonly body: Uint8Array;
  readonly info: RequestInfo;
}

/** What a plain route answers. */
export interface PageResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string;
}

/** A route of the pages. One for GET answers HEAD as well. */
export interface PageRoute {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly handle: (request: PageRequest) => PageResponse | Promise<PageResponse>;
}

/** Sends a browser on within the site: the next request is a GET, whatever this one was. */
export function redirect(location: string, setCookies: readonly string[] = []): PageResponse {
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
