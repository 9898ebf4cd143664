import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import { createLastUses, touchLastUses } from "../../db/write-behind.ts";
import type { Log } from "../../lib/log.ts";
import type { ApiKey } from "./api-key.ts";
import { createApiKeyMethods } from "./handler.ts";
import { ApiKeyService, type ApiKeyServiceOptions } from "./service.ts";
import { findApiKey } from "./store.ts";

/** What API keys stand on. */
export interface ApiKeyParts extends ApiKeyServiceOptions {
  readonly log: Log;
}

/** What whoever judges API keys asks of them. */
export interface ApiKeysRoom extends Room {
  /** The key with this hash, expired or not, if it is the provider's. */
  findApiKey(providerId: string, keyHash: string): Promise<ApiKey | undefined>;
  /** The key let somebody in. Never blocks, never throws. */
  noteUse(id: string): void;
}

/** Puts the keys of `API_KEY` providers together. */
export function assembleApiKeys(parts: ApiKeyParts): ApiKeysRoom {
  const uses = createLastUses(parts, "API keys", touchLastUses("auth_provider_api_keys"));
  return {
    findApiKey: (providerId, keyHash) => findApiKey(parts.database.reader, providerId, keyHash),
    noteUse: (id) => uses.note({ id }),
    services: [registerService(FrontdoorAuthProviderService, createApiKeyMethods(new ApiKeyService(parts)))],
    closing: [{ name: "last uses of API keys", moment: "writes", ms: 2_000, run: () => uses.flush() }],
  };
}
