/** Fills in and checks `authentication.oidc_config`, one entry for each sign-in provider. */
import type { ClientAuthenticationMethod } from "../lib/client-authentication.ts";
import { isTenantIssuer, spellOutIssuer } from "../lib/tenant-issuer.ts";
import { findPreset, type OidcPreset, oidcScopes, type ProviderPreset } from "../lib/well-known-providers.ts";
import type { OidcProviderConfig } from "./config.ts";
import { decideClientAuthentication } from "./decide-client-authentication.ts";
import { decideOAuth, speaksOAuth } from "./decide-oauth.ts";
import { type Problems, toShown } from "./problems.ts";
import type { Files } from "./read-settings.ts";
import type { Settings } from "./schema.ts";
import { callbackPath } from "./urls.ts";

type Given = NonNullable<NonNullable<Settings["authentication"]>["oidc_config"]>;
type GivenProvider = Given[string];

/** Strategies that prove a mailbox. */
export const mailStrategies = ["mailotp", "maillink"] as const;

const reservedNames: readonly string[] = [...mailStrategies, "passkey"];
const namePattern = /^[a-z][a-z0-9_-]{0,62}$/;

/** Settings outside of `oidc_config` that providers depend on. */
export interface ProviderConfigContext {
  readonly publicUrl: string;
  /** The lifetime of a flow unless a provider says otherwise, in seconds. */
  readonly flowSeconds: number;
  /** Where private keys are. */
  readonly files: Files;
}

/** Makes the list; a provider that lacks something is refused by the key it lacks. */
export function decideProviders(
  given: Given,
  { publicUrl, flowSeconds, files }: ProviderConfigContext,
  problems: Problems,
): readonly OidcProviderConfig[] {
  refuseSecondShared(given, problems);
  return Object.entries(given).map(([name, provider]) => {
    const path = `authentication.oidc_config.${toShown(name)}`;
    refuseName(name, path, problems);
    for (const key of missingKeys(name, provider)) {
      if (!problems.isRefused(`${path}.${key}`)) problems.refuse(`${path}.${key}`, "must be given");
    }
    const preset = findPreset(name);
    const oauth = decideOAuth(name, provider, { path, problems });
    const oidcPreset = preset?.kind === "oidc" ? preset : undefined;
    if (oauth === undefined && provider.scopes !== undefined && !provider.scopes.includes("openid")) {
      problems.refuse(`${path}.scopes`, "must contain openid");
    }
    const method =
      provider.client_authentication ?? preset?.clientAuthentication ?? (oauth && "client_secret_basic");
    return {
      name,
      ...(oauth ?? { oauth, ...decideIssuer(provider, oidcPreset, { path, method, problems }) }),
      clientId: provider.client_id ?? "",
      clientAuthentication: decideClientAuthentication(provider, method, {
        path,
        isWellKnown: preset !== undefined,
        files,
        problems,
      }),
      ...decideAsking(provider, preset, { path, method, problems }),
      scopes: provider.scopes ?? preset?.scopes ?? (oauth ? [] : oidcScopes),
      validitySeconds: provider.validity ?? flowSeconds,
      authoritativeDomains: provider.authoritative_domains ?? [],
      callbackUrl: `${publicUrl}${callbackPath}${provider.callback === "shared" ? "" : `/${name}`}`,
    };
  });
}

/** The place of an entry, and how its client proves itself if the entry or its preset says so. */
interface AboutEntry {
  readonly path: string;
  readonly method: ClientAuthenticationMethod | undefined;
  readonly problems: Problems;
}

/** Methods by a JWT whose `aud` is the issuer. */
const signedMethods: readonly ClientAuthenticationMethod[] = [
  "client_secret_jwt",
  "private_key_jwt",
  "apple",
];

/** Whose tokens are taken, and where the document that tells of them is. */
function decideIssuer(
  provider: GivenProvider,
  preset: OidcPreset | undefined,
  { path, method, problems }: AboutEntry,
): Pick<OidcProviderConfig, "issuerUrl" | "discoveryUrl" | "tenants"> {
  const { tenants, discovery_url: discoveryUrl, authoritative_domains: domains = [] } = provider;
  const said = provider.issuer_url ?? preset?.issuerUrl;
  const spelled = said === undefined ? { issuerUrl: undefined } : spellOutIssuer(said);
  const ofTenants = isTenantIssuer(spelled.issuerUrl ?? "");
  if (!ofTenants && tenants !== undefined) {
    problems.refuse(`${path}.tenants`, "must be left out: issuer_url is the issuer of one tenant");
  }
  if (ofTenants && tenants?.length === 0)
    problems.refuse(`${path}.tenants`, "must name a tenant, or be left out");
  if (ofTenants && method !== undefined && signedMethods.includes(method)) {
    problems.refuse(
      `${path}.client_authentication`,
      "must be another for an issuer of many tenants: what is signed is for one issuer",
    );
  }
  // Any tenant could say that its people have addresses of these domains.
  if (ofTenants && domains.length > 0 && tenants === undefined && !problems.isRefused(`${path}.tenants`)) {
    problems.refuse(
      `${path}.authoritative_domains`,
      "must go with tenants: those that are believed about addresses of these domains",
    );
  }
  return {
    discoveryUrl: undefined,
    ...spelled,
    ...(discoveryUrl !== undefined && { discoveryUrl }),
    tenants,
  };
}

/** How the browser is sent there and comes back. */
function decideAsking(
  provider: GivenProvider,
  preset: ProviderPreset | undefined,
  { path, method, problems }: AboutEntry,
): Pick<OidcProviderConfig, "responseMode" | "usesNonce" | "usesPkce"> {
  const { nonce: presetNonce = true, responseMode: presetMode = "query" } =
    preset?.kind === "oidc" ? preset : {};
  const { nonce = presetNonce, pkce = preset?.pkce ?? true, callback } = provider;
  const responseMode = provider.response_mode ?? presetMode;
  if (!nonce && !pkce) {
    problems.refuse(
      `${path}.nonce`,
      "must not be false where pkce is: one of them has to tie the code to its flow (RFC 9700 §2.1.1)",
    );
  }
  if (!pkce && method === "none") {
    problems.refuse(`${path}.pkce`, "must not be false for a public client, which has no other proof");
  }
  if (responseMode === "form_post" && callback === "shared") {
    problems.refuse(`${path}.callback`, "must be own for response_mode form_post");
  }
  return { responseMode, usesNonce: nonce, usesPkce: pkce };
}

/** Answers of two providers at one URL could be taken for each other's. */
function refuseSecondShared(given: Given, problems: Problems): void {
  const [first, ...others] = Object.keys(given).filter((name) => given[name]?.callback === "shared");
  for (const name of others) {
    problems.refuse(
      `authentication.oidc_config.${toShown(name)}.callback`,
      `must be own: authentication.oidc_config.${toShown(first ?? "")} is shared, and only one can be`,
    );
  }
}

function refuseName(name: string, path: string, problems: Problems): void {
  if (reservedNames.includes(name))
    problems.refuse(path, "must have another name: this strategy is built in");
  else if (!namePattern.test(name)) {
    problems.refuse(
      path,
      "must have a name of at most 63 lower-case letters, digits, - and _, a letter first",
    );
  }
}

/** Beside what proves the client, which `decideClientAuthentication` asks for. */
function missingKeys(name: string, provider: GivenProvider): readonly (keyof GivenProvider)[] {
  const isNamed = findPreset(name) !== undefined || speaksOAuth(name, provider);
  const required = isNamed ? (["client_id"] as const) : (["client_id", "issuer_url"] as const);
  return required.filter((key) => provider[key] === undefined);
}
