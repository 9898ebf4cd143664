/**
 * Sign-in by plain OAuth 2 (RFC 6749 §4.1): GitHub, and every other site that
 * tells of a person by an API of its own.
 *
 * The identity is what the site calls the account's subject, at best a number
 * that survives a change of name. An address counts as verified only where the
 * site says so.
 */
import { DomainError } from "../../lib/errors.ts";
import { type OAuthPerson, OAuthSite, type OAuthSiteOptions } from "../../openid/oauth-site.ts";
import { withPatience } from "../../openid/patience.ts";
import { toPicture, toTitle } from "../../openid/profile.ts";
import { askFor } from "../../openid/refusal.ts";
import { toEmail, toEmailDomain } from "../../users/email.ts";
import type { Proof, Strategy } from "../strategy.ts";

/** The registered application at a site, and the way there. */
export interface OAuthStrategyOptions extends OAuthSiteOptions {
  /** Name of the strategy. */
  readonly name: string;
  /** Whose the identities are. */
  readonly issuerUrl: string;
  readonly scopes: readonly string[];
  /** How long a flow may take. */
  readonly flowSeconds: number;
  /** The URL of ours that the provider is registered with. */
  readonly callbackUrl: string;
  /** Lower case. Domains whose addresses this site speaks for. */
  readonly authoritativeDomains: readonly string[];
}

/** A strategy for one site. */
export function createOAuthStrategy(options: OAuthStrategyOptions): Strategy {
  const { name, issuerUrl: issuer, scopes, flowSeconds, authoritativeDomains } = options;
  const site = new OAuthSite(options);

  function toProof(person: OAuthPerson): Proof {
    const email = person.email === undefined ? undefined : toEmail(person.email);
    const title = toTitle(person.name);
    const avatar = toPicture(person.picture);
    return {
      kind: "identity",
      issuer,
      subject: person.subject,
      emailVerified: email !== undefined && person.emailVerified,
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
          return toProof(await site.readPerson(accessToken));
        }),
      );
    },
  };
}
