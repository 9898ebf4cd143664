/** What this room keeps, as messages. */
import { create, fromJson, type JsonObject, type JsonValue as WireJson } from "@bufbuild/protobuf";
import { timestampFromDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type ApiKey as ApiKeyMessage,
  ApiKeySchema,
  type AuthProvider,
  type AuthProviderRevision,
  AuthProviderRevisionSchema,
  AuthProviderSchema,
  type AuthProviderSummary,
  AuthProviderSummarySchema,
  type AuthProviderType,
  AuthProviderTypeSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_pb";
import {
  type CustomFrontend as CustomFrontendMessage,
  CustomFrontendSchema,
  type Frontdoor as FrontdoorMessage,
  FrontdoorSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_pb";
import { toOptionalTimestamp } from "../lib/proto.ts";
import type {
  ApiKey,
  CustomFrontend,
  Frontdoor,
  Provider,
  ProviderSummary,
  Revision,
} from "./frontdoors/frontdoor.ts";
import type { JsonValue, ProviderData, ProviderType } from "./provider-types/provider-type.ts";
import { withMasks } from "./providers/definition.ts";

/** JSON that is only read, as the wire's type has it. */
function toStruct(data: ProviderData): JsonObject {
  return data as JsonObject;
}

export function toFrontdoorMessage(frontdoor: Frontdoor): FrontdoorMessage {
  return create(FrontdoorSchema, {
    id: frontdoor.id,
    name: frontdoor.name,
    organizationId: frontdoor.orgId,
    createdAt: timestampFromDate(frontdoor.createdAt),
    updatedAt: timestampFromDate(frontdoor.updatedAt),
  });
}

export function toFrontendMessage(frontend: CustomFrontend): CustomFrontendMessage {
  const { publicPaths, emailPatterns, requiredClaims } = frontend.policy;
  return create(CustomFrontendSchema, {
    id: frontend.id,
    frontdoorId: frontend.frontdoorId,
    hostname: frontend.hostname,
    authProviderIds: [...frontend.providerIds],
    policy: {
      publicPaths: [...publicPaths],
      emailPatterns: [...emailPatterns],
      requiredClaims: toStruct(requiredClaims),
    },
    status: frontend.isActive ? "ACTIVE" : "INACTIVE",
  });
}

export function toSummaryMessage({ id, name, type, enabled }: ProviderSummary): AuthProviderSummary {
  return create(AuthProviderSummarySchema, { id, name, type, enabled });
}

export function toProviderMessage({ id, name, type, enabled, data }: Provider): AuthProvider {
  return create(AuthProviderSchema, { id, name, type, enabled, data: toStruct(data) });
}

export function toTypeMessage({ name, displayName, description }: ProviderType): AuthProviderType {
  return create(AuthProviderTypeSchema, { type: name, displayName, description });
}

export function toSchemaStruct({ schema }: ProviderType): JsonObject {
  return toStruct(schema);
}

export function toRevisionMessage(revision: Revision): AuthProviderRevision {
  return create(AuthProviderRevisionSchema, {
    revision: revision.revision,
    createdAt: timestampFromDate(revision.createdAt),
    author: { ...revision.author },
    change: revision.change,
    restoredRevision: revision.restoredRevision ?? 0,
    changes: revision.changes.map(({ field, before, after }) => ({
      field,
      ...(before !== undefined && { before: toValue(before) }),
      ...(after !== undefined && { after: toValue(after) }),
    })),
    name: revision.name,
    enabled: revision.enabled,
    data: toStruct(withMasks(revision.data, Object.keys(revision.sealedSecrets))),
  });
}

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

function toValue(value: JsonValue) {
  return fromJson(ValueSchema, value as WireJson);
}
