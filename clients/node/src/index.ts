/**
 * `@vestibule/node`: typed clients of Vestibule for Node, and verification of
 * its access tokens. Middleware is in `/express`, `/fastify` and `/connect`;
 * `/verify` has verification without the clients.
 */
export {
  type FieldViolation,
  findReason,
  findRetryDelayMs,
  getErrorMetadata,
  getFieldViolations,
} from "../../shared/src/errors.ts";
export type { FetchedToken } from "../../shared/src/token-source.ts";
export {
  type AuthProviderChange,
  type AuthProvidersUpdate,
  type WatchAuthProvidersOptions,
  watchAuthProviders,
} from "../../shared/src/watch-auth-providers.ts";
export { type AccessTokenSupplier, accessToken } from "./credentials/access-token.ts";
export { type ClientSecretOptions, clientSecret } from "./credentials/client-secret.ts";
export type { Credential, TokenEndpoint } from "./credentials/credential.ts";
export { type AssertionAlgorithm, type KeyPairOptions, keyPair } from "./credentials/key-pair.ts";
export { opaqueToken } from "./credentials/opaque-token.ts";
export type { RetryPolicy } from "./retry.ts";
export type { ConnectionOptions, Protocol } from "./transport.ts";
export * from "./verify/index.ts";
export { createVestibule, type Vestibule, type VestibuleOptions } from "./vestibule.ts";
