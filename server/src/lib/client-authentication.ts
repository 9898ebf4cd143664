/** How a client of a provider proves itself at its token endpoint, as settings say it and the relying party does it. */

/** Methods of OpenID Connect Core 1.0 §9, and Apple's own: a secret that is signed anew for every request. */
export const clientAuthenticationMethods = [
  "client_secret_basic",
  "client_secret_post",
  "client_secret_jwt",
  "private_key_jwt",
  "apple",
  "none",
] as const;

/** One of {@link clientAuthenticationMethods}. */
export type ClientAuthenticationMethod = (typeof clientAuthenticationMethods)[number];

/** A method with what it takes. Holds secrets. */
export type ClientAuthentication =
  | {
      /** `announced`: by Basic, or where the provider's document offers no Basic in the form. */
      readonly method: "announced" | "client_secret_basic" | "client_secret_post" | "client_secret_jwt";
      readonly secret: string;
    }
  /** Private keys in PEM form: P-256, RSA or Ed25519. The first signs, the public halves of all are published. */
  | { readonly method: "private_key_jwt"; readonly keys: readonly [string, ...string[]] }
  /** `key`: a P-256 private key in PEM form, which Apple knows by `keyId`. */
  | { readonly method: "apple"; readonly teamId: string; readonly keyId: string; readonly key: string }
  /** A public client, which proves by PKCE (RFC 7636) that it began the flow, and nothing else. */
  | { readonly method: "none" };
