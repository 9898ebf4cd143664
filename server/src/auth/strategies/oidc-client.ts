/**
 * A configured issuer as `openid-client` sees it.
 *
 * The discovery document is kept for an hour and refreshed in the background;
 * while the issuer cannot be reached, the one at hand serves for an hour more.
 * Every request passes the egress guard.
 */
import type { ClientAuth, Configuration, CustomFetch } from "openid-client";
import type { Egress } from "../../egress/egress.ts";
import { EgressError } from "../../egress/egress-error.ts";
import { createJsonCache } from "../../egress/json-cache.ts";
import type { Clock } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { createRemoteKeys, type DocumentSource, type KeySource } from "../../signatures/key-set.ts";

/** How a client registered with an issuer is named there. */
export interface OidcClientOptions {
  /** Name of the strategy. */
  readonly name: string;
  readonly issuerUrl: string;
  readonly clientId: string;
  /** Absent for a public client. */
  readonly clientSecret: string | undefined;
  readonly clockSkewSeconds: number;
  readonly egress: Egress;
  readonly clock: Clock;
  readonly log: Log;
}

/** After how long a discovery document is fetched anew, in milliseconds. */
const freshMs = 3_600_000;

/** For how long after that it may still be used while the issuer is down, in milliseconds. */
const staleMs = 3_600_000;

/** Least time between two tries while the issuer is down, in milliseconds. */
const cooldownMs = 5_000;

/** How long one request to the issuer may take, in seconds. */
const timeoutSeconds = 8;

/** How long all requests to a provider for one call may take, in milliseconds: an answer is owed within ten seconds. */
const patienceMs = 8_500;

/** What a caller is told while an issuer is down. */
export function issuerUnavailable(name: string, cause: unknown): DomainError {
  return new DomainError("UNAVAILABLE", {
    message: `identity provider ${name} cannot be reached, try again or sign in another way`,
    detail: cause instanceof Error ? cause.message : "no answer",
    cause,
  });
}

/**
 * Waits for what takes several requests to a provider, each of which may be
 * slow, no longer than an answer may take. What comes later is dropped.
 *
 * @throws DomainError UNAVAILABLE by the provider's name, and what the work throws
 */
export async function withPatience<T>(name: string, work: () => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const tooLate = new Error(`no answer within ${patienceMs / 1000} s`);
  const timer = setTimeout(() => reject(issuerUnavailable(name, tooLate)), patienceMs);
  return await Promise.race([work(), promise]).finally(() => clearTimeout(timer));
}

/** The library's way to fetch, through the guard. */
function toCustomFetch(egress: Egress): CustomFetch {
  return async (url, options) => {
    const { method, headers, body, signal } = options;
    const answer = await egress.fetch(url, {
      method: method === "POST" ? "POST" : "GET",
      headers,
      redirects: "return",
      timeoutMs: timeoutSeconds * 1000,
      ...(body !== undefined && body !== null && { body: String(body) }),
      ...(signal && { signal }),
    });
    const isEmpty = answer.status === 204 || answer.status === 304;
    return new Response(isEmpty ? null : new Uint8Array(answer.body), {
      status: answer.status,
      headers: answer.headers,
    });
  };
}

/** An issuer whose discovery document is at hand, or fetched when it is asked for. */
export class OidcClient {
  readonly #options: OidcClientOptions;
  readonly #keySets: DocumentSource;
  #configuration: Configuration | undefined;
  #fetchedAtMs = 0;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #lastFailure: unknown;
  #fetching: Promise<Configuration> | undefined;

  constructor(options: OidcClientOptions) {
    this.#options = options;
    this.#keySets = createJsonCache({ ...options, maxEntries: 2 });
  }

  /** @throws DomainError UNAVAILABLE while the issuer is down and nothing usable is at hand. */
  async get(): Promise<Configuration> {
    const ageMs = this.#nowMs() - this.#fetchedAtMs;
    if (this.#configuration !== undefined && ageMs < freshMs) return this.#configuration;
    if (this.#configuration !== undefined && ageMs < freshMs + staleMs) {
      this.#fetch().catch(() => {});
      return this.#configuration;
    }
    try {
      return await this.#fetch();
    } catch (error) {
      throw issuerUnavailable(this.#options.name, error);
    }
  }

  /** The keys of the issuer whose document this is. */
  getKeys(configuration: Configuration): KeySource {
    const { jwks_uri: url } = configuration.serverMetadata();
    if (url === undefined) throw new Error("the issuer publishes no keys");
    return createRemoteKeys(this.#keySets, url);
  }

  #nowMs(): number {
    return this.#options.clock.now().getTime();
  }

  #fetch(): Promise<Configuration> {
    if (this.#fetching !== undefined) return this.#fetching;
    if (this.#nowMs() - this.#triedAtMs < cooldownMs) return Promise.reject(this.#lastFailure);
    this.#triedAtMs = this.#nowMs();
    this.#fetching = this.#discover().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #discover(): Promise<Configuration> {
    const { name, log } = this.#options;
    try {
      const configuration = await discover(this.#options);
      this.#configuration = configuration;
      this.#fetchedAtMs = this.#nowMs();
      this.#triedAtMs = Number.NEGATIVE_INFINITY;
      return configuration;
    } catch (error) {
      this.#lastFailure = error;
      // Counted from here: one that fails by its time limit would have no cooldown left.
      this.#triedAtMs = this.#nowMs();
      log.warn({ provider: name, err: error }, "the issuer's discovery document could not be fetched");
      throw error;
    }
  }
}

/** How the client proves itself: by Basic, or where the issuer takes no Basic in the form (RFC 8414 §2). */
function toClientAuth(client: typeof import("openid-client"), secret: string | undefined): ClientAuth {
  if (secret === undefined) return client.None();
  const [basic, post] = [client.ClientSecretBasic(secret), client.ClientSecretPost(secret)];
  return (server, ...rest) => {
    const { token_endpoint_auth_methods_supported: methods = ["client_secret_basic"] } = server;
    const takesPostAlone = !methods.includes("client_secret_basic") && methods.includes("client_secret_post");
    (takesPostAlone ? post : basic)(server, ...rest);
  };
}

async function discover(options: OidcClientOptions): Promise<Configuration> {
  const client = await import("openid-client");
  const { issuerUrl, clientId, clientSecret, clockSkewSeconds, egress } = options;
  const isHttp = new URL(issuerUrl).protocol === "http:";
  return await client.discovery(
    new URL(issuerUrl),
    clientId,
    { [client.clockTolerance]: clockSkewSeconds },
    toClientAuth(client, clientSecret),
    {
      timeout: timeoutSeconds,
      [client.customFetch]: toCustomFetch(egress),
      execute: isHttp ? [client.allowInsecureRequests] : [],
    },
  );
}

/** What a caller is told when a provider did not answer for a visitor: that it is down, or that there is no such answer. */
export function toRefusal(name: string, error: unknown): DomainError {
  if (isOutage(error)) return issuerUnavailable(name, error);
  const said = error instanceof DomainError ? error.detail : (error as Error).message;
  const detail = said === undefined ? name : `${name}: ${said}`;
  return new DomainError("INVALID_FLOW", { detail, cause: error });
}

/** Whether a failure means that the issuer could not be reached, and says nothing of the visitor. */
function isOutage(error: unknown): boolean {
  for (let cause: unknown = error; cause !== undefined; cause = (cause as Error).cause) {
    if (cause instanceof EgressError) return true;
    // The library hands the answer on as the cause; the GitHub strategy notes its status.
    const { status } = cause as { status?: unknown };
    if (typeof status === "number") return status >= 500 || status === 429;
    if (!(cause instanceof Error)) return false;
  }
  return false;
}
