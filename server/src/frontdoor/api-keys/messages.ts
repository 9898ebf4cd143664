import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type ApiKey as ApiKeyMessage,
  ApiKeySchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_pb";
import { toOptionalTimestamp } from "../../lib/proto.ts";
import type { ApiKey } from "./api-key.ts";

/** @param key in clear, where it has just been made. */
export function toApiKeyMessage(apiKey: ApiKey, key?: string): ApiKeyMessage {
  const lastUsedAt = toOptionalTimestamp(apiKey.lastUsedAt);
  return create(ApiKeySchema, {
    id: apiKey.id,
    title: apiKey.title,
    ...(key !== undefined && { key }),
    createdAt: timestampFromDate(apiKey.createdAt),
    expiresAt: timestampFromDate(apiKey.expiresAt),
    ...(lastUsedAt && { lastUsedAt }),
  });
}
