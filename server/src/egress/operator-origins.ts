import type { OidcProviderConfig } from "../config/config.ts";

/**
 * Origins of the sign-in providers in `oidc_config`: by configuring them the
 * operator allowed them, wherever they are.
 */
export function toOperatorOrigins(providers: readonly OidcProviderConfig[]): readonly string[] {
  const urls = providers.flatMap(({ issuerUrl, discoveryUrl, oauth }) =>
    oauth === undefined
      ? [issuerUrl, discoveryUrl]
      : [oauth.authorizationUrl, oauth.tokenUrl, oauth.userinfoUrl, oauth.emailsUrl],
  );
  return [...new Set(urls.filter((url) => url !== undefined).map((url) => new URL(url).origin))];
}
