/** What is known of identity providers beforehand: by the names their strategies have, and by type. */
import type { ClientAuthenticationMethod } from "./client-authentication.ts";

/** A provider that many know by this name. */
export interface WellKnownProvider {
  /** What people call it. */
  readonly label: string;
  /** How it is spoken to, unless its entry in the configuration says so itself. */
  readonly preset?: ProviderPreset;
}

/** What an entry of the configuration need not say; members as its keys have them. */
export type ProviderPreset =
  | {
      readonly kind: "oidc";
      readonly issuerUrl: string;
      readonly scopes: readonly string[];
      readonly clientAuthentication?: ClientAuthenticationMethod;
      readonly responseMode?: "query" | "form_post";
      readonly nonce?: boolean;
      readonly pkce?: boolean;
    }
  | { readonly kind: "github"; readonly baseUrl: string; readonly scopes: readonly string[] };

/** Google's issuer (https://accounts.google.com/.well-known/openid-configuration). */
export const googleIssuer = "https://accounts.google.com";

/** Origin of the public site of GitHub. */
export const githubSite = "https://github.com";

/** What a provider of OpenID Connect is asked for, unless the configuration names scopes. */
export const oidcScopes: readonly string[] = ["openid", "email", "profile"];

const wellKnown: Readonly<Record<string, WellKnownProvider>> = {
  google: { label: "Google", preset: { kind: "oidc", issuerUrl: googleIssuer, scopes: oidcScopes } },
  github: {
    label: "GitHub",
    preset: { kind: "github", baseUrl: githubSite, scopes: ["read:user", "user:email"] },
  },
  gitlab: { label: "GitLab" },
  microsoft: { label: "Microsoft" },
  apple: { label: "Apple" },
};

function find(strategyName: string): WellKnownProvider | undefined {
  return Object.hasOwn(wellKnown, strategyName) ? wellKnown[strategyName] : undefined;
}

/** How a provider of this name is spoken to, if that is known. */
export function findPreset(strategyName: string): ProviderPreset | undefined {
  return find(strategyName)?.preset;
}

/** What pages and mail call an identity provider, of whose strategy only the name is known. */
export function toProviderLabel(strategyName: string): string {
  const spaced = strategyName.replace(/[-_]+/g, " ").trim();
  return (
    find(strategyName)?.label ??
    (spaced === "" ? strategyName : spaced.charAt(0).toUpperCase() + spaced.slice(1))
  );
}

/** Where a site of GitHub answers. */
export interface GithubEndpoints {
  readonly authorizationUrl: string;
  readonly tokenUrl: string;
  /** Base of its REST API, without a slash at the end: a host of its own for the public site, a path on an Enterprise server. */
  readonly apiUrl: string;
}

/** The endpoints of github.com or of a GitHub Enterprise Server. @param site its origin */
export function toGithubEndpoints(site: string): GithubEndpoints {
  return {
    authorizationUrl: `${site}/login/oauth/authorize`,
    tokenUrl: `${site}/login/oauth/access_token`,
    apiUrl: site === githubSite ? "https://api.github.com" : `${site}/api/v3`,
  };
}
