import type { FetchedToken } from "../../../shared/src/token-source.ts";
import type { Credential } from "./credential.ts";

/** Answers an access token: alone to be asked with every call, or with its lifetime to be asked before its end. */
export type AccessTokenSupplier = () => string | FetchedToken | Promise<string | FetchedToken>;

/** Uses access tokens that come from elsewhere. */
export function accessToken(supply: AccessTokenSupplier): Credential {
  return {
    kind: "access_token",
    async fetchToken() {
      const supplied = await supply();
      return typeof supplied === "string" ? { accessToken: supplied } : supplied;
    },
  };
}
