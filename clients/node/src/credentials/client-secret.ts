import type { Credential } from "./credential.ts";

/** A client secret as `CreateServiceUserCredential` answered it. */
export interface ClientSecretOptions {
  /** Id of the credential, not of the service user. */
  readonly clientId: string;
  /** The secret, `vsts_…`. */
  readonly clientSecret: string;
}

/** Authenticates by a client secret (RFC 6749 §4.4). */
export function clientSecret({ clientId, clientSecret }: ClientSecretOptions): Credential {
  if (!clientId || !clientSecret) throw new TypeError("clientSecret needs clientId and clientSecret");
  return {
    kind: "client_secret",
    fetchToken: (endpoint) => endpoint.exchange({ grantType: "client_credentials", clientId, clientSecret }),
  };
}
