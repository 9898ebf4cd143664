/** A site of GitHub: plain OAuth 2 with PKCE, since it issues no ID tokens to applications, and organizations. */
import type { Egress } from "../egress/egress.ts";
import { parseArray } from "../egress/fetch-json.ts";
import { githubClaims, toGithubEndpoints } from "../lib/well-known-providers.ts";
import { OAuthSite } from "./oauth-site.ts";
import { toUnusable } from "./provider-failure.ts";

/** The application as it is registered with the site. */
export interface GithubSiteOptions {
  /** Origin of the site: `https://github.com`, or an Enterprise server's. */
  readonly baseUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly egress: Egress;
}

/** The most that the API lists at once. */
const pageSize = 100;

/** Pages read of one list; whoever is beyond is not seen. */
const maxPages = 10;

/** @see the head of this file */
export class GithubSite extends OAuthSite {
  readonly #apiUrl: string;

  constructor({ baseUrl, clientId, clientSecret, egress }: GithubSiteOptions) {
    const { apiUrl, ...endpoints } = toGithubEndpoints(baseUrl);
    super({
      ...endpoints,
      claims: githubClaims,
      usesPkce: true,
      clientId,
      clientAuthentication: { method: "client_secret_post", secret: clientSecret },
      egress,
    });
    this.#apiUrl = apiUrl;
  }

  /**
   * Names of the organizations whose members the account is one of, in lower
   * case. An organization that does not let the application see it is none.
   *
   * @throws ProviderFailure
   */
  async listOrganizations(accessToken: string): Promise<readonly string[]> {
    const names: string[] = [];
    for (let page = 1; page <= maxPages; page += 1) {
      // Pages by number: where a link of the answer leads, the token would go too.
      const url = `${this.#apiUrl}/user/orgs?per_page=${pageSize}&page=${page}`;
      const listed = parseArray(await this.read("organizations_endpoint", url, accessToken));
      if (listed === undefined) throw toUnusable("organizations_endpoint", "no list");
      for (const one of listed) {
        const { login } = (one ?? {}) as { login?: unknown };
        if (typeof login === "string") names.push(login.toLowerCase());
      }
      if (listed.length < pageSize) break;
    }
    return names;
  }
}
