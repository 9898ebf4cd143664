/**
 * What a machine proves its identity with. Secrets stay inside closures: a
 * credential that ends up in a log or in JSON shows its kind and nothing else.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AuthTokenRequestSchema } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { FetchedToken } from "../../../shared/src/token-source.ts";

/** What a credential may use to get a token. */
export interface TokenEndpoint {
  /** The service's issuer: who assertions are made out to. */
  readonly issuer: string;
  /** Calls `AuthToken`. */
  exchange(
    request: MessageInitShape<typeof AuthTokenRequestSchema>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<FetchedToken>;
}

/** Gets access tokens, one each time it is asked; the client caches them. */
export interface Credential {
  readonly kind: "client_secret" | "key_pair" | "opaque_token" | "access_token";
  fetchToken(endpoint: TokenEndpoint): Promise<FetchedToken>;
}
