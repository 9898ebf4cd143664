/**
 * The OAuth 2 routes (RFC 6749, 7009, 7523, 7662, 8414), as plain HTTP
 * handlers: every machine comes here for every token.
 *
 * Clients authenticate by `client_secret_basic`, `client_secret_post` or
 * `private_key_jwt`, at introspection and revocation also by a Bearer token.
 * `scope` is accepted and ignored. Nothing here reads a cookie.
 */
import type { PlainRoute } from "../http/plain-route.ts";
import { createIntrospectionEndpoint, type IntrospectionOptions } from "./introspection.ts";
import { toOauthRoute } from "./oauth-endpoint.ts";
import { oauthPaths, toMetadataAnswer } from "./oauth-metadata.ts";
import { createTokenEndpoint } from "./oauth-token.ts";
import { createRevocationEndpoint, type RevocationEndpointOptions } from "./revocation-endpoint.ts";
import type { TokenIssuer } from "./token-issuer.ts";

/** Parts that the OAuth routes stand on. */
export interface OauthRoutesOptions extends IntrospectionOptions, RevocationEndpointOptions {
  readonly tokenIssuer: TokenIssuer;
  /** Origin that clients see, without a slash at its end. */
  readonly publicUrl: string;
  /** Longest body that is read. */
  readonly bodyBytes: number;
}

/** Token, introspection, revocation and metadata. */
export function createOauthRoutes(options: OauthRoutesOptions): PlainRoute[] {
  const { guarded, tokenIssuer, bodyBytes, issuer, publicUrl } = options;
  const metadata = toMetadataAnswer(issuer, publicUrl);
  return [
    toOauthRoute(oauthPaths.token, createTokenEndpoint({ guarded, issuer: tokenIssuer }), bodyBytes),
    toOauthRoute(oauthPaths.introspection, createIntrospectionEndpoint(options), bodyBytes),
    toOauthRoute(oauthPaths.revocation, createRevocationEndpoint(options), bodyBytes),
    { method: "GET", path: oauthPaths.metadata, isPublic: true, handle: () => metadata },
  ];
}
