/**
 * `/auth/clients/<name>/jwks.json`: the public halves of the keys that prove us
 * to a provider (`private_key_jwt`), for it to fetch (RFC 7517 §5). Each client
 * has keys of its own, none of which signs anything else.
 */
import type { OidcProviderConfig } from "../config/config.ts";
import type { FunctionRoute } from "../http/plain-route.ts";
import { toClientJwk } from "../openid/client-authentication.ts";

/** For how long a provider may keep the set, in seconds: a new key is listed that long before it is put first. */
const maxAgeSeconds = 300;

/** A route for each provider that we prove ourselves to by a key. */
export function createClientKeyRoutes(
  providers: readonly Pick<OidcProviderConfig, "name" | "clientAuthentication">[],
): readonly FunctionRoute[] {
  return providers.flatMap(({ name, clientAuthentication }) => {
    if (clientAuthentication.method !== "private_key_jwt") return [];
    const { keys } = clientAuthentication;
    return {
      method: "GET",
      path: `/auth/clients/${name}/jwks.json`,
      readsNoCookie: true,
      handle: async () => ({
        status: 200,
        headers: {
          "cache-control": `public, max-age=${maxAgeSeconds}`,
          "content-type": "application/jwk-set+json",
        },
        body: JSON.stringify({ keys: await Promise.all(keys.map(toClientJwk)) }),
      }),
    };
  });
}
