import type { OidcProviderConfig } from "./config.ts";

/** What an entry's settings give up, each in a line for the operator, who may have no choice. */
export function listProviderWeaknesses(provider: OidcProviderConfig): readonly string[] {
  const { name, usesNonce, usesPkce, clientAuthentication, oauth } = provider;
  const leftAlone = oauth === undefined ? "which the nonce alone finds out" : "which nothing finds out";
  const said = [
    ...(usesNonce ? [] : ["nonce is false: an ID token is tied to its flow by PKCE alone"]),
    ...(usesPkce
      ? []
      : [`pkce is false: a code that leaks can be put into another browser's sign-in, ${leftAlone}`]),
    ...(clientAuthentication.method === "none"
      ? ["client_authentication is none: anybody can say to be this client, PKCE alone protects its codes"]
      : []),
  ];
  return said.map((each) => `provider ${name}: ${each}`);
}
