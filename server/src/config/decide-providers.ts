/** Fills in and checks `authentication.oidc_config`, one entry for each sign-in provider. */
import { findPreset, oidcScopes } from "../lib/well-known-providers.ts";
import type { OidcProviderConfig } from "./config.ts";
import { type Problems, toShown } from "./problems.ts";
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
}

/** Makes the list; a provider that lacks something is refused by the key it lacks. */
export function decideProviders(
  given: Given,
  { publicUrl, flowSeconds }: ProviderConfigContext,
  problems: Problems,
): readonly OidcProviderConfig[] {
  refuseSecondShared(given, problems);
  return Object.entries(given).map(([name, provider]) => {
    const path = `authentication.oidc_config.${toShown(name)}`;
    refuseName(name, path, problems);
    refuseForeignKeys(name, provider, path, problems);
    for (const key of missingKeys(name, provider)) {
      if (!problems.isRefused(`${path}.${key}`)) problems.refuse(`${path}.${key}`, "must be given");
    }
    const preset = findPreset(name);
    const isGithub = preset?.kind === "github";
    if (!isGithub && provider.scopes !== undefined && !provider.scopes.includes("openid")) {
      problems.refuse(`${path}.scopes`, "must contain openid");
    }
    return {
      name,
      kind: isGithub ? "github" : "oidc",
      issuerUrl: isGithub ? undefined : (provider.issuer_url ?? preset?.issuerUrl),
      baseUrl: isGithub ? (provider.base_url ?? preset.baseUrl) : undefined,
      clientId: provider.client_id ?? "",
      clientSecret: provider.client_secret,
      scopes: provider.scopes ?? preset?.scopes ?? oidcScopes,
      validitySeconds: provider.validity ?? flowSeconds,
      authoritativeDomains: provider.authoritative_domains ?? [],
      callbackUrl: `${publicUrl}${callbackPath}${provider.callback === "shared" ? "" : `/${name}`}`,
    };
  });
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

function refuseForeignKeys(name: string, provider: GivenProvider, path: string, problems: Problems): void {
  const isGithub = findPreset(name)?.kind === "github";
  if (isGithub && provider.issuer_url !== undefined) {
    problems.refuse(
      `${path}.issuer_url`,
      "must be left out: GitHub speaks plain OAuth 2; base_url names another site",
    );
  }
  if (!isGithub && provider.base_url !== undefined) {
    problems.refuse(`${path}.base_url`, "must be left out: only github takes it");
  }
}

/** A well-known provider is never a public client; another may be. */
function missingKeys(name: string, provider: GivenProvider): readonly (keyof GivenProvider)[] {
  const required = ["client_id", findPreset(name) ? "client_secret" : "issuer_url"] as const;
  return required.filter((key) => provider[key] === undefined);
}
