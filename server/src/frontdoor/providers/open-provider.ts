import type { Reader } from "../../db/database.ts";
import type { Sealer } from "../../encryption/sealer.ts";
import { DomainError } from "../../lib/errors.ts";
import type { ProviderInstance } from "../provider-types/provider-type.ts";
import { openSecrets } from "./secrets.ts";
import { findProvider } from "./store.ts";

/**
 * Opens a provider for whoever speaks to it: with its secrets in clear,
 * endpoint and secret of one revision. Nothing of them may be shown.
 *
 * @throws DomainError AUTH_PROVIDER_NOT_FOUND, UNAVAILABLE
 */
export type OpenProvider = (provider: {
  readonly id: string;
  readonly instance: Pick<ProviderInstance, "orgId">;
}) => Promise<ProviderInstance>;

/** @see OpenProvider */
export function createOpenProvider(reader: Reader, sealer: Sealer): OpenProvider {
  return async ({ id, instance: { orgId } }) => {
    const stored = await findProvider(reader, id);
    if (stored === undefined) throw new DomainError("AUTH_PROVIDER_NOT_FOUND");
    const { revision, data, sealedSecrets } = stored;
    const secrets = openSecrets(sealer, { providerId: id, revision }, sealedSecrets);
    return { id, orgId, data: { ...data, ...secrets } };
  };
}
