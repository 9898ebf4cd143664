import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { toBaseUrl } from "../../shared/src/base-url.ts";

/** Where the server is and how to reach it. */
export interface ConnectionOptions {
  /** Address of the server, with the path it is mounted at if there is one. */
  readonly baseUrl: string | URL;
  /** Makes requests in the place of the page's own `fetch`. Is told to send cookies. */
  readonly fetch?: typeof globalThis.fetch;
  /** Deadline of each call in milliseconds where a call sets none, streams included. Default: none. */
  readonly defaultTimeoutMs?: number;
  /** Interceptors of your own. They run first. */
  readonly interceptors?: readonly Interceptor[];
}

/**
 * Calls by the Connect protocol, with the browser's cookies, also to another
 * origin.
 *
 * @param onRefused hears of calls that were refused as `unauthenticated` though they brought no
 *   credential but the cookie.
 * @throws TypeError for an address that is none.
 */
export function createTransport(options: ConnectionOptions, onRefused: () => void): Transport {
  const {
    fetch = (...request) => globalThis.fetch(...request),
    interceptors = [],
    defaultTimeoutMs,
  } = options;
  return createConnectTransport({
    baseUrl: toBaseUrl(options.baseUrl),
    // `no-store`: who is signed in must never come out of a cache.
    fetch: (input, init) => fetch(input, { ...init, credentials: "include", cache: "no-store" }),
    interceptors: [...interceptors, createRefusalInterceptor(onRefused)],
    ...(defaultTimeoutMs !== undefined && { defaultTimeoutMs }),
  });
}

function createRefusalInterceptor(onRefused: () => void): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const isRefused = error instanceof ConnectError && error.code === Code.Unauthenticated;
      if (isRefused && !request.header.has("authorization")) onRefused();
      throw error;
    }
  };
}
