/**
 * A site of GitHub as people sign in by it: plain OAuth 2 (RFC 6749 §4.1) with
 * PKCE, since GitHub issues no ID tokens to applications, and what its API
 * then says of them.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Egress } from "../egress/egress.ts";
import type { EgressResponse } from "../egress/exchange.ts";
import { fetchJson, parseArray, parseObject } from "../egress/fetch-json.ts";
import { toGithubEndpoints } from "../lib/well-known-providers.ts";
import type { Asked } from "./failure-cause.ts";
import { asking, ProviderFailure, toRefused, toUnusable } from "./provider-failure.ts";
import type { AuthorizationAnswer, AuthorizationBegun, AuthorizationRequest } from "./relying-party.ts";

/** The application as it is registered with the site. */
export interface GithubSiteOptions {
  /** Origin of the site: `https://github.com`, or an Enterprise server's. */
  readonly baseUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly egress: Egress;
}

/** What the site handed out. Secrets. */
export interface GithubTokens {
  readonly accessToken: string;
  /** Of GitHub Apps whose tokens end; OAuth apps have none. */
  readonly refreshToken?: string;
  /** For how long the access token is good; absent for one without end. */
  readonly expiresInSeconds?: number;
}

/** An account as the API tells of it, by the number that survives a change of name. */
export interface GithubAccount {
  readonly subject: string;
  readonly login: unknown;
  readonly name: unknown;
  readonly avatarUrl: unknown;
  /** The primary address, if GitHub has verified it. */
  readonly email?: string;
}

const timeoutMs = 8_000;

/** The most that the API lists at once. */
const pageSize = 100;

/** Pages read of one list; whoever is beyond is not seen. */
const maxPages = 10;

/** What an answer of the API other than 200 means; one for having asked too often may come as 403. */
function toFailure(at: Asked, { status, headers }: Pick<EgressResponse, "status" | "headers">): Error {
  const isTooOften = headers.get("x-ratelimit-remaining") === "0" || headers.has("retry-after");
  return new ProviderFailure({ kind: "status", at, status: status === 403 && isTooOften ? 429 : status });
}

/** @see the head of this file */
export class GithubSite {
  readonly #options: GithubSiteOptions;
  readonly #endpoints: ReturnType<typeof toGithubEndpoints>;

  constructor(options: GithubSiteOptions) {
    this.#options = options;
    this.#endpoints = toGithubEndpoints(options.baseUrl);
  }

  /** Asks nobody: the way there is known. */
  begin({ callbackUrl, state, parameters }: AuthorizationRequest): AuthorizationBegun {
    const verifier = randomBytes(32).toString("base64url");
    const url = new URL(this.#endpoints.authorizationUrl);
    url.search = new URLSearchParams({
      ...parameters,
      client_id: this.#options.clientId,
      redirect_uri: callbackUrl,
      state,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    }).toString();
    return { endpoint: url.href, secret: { verifier } };
  }

  /** Trades the code, once it is clear that it is this site's. @throws ProviderFailure */
  async finish({ code, issuer, callbackUrl, secret }: AuthorizationAnswer): Promise<GithubTokens> {
    if (!this.#isOfSite(issuer)) {
      const { baseUrl: expected } = this.#options;
      throw toUnusable("authorization_endpoint", `iss is not ${expected}`);
    }
    const verifier = String(secret.verifier);
    return await this.#trade({ code, redirect_uri: callbackUrl, code_verifier: verifier });
  }

  /** Trades a refresh token, which is used up by that. @throws as {@link finish} */
  async refresh(refreshToken: string): Promise<GithubTokens> {
    return await this.#trade({ grant_type: "refresh_token", refresh_token: refreshToken });
  }

  /** @throws as {@link finish} */
  async readAccount(accessToken: string): Promise<GithubAccount> {
    const [account, addresses] = await Promise.all([
      this.#read("userinfo_endpoint", "/user", accessToken),
      this.#read("emails_endpoint", "/user/emails", accessToken),
    ]);
    const { id, login, name, avatar_url: avatarUrl } = parseObject(account) ?? {};
    if (typeof id !== "number" || !Number.isSafeInteger(id))
      throw toUnusable("userinfo_endpoint", "no account number");
    const email = findPrimaryEmail(parseArray(addresses) ?? []);
    return { subject: String(id), login, name, avatarUrl, ...(email !== undefined && { email }) };
  }

  /**
   * Names of the organizations whose members the account is one of, in lower
   * case. An organization that does not let the application see it is none.
   *
   * @throws as {@link finish}
   */
  async listOrganizations(accessToken: string): Promise<readonly string[]> {
    const names: string[] = [];
    for (let page = 1; page <= maxPages; page += 1) {
      // Pages by number: where a link of the answer leads, the token would go too.
      const body = await this.#read(
        "organizations_endpoint",
        `/user/orgs?per_page=${pageSize}&page=${page}`,
        accessToken,
      );
      const listed = parseArray(body);
      if (listed === undefined) throw toUnusable("organizations_endpoint", "no list");
      for (const one of listed) {
        const { login } = (one ?? {}) as { login?: unknown };
        if (typeof login === "string") names.push(login.toLowerCase());
      }
      if (listed.length < pageSize) break;
    }
    return names;
  }

  /** GitHub need not name itself (RFC 9207), but an answer that names another is not its own. */
  #isOfSite(issuer = ""): boolean {
    if (issuer === "") return true;
    return URL.canParse(issuer) && new URL(issuer).origin === this.#options.baseUrl;
  }

  async #trade(parameters: Readonly<Record<string, string>>): Promise<GithubTokens> {
    const { clientId, clientSecret, egress } = this.#options;
    const secrets = [clientSecret, parameters.code, parameters.code_verifier, parameters.refresh_token];
    const question = { at: "token_endpoint", secrets } as const;
    const { value } = await asking(question, () =>
      fetchJson(egress, this.#endpoints.tokenUrl, {
        method: "POST",
        timeoutMs,
        headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({
          client_id: clientId,
          client_secret: clientSecret,
          ...parameters,
        }).toString(),
      }),
    );
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresIn } = value;
    // A refusal comes with status 200 and an `error`.
    if (typeof value.error === "string") {
      throw toRefused(question, { error: value.error, description: value.error_description });
    }
    if (typeof accessToken !== "string") throw toUnusable("token_endpoint", "no access_token");
    return {
      accessToken,
      ...(typeof refreshToken === "string" && { refreshToken }),
      ...(typeof expiresIn === "number" && { expiresInSeconds: expiresIn }),
    };
  }

  async #read(at: Asked, path: string, token: string): Promise<Buffer> {
    const answer = await asking({ at }, () =>
      this.#options.egress.fetch(`${this.#endpoints.apiUrl}${path}`, {
        timeoutMs,
        headers: {
          accept: "application/vnd.github+json",
          authorization: `Bearer ${token}`,
          "user-agent": "vestibule",
        },
      }),
    );
    if (answer.status !== 200) throw toFailure(at, answer);
    return answer.body;
  }
}

/** The primary address, if it is verified. */
function findPrimaryEmail(addresses: readonly unknown[]): string | undefined {
  const primary = addresses.find((one) => {
    const { primary, verified } = (one ?? {}) as { primary?: unknown; verified?: unknown };
    return primary === true && verified === true;
  });
  const { email } = (primary ?? {}) as { email?: unknown };
  return typeof email === "string" ? email : undefined;
}
