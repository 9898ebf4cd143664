/**
 * Secrets of providers at rest. Each revision has its own: sealed for that
 * provider, revision and property, they open nowhere else.
 */
import { placeOf, type SealedColumn, type Sealer, type SealPlace } from "../../encryption/sealer.ts";
import { sealedSecretsColumn, secretColumn } from "./columns.ts";
import type { Secrets } from "./definition.ts";
import type { SealedSecrets } from "./provider.ts";

/** The revision that secrets belong to. */
export interface SecretsOwner {
  readonly providerId: string;
  readonly revision: number;
}

/** Where revisions keep their secrets. */
export const providerSecretsColumn: SealedColumn = {
  purpose: "auth-provider",
  table: "auth_provider_revisions",
  column: "sealed_secrets",
  keyColumns: ["provider_id", "revision"],
  toRowId: ([providerId, revision]) => `${providerId}/${revision}`,
  byProperty: sealedSecretsColumn,
};

function toPlace({ providerId, revision }: SecretsOwner, field: string): SealPlace {
  return placeOf(providerSecretsColumn, [providerId, revision], field);
}

/** Seals secrets for a revision. */
export function sealSecrets(sealer: Sealer, owner: SecretsOwner, secrets: Secrets): SealedSecrets {
  return Object.fromEntries(
    Object.entries(secrets).map(([field, secret]) => [
      field,
      sealer.seal(toPlace(owner, field), Buffer.from(secretColumn.encode(secret))),
    ]),
  );
}

/** Opens a revision's secrets. @throws Error when its key is not configured, or a value is damaged */
export function openSecrets(sealer: Sealer, owner: SecretsOwner, sealed: SealedSecrets): Secrets {
  return Object.fromEntries(
    Object.entries(sealed).map(([field, text]) => [
      field,
      secretColumn.decode(sealer.open(toPlace(owner, field), text).toString("utf8")),
    ]),
  );
}
