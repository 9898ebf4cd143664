/** Fills in and checks what an entry of `oidc_config` says of a provider that speaks plain OAuth 2 alone. */
import type { ClaimsMap } from "../lib/claims-map.ts";
import { findPreset, type OAuthEndpoints, toGithubEndpoints } from "../lib/well-known-providers.ts";
import type { OidcProviderConfig } from "./config.ts";
import type { Problems } from "./problems.ts";
import type { Settings } from "./schema.ts";

type GivenProvider = NonNullable<NonNullable<Settings["authentication"]>["oidc_config"]>[string];

/** What OpenID providers have no use for. */
const oauthKeys = ["authorization_url", "token_url", "userinfo_url", "emails_url", "claims"] as const;

/** What plain OAuth 2 has no use for. */
const oidcKeys = [
  "discovery_url",
  "tenants",
  "private_keys",
  "key_id",
  "team_id",
  "response_mode",
  "nonce",
] as const satisfies readonly (keyof GivenProvider)[];

/** How a client may prove itself there (RFC 6749 §2.3.1). */
const oauthMethods: readonly string[] = ["client_secret_basic", "client_secret_post", "none"];

/** Whether an entry is of plain OAuth 2: by its name, or since it says itself where to send people. */
export function speaksOAuth(name: string, { authorization_url }: GivenProvider): boolean {
  const kind = findPreset(name)?.kind;
  return kind === "oauth" || (kind === undefined && authorization_url !== undefined);
}

/** What an entry of plain OAuth 2 comes to; undefined for one of an OpenID provider. */
export function decideOAuth(
  name: string,
  provider: GivenProvider,
  about: { readonly path: string; readonly problems: Problems },
): Pick<OidcProviderConfig, "issuerUrl" | "discoveryUrl" | "tenants" | "oauth"> | undefined {
  const { path, problems } = about;
  const isOAuth = speaksOAuth(name, provider);
  if (name !== "github" && provider.base_url !== undefined) {
    problems.refuse(`${path}.base_url`, "must be left out: only github takes it");
  }
  for (const key of isOAuth ? oidcKeys : oauthKeys) {
    if (provider[key] === undefined) continue;
    const who = isOAuth ? "only OpenID providers take it" : "only providers of plain OAuth 2 take it";
    problems.refuse(`${path}.${key}`, `must be left out: ${who}`);
  }
  if (!isOAuth) return undefined;
  refuseMethod(provider, about);
  const endpoints = decideEndpoints(name, provider, about);
  return {
    issuerUrl: decideIssuerUrl(name, provider, endpoints, about),
    discoveryUrl: undefined,
    tenants: undefined,
    oauth: { ...endpoints, claims: decideClaims(name, provider, about) },
  };
}

function refuseMethod(
  { client_authentication: method }: GivenProvider,
  { path, problems }: { readonly path: string; readonly problems: Problems },
): void {
  if (method === undefined || oauthMethods.includes(method)) return;
  problems.refuse(`${path}.client_authentication`, `must be one of ${oauthMethods.join(", ")} here`);
}

function decideEndpoints(
  name: string,
  provider: GivenProvider,
  { path, problems }: { readonly path: string; readonly problems: Problems },
): OAuthEndpoints {
  const known = findOAuthPreset(name);
  const { base_url: site } = provider;
  const preset = name === "github" && site !== undefined ? toGithubEndpoints(site) : known;
  const get = (key: "authorization_url" | "token_url" | "userinfo_url", otherwise: string | undefined) => {
    const url = provider[key] ?? otherwise;
    if (url === undefined && !problems.isRefused(`${path}.${key}`)) {
      problems.refuse(`${path}.${key}`, "must be given beside authorization_url");
    }
    return url ?? "";
  };
  return {
    authorizationUrl: get("authorization_url", preset?.authorizationUrl),
    tokenUrl: get("token_url", preset?.tokenUrl),
    userinfoUrl: get("userinfo_url", preset?.userinfoUrl),
    emailsUrl: provider.emails_url ?? preset?.emailsUrl,
  };
}

/** Whose the identities are: two sites must never be one, nor one site two. */
function decideIssuerUrl(
  name: string,
  provider: GivenProvider,
  { authorizationUrl }: OAuthEndpoints,
  { path, problems }: { readonly path: string; readonly problems: Problems },
): string {
  const { issuer_url: said, base_url: site, authorization_url: given } = provider;
  if (name === "github" && said !== undefined) {
    problems.refuse(
      `${path}.issuer_url`,
      "must be left out: GitHub speaks plain OAuth 2; base_url names another site",
    );
  }
  return said ?? site ?? given ?? findOAuthPreset(name)?.issuerUrl ?? authorizationUrl;
}

function decideClaims(
  name: string,
  { claims: given = {} }: GivenProvider,
  { path, problems }: { readonly path: string; readonly problems: Problems },
): ClaimsMap {
  const preset = findOAuthPreset(name)?.claims;
  const { email = preset?.email, name: called = preset?.name, picture = preset?.picture } = given;
  const subject = given.subject ?? preset?.subject;
  if (subject === undefined && !problems.isRefused(`${path}.claims.subject`)) {
    problems.refuse(`${path}.claims.subject`, "must be given: where the answer has the account's id");
  }
  const { email_verified: verified } = given;
  // What a preset takes for its address' proof says nothing of one that stands elsewhere.
  const proof = given.email === undefined ? preset?.emailVerified : undefined;
  const isAlways = verified?.length === 1 && verified[0] === "always";
  return {
    subject: subject ?? [],
    email,
    emailVerified: isAlways ? "always" : (verified ?? proof),
    name: called,
    picture,
  };
}

function findOAuthPreset(name: string) {
  const preset = findPreset(name);
  return preset?.kind === "oauth" ? preset : undefined;
}
