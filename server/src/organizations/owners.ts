import type { Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { countOwners, lockOrganization } from "./store.ts";

/**
 * Runs a step that may take an owner from an organization, and refuses it if
 * none is left: an organization that has an owner keeps one. Steps on one
 * organization wait for each other, so two of them cannot each remove the
 * owner that the other relied on. The organization is locked before whatever
 * in it the step locks.
 *
 * @throws DomainError LAST_OWNER; the transaction must then roll back.
 */
export async function keepingAnOwner<T>(tx: Tx, orgId: string, step: () => Promise<T>): Promise<T> {
  await lockOrganization(tx, orgId);
  const before = await countOwners(tx, orgId);
  const result = await step();
  if (before > 0 && (await countOwners(tx, orgId)) === 0) throw new DomainError("LAST_OWNER");
  return result;
}
