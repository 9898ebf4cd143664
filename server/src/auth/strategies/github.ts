/**
 * Sign-in by GitHub.
 *
 * The identity is the account's number, which survives a change of name. Of
 * its addresses only the primary one counts, and only if GitHub has verified
 * it; a profile's public address is not read.
 */
import { DomainError } from "../../lib/errors.ts";
import { type GithubAccount, GithubSite, type GithubSiteOptions } from "../../openid/github-site.ts";
import { withPatience } from "../../openid/patience.ts";
import { toPicture, toTitle } from "../../openid/profile.ts";
import { askFor } from "../../openid/refusal.ts";
import { toEmail, toEmailDomain } from "../../users/email.ts";
import type { Proof, Strategy } from "../strategy.ts";

/** The registered application at GitHub, and the way there. */
export interface GithubStrategyOptions extends GithubSiteOptions {
  /** Name of the strategy. */
  readonly name: string;
  readonly scopes: readonly string[];
  /** How long a flow may take. */
  readonly flowSeconds: number;
  /** The URL of ours that the provider is registered with. */
  readonly callbackUrl: string;
  /** Lower case. Domains whose addresses this site speaks for. */
  readonly authoritativeDomains: readonly string[];
}

/** A strategy for one site. */
export function createGithubStrategy(options: GithubStrategyOptions): Strategy {
  const { name, baseUrl, scopes, flowSeconds, authoritativeDomains } = options;
  const site = new GithubSite(options);

  function toProof(account: GithubAccount): Proof {
    const email = account.email === undefined ? undefined : toEmail(account.email);
    const title = toTitle(account.name) ?? toTitle(account.login);
    const avatar = toPicture(account.avatarUrl);
    return {
      kind: "identity",
      issuer: baseUrl,
      subject: account.subject,
      emailVerified: email !== undefined,
      isAuthoritative: authoritativeDomains.includes(toEmailDomain(email ?? "")),
      ...(email !== undefined && { email }),
      ...(title !== undefined && { title }),
      ...(avatar !== undefined && { avatar }),
    };
  }

  return {
    name,
    params: {},
    flowSeconds,
    callbackUrl: options.callbackUrl,
    attempts: "once",
    begin: async ({ callbackUrl, state }) =>
      site.begin({ callbackUrl, state, parameters: { scope: scopes.join(" ") } }),
    async finish({ code, issuer, flow }) {
      if (code === "") throw new DomainError("CODE_MISSING");
      const { callbackUrl, secret } = flow;
      const answer = { code, callbackUrl, secret, ...(issuer !== undefined && { issuer }) };
      return await askFor(name, () =>
        withPatience(async () => {
          const { accessToken } = await site.finish(answer);
          return toProof(await site.readAccount(accessToken));
        }),
      );
    },
  };
}
