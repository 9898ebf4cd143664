/** What is stored of providers as JSON, each column for all who write or read it. */
import { z } from "zod";
import { jsonColumn, jsonObject, jsonTexts, jsonValue, type MembersOf } from "../../db/json-column.ts";
import { providerTypeNames } from "../provider-types/provider-type.ts";
import type { FieldChange, Provider, ProviderSummary } from "./provider.ts";

/** Configuration without its secrets. */
export const dataColumn = jsonColumn("auth_provider_revisions.data", jsonObject);

/** Sealed texts by property. */
export const sealedSecretsColumn = jsonColumn("auth_provider_revisions.sealed_secrets", jsonTexts);

/** One secret, as it is before it is sealed. */
export const secretColumn = jsonColumn("auth_provider_revisions.sealed_secrets", jsonValue);

/** What a revision changed. */
export const changesColumn = jsonColumn<readonly FieldChange[]>(
  "auth_provider_revisions.changes",
  z.array(
    z.object({
      field: z.string(),
      before: z.exactOptional(jsonValue),
      after: z.exactOptional(jsonValue),
    } satisfies MembersOf<FieldChange>),
  ),
);

const summary = z.object({
  id: z.string(),
  name: z.string(),
  type: z.enum(providerTypeNames),
  enabled: z.boolean(),
} satisfies MembersOf<ProviderSummary>);

/** What the first request under an Idempotency-Key was answered. */
export const answerColumn = jsonColumn<ProviderSummary>("idempotency_keys.answer", summary);

/** A provider as watchers are told of it, without what the change has columns of its own for. */
type ChangePayload = Omit<Provider, "id" | "revision">;

/** @see ChangePayload */
export const payloadColumn = jsonColumn<ChangePayload>(
  "auth_provider_changes.payload",
  z.object({
    name: summary.shape.name,
    type: summary.shape.type,
    enabled: summary.shape.enabled,
    data: jsonObject,
  } satisfies MembersOf<ChangePayload>),
);
