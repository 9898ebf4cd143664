import type { Credential } from "./credential.ts";

/**
 * Authenticates by an opaque token, `vstt_…`, as `CreateServiceUserToken`
 * answered it. It is exchanged for access tokens, so it travels once in the
 * lifetime of each instead of with every call.
 */
export function opaqueToken(token: string): Credential {
  if (!/^[\w~+/-]+=*$/.test(token)) {
    throw new TypeError("opaqueToken needs a token without dots or spaces");
  }
  return {
    kind: "opaque_token",
    fetchToken: (endpoint) => endpoint.exchange({}, { authorization: `Bearer ${token}` }),
  };
}
