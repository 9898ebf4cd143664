/** Paths of the OAuth routes, and the authorization server's metadata (RFC 8414). */
import type { PlainResponse } from "../http/plain-route.ts";
import { listNames } from "../signatures/algorithms.ts";
import { clientCredentialsGrant, jwtBearerGrant } from "./grants.ts";
import { clientAuthenticationMethods } from "./oauth-endpoint.ts";

/** Paths of the OAuth routes, below the public URL. */
export const oauthPaths = {
  token: "/oauth2/token",
  introspection: "/oauth2/introspect",
  revocation: "/oauth2/revoke",
  metadata: "/.well-known/oauth-authorization-server",
  jwks: "/.well-known/jwks.json",
} as const;

/** Algorithms that assertions may be signed with. */
const assertionAlgorithms = (["ES256", "RS256", "EdDSA"] as const).flatMap(listNames);

/**
 * The authorization server's metadata (RFC 8414 §2). There is no
 * authorization endpoint, so no response type is supported.
 *
 * @param publicUrl without a slash at its end.
 */
export function toMetadataAnswer(issuer: string, publicUrl: string): PlainResponse {
  const methods = [...clientAuthenticationMethods];
  return {
    status: 200,
    headers: { "cache-control": "public, max-age=300" },
    body: {
      issuer,
      token_endpoint: publicUrl + oauthPaths.token,
      jwks_uri: publicUrl + oauthPaths.jwks,
      introspection_endpoint: publicUrl + oauthPaths.introspection,
      revocation_endpoint: publicUrl + oauthPaths.revocation,
      response_types_supported: [],
      grant_types_supported: [clientCredentialsGrant, jwtBearerGrant],
      token_endpoint_auth_methods_supported: methods,
      token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
      // RFC 8414 §2: here an access token type may be named too, for revocation it may not.
      introspection_endpoint_auth_methods_supported: [...methods, "Bearer"],
      introspection_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
      revocation_endpoint_auth_methods_supported: methods,
      revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    },
  };
}
