/**
 * The one way out.
 *
 * Every fetch to an address that someone outside the operator's trust may have
 * chosen (issuers, key sets, what a discovery document names) passes this
 * guard. It resolves names itself, refuses internal addresses, connects to the
 * very addresses it judged, follows redirects by its own hand and judges each
 * hop anew, and bounds size and time. It sends no cookies, keeps no connection
 * and caches nothing.
 */
import type { Cidr } from "../http/cidr.ts";
import type { Log } from "../lib/log.ts";
import type { Tracing, Work } from "../lib/tracing.ts";
import { version } from "../lib/version.ts";
import { EgressError, type EgressReason } from "./egress-error.ts";
import { type EgressResponse, exchangeWith } from "./exchange.ts";
import { createVetting, type Lookup, systemLookup, type VettedUrl } from "./vet.ts";

/** Parts and bounds of an outgoing request, beyond a plain GET. */
export interface EgressRequest {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as UTF-8; name its type in `headers`. */
  readonly body?: string;
  /** Largest body taken, in bytes; 1 MiB if absent. */
  readonly maxBytes?: number;
  /** For everything: names, redirects, the last byte. 10 s if absent. */
  readonly timeoutMs?: number;
  /**
   * `follow`, at most three and for GET only, is what happens if absent;
   * `return` answers the redirect itself.
   */
  readonly redirects?: "follow" | "return";
  /** Ends the fetch early, with reason `aborted`. */
  readonly signal?: AbortSignal;
}

/** Outcome of a fetch, for metrics. */
export type FetchResult = "2xx" | "3xx" | "4xx" | "5xx" | EgressReason;

/** Every {@link FetchResult}. */
export const fetchResults: readonly FetchResult[] = [
  "2xx",
  "3xx",
  "4xx",
  "5xx",
  "url",
  "blocked",
  "dns",
  "timeout",
  "connection",
  "tls",
  "redirect",
  "too_large",
  "status",
  "content",
  "aborted",
];

/** Which addresses are out of bounds, and by which means the others are reached. */
export interface EgressOptions {
  /** Internal networks that may be reached: `egress.allow_cidrs`. */
  readonly allowCidrs: readonly Cidr[];
  /** Origins that the operator configured and that may therefore be internal. */
  readonly allowedOrigins: readonly string[];
  /** The system's resolver if absent. */
  readonly lookup?: Lookup;
  readonly log: Log;
  /** Records what is fetched, by host. Whom we ask is told nothing of it. */
  readonly tracing?: Pick<Tracing, "within"> | undefined;
  /** Hears how each fetch ended: the class of the status, or the reason for which there is none. */
  readonly onEnded?: (result: FetchResult) => void;
  /** Certificate authorities as PEM to trust instead of the system's. */
  readonly trustedCa?: string;
}

/** Guarded outgoing HTTP. */
export interface Egress {
  /**
   * Fetches a URL and its whole body; any status is an answer.
   *
   * @throws EgressError
   */
  fetch(url: string, request?: EgressRequest): Promise<EgressResponse>;
  /**
   * Judges a URL as {@link fetch} would and connects to nothing.
   *
   * @throws EgressError url, dns, blocked, timeout, aborted
   */
  vet(url: string, signal?: AbortSignal): Promise<VettedUrl>;
}

const defaultMaxBytes = 1024 * 1024;
const defaultTimeoutMs = 10_000;
const maxRedirects = 3;
const redirectStatuses = new Set([301, 302, 303, 307, 308]);

/** What goes along when a redirect leads to another origin; nothing that could be a credential. */
const portableHeaders = new Set(["accept", "user-agent", "accept-encoding"]);

/** @see {@link Egress} */
export function createEgress(options: EgressOptions): Egress {
  const { lookup = systemLookup, tracing, onEnded, trustedCa } = options;
  const log = options.log.child({ part: "egress" });
  const vet = createVetting({
    allowCidrs: options.allowCidrs,
    allowedOrigins: options.allowedOrigins,
    lookup,
    onBlocked: (host, address) =>
      log.warn({ host, address }, "outgoing request to an internal address refused"),
  });

  async function follow(text: string, request: EgressRequest, signal: AbortSignal): Promise<EgressResponse> {
    let target = await untilAborted(vet(text), signal);
    let headers = toSentHeaders(request.headers);
    for (let hops = 0; ; hops += 1) {
      const response = await exchangeWith({
        target,
        method: request.method ?? "GET",
        headers,
        body: request.body,
        maxBytes: request.maxBytes ?? defaultMaxBytes,
        signal,
        trustedCa,
      });
      const location = findRedirect(response);
      if (location === undefined || request.redirects === "return") return response;
      const next = toNextUrl(target.url, location, request, hops);
      if (next.origin !== target.url.origin) headers = withoutCredentials(headers);
      target = await untilAborted(vet(next.href), signal);
    }
  }

  /** Runs under the time limit, and names what ended it. */
  async function bounded<T>(
    text: string,
    { timeoutMs = defaultTimeoutMs, signal: outer }: EgressRequest,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const limit = AbortSignal.timeout(timeoutMs);
    const signal = outer === undefined ? limit : AbortSignal.any([limit, outer]);
    try {
      return await run(signal);
    } catch (error) {
      const host = URL.canParse(text) ? new URL(text).host : "";
      if (outer?.aborted) throw new EgressError("aborted", host, "no longer needed", error);
      if (limit.aborted) {
        throw new EgressError("timeout", host, `no full answer within ${timeoutMs / 1000} s`, error);
      }
      throw error;
    }
  }

  async function fetchGuarded(url: string, request: EgressRequest): Promise<EgressResponse> {
    const response = await bounded(url, request, (signal) => follow(url, request, signal)).catch((error) => {
      if (error instanceof EgressError) onEnded?.(error.reason);
      throw error;
    });
    onEnded?.(toStatusClass(response.status));
    log.debug({ host: new URL(response.url).host, status: response.status }, "fetched");
    return response;
  }

  return {
    fetch(url, request = {}) {
      if (tracing === undefined) return fetchGuarded(url, request);
      return tracing.within(toWork(url, request), async (span) => {
        const response = await fetchGuarded(url, request);
        span.describe({ "http.response.status_code": response.status });
        return response;
      });
    },
    vet: (url, signal) => bounded(url, signal ? { signal } : {}, (bound) => untilAborted(vet(url), bound)),
  };
}

function toStatusClass(status: number): FetchResult {
  if (status < 300) return "2xx";
  if (status < 400) return "3xx";
  return status < 500 ? "4xx" : "5xx";
}

/** The path of a URL may say more than its host does, and stays out. */
function toWork(text: string, { method = "GET" }: EgressRequest): Work {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const port = Number(url?.port || (url?.protocol === "http:" ? 80 : 443));
  const attributes = {
    "http.request.method": method,
    "server.address": url?.hostname,
    "server.port": url && port,
  };
  return { name: method, kind: "outside", attributes };
}

function toSentHeaders(given: EgressRequest["headers"] = {}): Record<string, string> {
  const headers = Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    "user-agent": `vestibule/${version}`,
    accept: "application/json",
    ...Object.fromEntries(headers),
    "accept-encoding": "identity",
  };
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => portableHeaders.has(name)));
}

function findRedirect({ status, headers }: EgressResponse): string | undefined {
  return redirectStatuses.has(status) ? (headers.get("location") ?? undefined) : undefined;
}

/** A body may hold a secret, so only a GET goes where a redirect leads; and never from https to http. */
function toNextUrl(from: URL, location: string, request: EgressRequest, hops: number): URL {
  if (request.method === "POST") {
    throw new EgressError(
      "redirect",
      from.host,
      "answers with a redirect: configure the address it leads to",
    );
  }
  if (hops >= maxRedirects)
    throw new EgressError("redirect", from.host, `more than ${maxRedirects} redirects`);
  if (!URL.canParse(location, from.href)) {
    throw new EgressError("redirect", from.host, "redirects to what is no URL");
  }
  const next = new URL(location, from.href);
  if (from.protocol === "https:" && next.protocol === "http:") {
    throw new EgressError("redirect", from.host, "redirects from https to http");
  }
  return next;
}

/** Resolvers cannot be told to stop, so their answer is no longer waited for. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
