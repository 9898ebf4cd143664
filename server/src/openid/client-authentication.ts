/** How the relying party proves itself at a provider's token endpoint. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { importPKCS8, SignJWT } from "jose";
import type { ClientAuth } from "openid-client";
import type { ClientAuthentication } from "../lib/client-authentication.ts";
import type { Clock } from "../lib/clock.ts";
import { type PublicJwk, toPublicJwk, toThumbprint } from "../signatures/public-jwk.ts";

type Library = typeof import("openid-client");

/** How long a secret that is signed for one request is good, in seconds; Apple allows six months. */
const signedSecretSeconds = 300;

/**
 * Makes the library's way to prove the client. Assertions (RFC 7523 §3) are
 * made for the issuer, live for a minute and are each used once; the library
 * makes their `jti`.
 */
export async function toClientAuth(
  client: Library,
  authentication: ClientAuthentication,
  { clock }: { readonly clock: Clock },
): Promise<ClientAuth> {
  switch (authentication.method) {
    case "none":
      return client.None();
    case "client_secret_basic":
      return client.ClientSecretBasic(authentication.secret);
    case "client_secret_post":
      return client.ClientSecretPost(authentication.secret);
    case "client_secret_jwt":
      return client.ClientSecretJwt(authentication.secret);
    case "announced":
      return toAnnounced(client, authentication.secret);
    case "private_key_jwt": {
      const [pem] = authentication.keys;
      const { kid, alg } = await toClientJwk(pem);
      return client.PrivateKeyJwt({ key: await importPKCS8(toPkcs8(createPrivateKey(pem)), alg), kid });
    }
    case "apple":
      return toSignedSecret(client, authentication, clock);
  }
}

/** By Basic, or where the issuer takes no Basic in the form (RFC 8414 §2). */
function toAnnounced(client: Library, secret: string): ClientAuth {
  const [basic, post] = [client.ClientSecretBasic(secret), client.ClientSecretPost(secret)];
  return (server, ...rest) => {
    const { token_endpoint_auth_methods_supported: methods = ["client_secret_basic"] } = server;
    const takesPostAlone = !methods.includes("client_secret_basic") && methods.includes("client_secret_post");
    (takesPostAlone ? post : basic)(server, ...rest);
  };
}

/** Apple's: the secret in the form is a JWT for the issuer, signed by a key of the team's. */
function toSignedSecret(
  client: Library,
  { teamId, keyId, key }: Extract<ClientAuthentication, { method: "apple" }>,
  clock: Clock,
): ClientAuth {
  // The library waits for what it takes to be synchronous.
  return async (server, registered, ...rest) => {
    const issuedAt = Math.floor(clock.now().getTime() / 1000);
    const secret = await new SignJWT()
      .setProtectedHeader({ alg: "ES256", kid: keyId })
      .setIssuer(teamId)
      .setSubject(registered.client_id)
      .setAudience(server.issuer)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + signedSecretSeconds)
      .sign(createPrivateKey(key));
    client.ClientSecretPost(secret)(server, registered, ...rest);
  };
}

function toPkcs8(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

/** The public half of a client's key, under the name that its assertions have it by (RFC 7638). */
export async function toClientJwk(pem: string): Promise<PublicJwk> {
  const key = createPublicKey(pem);
  return toPublicJwk(key, await toThumbprint(key));
}
