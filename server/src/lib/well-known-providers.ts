/**
 * What is known of identity providers beforehand: by the names their strategies
 * have, and by type. One table, of data alone; each row is as the provider's
 * documentation has it (`docs/providers.md` names the pages).
 */
import type { ClaimsMap } from "./claims-map.ts";
import type { ClientAuthenticationMethod } from "./client-authentication.ts";

/** A provider that many know by this name. */
export interface WellKnownProvider {
  /** What people call it. */
  readonly label: string;
  /**
   * Drawn before its name on buttons: an outline of our own drawing, as a path in
   * a square of 24.
   */
  readonly mark: string;
  /** How it is spoken to, unless its entry in the configuration says so itself. */
  readonly preset: ProviderPreset;
}

/** What an entry of the configuration need not say; members as its keys have them. */
export type ProviderPreset = OidcPreset | OAuthPreset;

/** Of an OpenID provider. */
export interface OidcPreset {
  readonly kind: "oidc";
  readonly issuerUrl: string;
  readonly scopes: readonly string[];
  readonly clientAuthentication?: ClientAuthenticationMethod;
  readonly responseMode?: "query" | "form_post";
  readonly nonce?: boolean;
  readonly pkce?: boolean;
}

/** Of a site that speaks plain OAuth 2. */
export interface OAuthPreset extends OAuthEndpoints {
  readonly kind: "oauth";
  /** Whose the identities are: a name that stays, however the endpoints change. */
  readonly issuerUrl: string;
  readonly scopes: readonly string[];
  readonly claims: ClaimsMap;
  readonly clientAuthentication: ClientAuthenticationMethod;
  readonly pkce: boolean;
}

/** Where a site of plain OAuth 2 answers. */
export interface OAuthEndpoints {
  readonly authorizationUrl: string;
  readonly tokenUrl: string;
  readonly userinfoUrl: string;
  /** Where it lists the addresses of an account, each with `email`, `primary` and `verified`. */
  readonly emailsUrl?: string | undefined;
}

/** Google's issuer (https://accounts.google.com/.well-known/openid-configuration). */
export const googleIssuer = "https://accounts.google.com";

/** Origin of the public site of GitHub. */
export const githubSite = "https://github.com";

/** What a provider of OpenID Connect is asked for, unless the configuration names scopes. */
export const oidcScopes: readonly string[] = ["openid", "email", "profile"];

/** What GitHub's `/user` says of an account, by the number that survives a change of name. */
export const githubClaims: ClaimsMap = { subject: ["id"], name: ["name", "login"], picture: ["avatar_url"] };

/** Where a site of GitHub answers, and where its API is, without a slash at the end. @param site its origin */
export function toGithubEndpoints(site: string): OAuthEndpoints & { readonly apiUrl: string } {
  // A host of its own for the public site, a path on an Enterprise server.
  const apiUrl = site === githubSite ? "https://api.github.com" : `${site}/api/v3`;
  return {
    authorizationUrl: `${site}/login/oauth/authorize`,
    tokenUrl: `${site}/login/oauth/access_token`,
    userinfoUrl: `${apiUrl}/user`,
    emailsUrl: `${apiUrl}/user/emails`,
    apiUrl,
  };
}

/** By the name of their strategy. */
export const wellKnownProviders = {
  google: {
    label: "Google",
    mark: "M19.5 7.5A9 9 0 1 0 21 12h-8.5",
    preset: { kind: "oidc", issuerUrl: googleIssuer, scopes: oidcScopes },
  },
  microsoft: {
    label: "Microsoft",
    mark: "M4 4h7v7H4zM14 4h7v7h-7zM4 14h7v7H4zM14 14h7v7h-7z",
    preset: {
      kind: "oidc",
      // Accounts of every organization, and personal ones.
      issuerUrl: "https://login.microsoftonline.com/common/v2.0",
      scopes: oidcScopes,
    },
  },
  apple: {
    label: "Apple",
    mark: "M12 8.5C8 6 4 8.5 4.5 13.5 5 17.5 7.5 21 9.5 21c1 0 1.5-.5 2.5-.5s1.5.5 2.5.5c2 0 4.5-3.5 5-7.5.5-5-3.5-7.5-7.5-5zM12 8c0-2.5 1.5-4.5 4-5",
    preset: {
      kind: "oidc",
      issuerUrl: "https://appleid.apple.com",
      // Whoever is asked for a name or an address is answered by a form.
      scopes: ["openid", "name", "email"],
      responseMode: "form_post",
      clientAuthentication: "apple",
    },
  },
  github: {
    label: "GitHub",
    mark: "M9 21v-3.5c-3-1-5-4-4.5-7.5C4 8 4 6 5 4l4 2a12 12 0 0 1 6 0l4-2c1 2 1 4 .5 6 .5 3.5-1.5 6.5-4.5 7.5V21M9 19c-2 .5-3-.5-4-2",
    preset: {
      kind: "oauth",
      issuerUrl: githubSite,
      ...toGithubEndpoints(githubSite),
      scopes: ["read:user", "user:email"],
      claims: githubClaims,
      clientAuthentication: "client_secret_post",
      pkce: true,
    },
  },
  gitlab: {
    label: "GitLab",
    mark: "M12 21L3 13.5 5.5 4 9 10.5h6L18.5 4 21 13.5z",
    preset: { kind: "oidc", issuerUrl: "https://gitlab.com", scopes: oidcScopes },
  },
  slack: {
    label: "Slack",
    mark: "M9.5 3v18M14.5 3v18M3 9.5h18M3 14.5h18",
    preset: { kind: "oidc", issuerUrl: "https://slack.com", scopes: oidcScopes },
  },
  linkedin: {
    label: "LinkedIn",
    mark: "M4 4h16v16H4zM8 11v5.5M8 7.5v.1M12 16.5V11M12 13.5c0-3 4.5-3.5 4.5 0v3",
    preset: {
      // It has ID tokens, but puts no nonce into them, and refuses PKCE of web applications:
      // what it tells this server itself is as good.
      kind: "oauth",
      issuerUrl: "https://www.linkedin.com/oauth",
      authorizationUrl: "https://www.linkedin.com/oauth/v2/authorization",
      tokenUrl: "https://www.linkedin.com/oauth/v2/accessToken",
      userinfoUrl: "https://api.linkedin.com/v2/userinfo",
      scopes: oidcScopes,
      claims: {
        subject: ["sub"],
        email: ["email"],
        emailVerified: ["email_verified"],
        name: ["name"],
        picture: ["picture"],
      },
      clientAuthentication: "client_secret_post",
      pkce: false,
    },
  },
  discord: {
    label: "Discord",
    mark: "M7 6c3.5-1.3 6.5-1.3 10 0 2.5 3.5 3.5 7 3.5 10.5-1.5 1.2-3 2-4.5 2.3L14.5 16c-1.7.3-3.3.3-5 0L8 18.8c-1.5-.3-3-1.1-4.5-2.3C3.5 13 4.5 9.5 7 6zM9.5 12v.1M14.5 12v.1",
    preset: {
      kind: "oauth",
      issuerUrl: "https://discord.com",
      authorizationUrl: "https://discord.com/oauth2/authorize",
      tokenUrl: "https://discord.com/api/oauth2/token",
      userinfoUrl: "https://discord.com/api/users/@me",
      scopes: ["identify", "email"],
      claims: {
        subject: ["id"],
        email: ["email"],
        emailVerified: ["verified"],
        name: ["global_name", "username"],
      },
      clientAuthentication: "client_secret_basic",
      // Of public clients alone.
      pkce: false,
    },
  },
  facebook: {
    label: "Facebook",
    mark: "M16 3.5h-1.5A3.5 3.5 0 0 0 11 7v14M7.5 12H15",
    preset: {
      kind: "oauth",
      issuerUrl: "https://www.facebook.com",
      authorizationUrl: "https://www.facebook.com/v25.0/dialog/oauth",
      tokenUrl: "https://graph.facebook.com/v25.0/oauth/access_token",
      userinfoUrl: "https://graph.facebook.com/v25.0/me?fields=id,name,email,picture",
      scopes: ["public_profile", "email"],
      // It does not say whether an address is verified.
      claims: { subject: ["id"], email: ["email"], name: ["name"], picture: ["picture.data.url"] },
      clientAuthentication: "client_secret_post",
      pkce: false,
    },
  },
} as const satisfies Readonly<Record<string, WellKnownProvider>>;

function find(strategyName: string): WellKnownProvider | undefined {
  const known: Readonly<Record<string, WellKnownProvider>> = wellKnownProviders;
  return Object.hasOwn(known, strategyName) ? known[strategyName] : undefined;
}

/** How a provider of this name is spoken to, if that is known. */
export function findPreset(strategyName: string): ProviderPreset | undefined {
  return find(strategyName)?.preset;
}

/** The mark of a provider of this name, if it is known: see {@link WellKnownProvider.mark}. */
export function findMark(strategyName: string): string | undefined {
  return find(strategyName)?.mark;
}

/** What pages and mail call an identity provider, of whose strategy only the name is known. */
export function toProviderLabel(strategyName: string): string {
  const spaced = strategyName.replace(/[-_]+/g, " ").trim();
  return (
    find(strategyName)?.label ??
    (spaced === "" ? strategyName : spaced.charAt(0).toUpperCase() + spaced.slice(1))
  );
}
