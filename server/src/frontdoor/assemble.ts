/**
 * Frontdoors with all that is in them: puts the rooms of this folder together,
 * and removes what a deleted frontdoor held (`sweep.ts`). No answer of theirs
 * holds a stored secret.
 */
import type { Room } from "../assembly/room.ts";
import { type ApiKeyParts, assembleApiKeys } from "./api-keys/assemble.ts";
import type { FrontdoorAccess } from "./frontdoors/access.ts";
import { assembleFrontdoors } from "./frontdoors/assemble.ts";
import { assembleFrontends, type FrontendsRoom } from "./frontends/assemble.ts";
import { assembleProviderTypes, type ProviderTypeParts } from "./provider-types/assemble.ts";
import type { ProviderTypes } from "./provider-types/provider-types.ts";
import { assembleProviders, type ProviderParts, type ProvidersRoom } from "./providers/assemble.ts";
import { assembleProxyTokens, type ProxyTokenParts } from "./proxy-tokens/assemble.ts";
import type { Proxies } from "./proxy-tokens/proxies.ts";
import { createFrontdoorSweep } from "./sweep.ts";
import { assembleWatch, type WatchParts } from "./watch/assemble.ts";

/** What frontdoors stand on, with all that is in them. */
export type FrontdoorParts = Parameters<typeof assembleFrontdoors>[0] &
  Omit<ApiKeyParts, "frontdoorAccess"> &
  Omit<ProviderTypeParts, "frontdoorAccess" | "apiKeys"> &
  Omit<ProviderParts, "frontdoorAccess" | "types" | "validator"> &
  Omit<ProxyTokenParts, "frontdoorAccess"> &
  Omit<WatchParts, "frontdoorAccess" | "toProviderMessage">;

/** What the gate judges by. */
export interface FrontdoorRoom
  extends Room,
    Pick<FrontendsRoom, "draftFrontend">,
    Pick<ProvidersRoom, "openProvider"> {
  readonly frontdoorAccess: FrontdoorAccess;
  readonly types: ProviderTypes;
  readonly proxies: Proxies;
}

/** Puts the rooms of frontdoors together, from the bottom up. */
export function assembleFrontdoor(parts: FrontdoorParts): FrontdoorRoom {
  const frontdoors = assembleFrontdoors(parts);
  const { frontdoorAccess } = frontdoors;
  const apiKeys = assembleApiKeys({ ...parts, frontdoorAccess });
  const providerTypes = assembleProviderTypes({ ...parts, frontdoorAccess, apiKeys });
  const { types, validator } = providerTypes;
  const providers = assembleProviders({ ...parts, frontdoorAccess, types, validator });
  const proxyTokens = assembleProxyTokens({ ...parts, frontdoorAccess });
  const frontends = assembleFrontends({ ...parts, frontdoorAccess });
  return {
    frontdoorAccess,
    types,
    proxies: proxyTokens.proxies,
    draftFrontend: frontends.draftFrontend,
    openProvider: providers.openProvider,
    rooms: [
      frontdoors,
      apiKeys,
      providerTypes,
      providers,
      frontends,
      proxyTokens,
      assembleWatch({ ...parts, frontdoorAccess, toProviderMessage: providers.toProviderMessage }),
    ],
    sweeps: [{ kind: "frontdoor_rows", run: createFrontdoorSweep(parts.database, parts.clock) }],
  };
}
