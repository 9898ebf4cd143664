import { create, fromJson, type JsonValue as WireJson } from "@bufbuild/protobuf";
import { timestampFromDate, ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type AuthProvider,
  type AuthProviderRevision,
  AuthProviderRevisionSchema,
  AuthProviderSchema,
  type AuthProviderSummary,
  AuthProviderSummarySchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_pb";
import type { JsonValue } from "../../lib/json.ts";
import { toStruct } from "../../lib/proto.ts";
import type { ProviderTypes } from "../provider-types/provider-types.ts";
import { toProviderUrls } from "../provider-types/provider-urls.ts";
import { withMasks } from "./definition.ts";
import type { Provider, ProviderSummary, Revision } from "./provider.ts";

/** A provider as lists show it. */
export function toSummaryMessage({ id, name, type, enabled }: ProviderSummary): AuthProviderSummary {
  return create(AuthProviderSummarySchema, { id, name, type, enabled });
}

/** A provider whole, with what to register there; its secrets are masked already. */
export type ToProviderMessage = (provider: Provider) => AuthProvider;

/** @see ToProviderMessage */
export function createToProviderMessage(
  publicUrl: string,
  types: Pick<ProviderTypes, "get">,
): ToProviderMessage {
  return ({ id, name, type, enabled, data }) => {
    const urls = toProviderUrls(publicUrl, types.get(type), id);
    return create(AuthProviderSchema, { id, name, type, enabled, data: toStruct(data), ...urls });
  };
}

/** A revision, its secrets masked. */
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

function toValue(value: JsonValue) {
  return fromJson(ValueSchema, value as WireJson);
}
