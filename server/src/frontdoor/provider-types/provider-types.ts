/** What makes the provider types, one for each name of the list in `provider-type.ts`. */
import { createApiKeyType } from "./api-key.ts";
import type { ProviderTypeContext } from "./context.ts";
import { createGithubType } from "./github.ts";
import { createGoogleType } from "./google.ts";
import { createJwtType } from "./jwt.ts";
import { createOidcType } from "./oidc.ts";
import { type ProviderType, type ProviderTypeName, providerTypeNames } from "./provider-type.ts";
import { createVestibuleType } from "./vestibule.ts";

/** Every type there is. */
export interface ProviderTypes {
  /** In the order they are shown. */
  readonly list: readonly ProviderType[];
  /** The type of a name as a client wrote it. */
  find(name: string): ProviderType | undefined;
  get(name: ProviderTypeName): ProviderType;
}

/** Makes all types. Call once: their schemas are compiled from this list. */
export function createProviderTypes(context: ProviderTypeContext): ProviderTypes {
  const byName: Readonly<Record<ProviderTypeName, ProviderType>> = {
    OIDC: createOidcType(context),
    GOOGLE: createGoogleType(context),
    GITHUB: createGithubType(context),
    API_KEY: createApiKeyType(context),
    JWT: createJwtType(context),
    VESTIBULE: createVestibuleType(context),
  };
  return {
    list: providerTypeNames.map((name) => byName[name]),
    find: (name) => (Object.hasOwn(byName, name) ? byName[name as ProviderTypeName] : undefined),
    get: (name) => byName[name],
  };
}
