import type { OidcProviderConfig } from "./config.ts";

/** What an entry's settings give up, each in a line for the operator, who may have no choice. */
export function listProviderWeaknesses(provider: OidcProviderConfig): readonly string[] {
  const { name, usesNonce, usesPkce, clientAuthentication } = provider;
  const said = [
    ...(usesNonce ? [] : ["nonce is false: an ID token is tied to its flow by PKCE alone"]),
    ...(usesPkce
      ? []
      : [
          "pkce is false: a code that leaks can be put into another browser's sign-in, which the nonce alone finds out",
        ]),
    ...(clientAuthentication.method === "none"
      ? ["client_authentication is none: anybody can say to be this client, PKCE alone protects its codes"]
      : []),
  ];
  return said.map((each) => `provider ${name}: ${each}`);
}
