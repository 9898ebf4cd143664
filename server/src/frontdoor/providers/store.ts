import type { Reader, Tx } from "../../db/database.ts";
import { prepared } from "../../db/prepared.ts";
import type { AuthProviderRevisionRow } from "../../db/schema.ts";
import { isUuid, newId } from "../../lib/ids.ts";
import type { ProviderTypeName } from "../provider-types/provider-type.ts";
import { changesColumn, dataColumn, payloadColumn, sealedSecretsColumn } from "./columns.ts";
import type { ProviderChange, ProviderSummary, Revision, StoredProvider } from "./provider.ts";

const selectProvider = prepared((database, { id }: { id: string }) =>
  database
    .selectFrom("auth_providers as p")
    .innerJoin("auth_provider_revisions as r", (join) =>
      join.onRef("r.provider_id", "=", "p.id").onRef("r.revision", "=", "p.revision"),
    )
    .select([
      "p.id",
      "p.frontdoor_id",
      "p.name",
      "p.type",
      "p.enabled",
      "p.revision",
      "p.sessions_from",
      "p.created_at",
      "r.data",
      "r.sealed_secrets",
    ])
    .where("p.id", "=", id),
);

/** Finds a provider by its id in lower case, whichever frontdoor's it is. */
export async function findProvider(reader: Reader, id: string): Promise<StoredProvider | undefined> {
  const row = isUuid(id) ? await selectProvider.first(reader, { id }) : undefined;
  return (
    row && {
      id: row.id,
      frontdoorId: row.frontdoor_id,
      name: row.name,
      type: row.type as ProviderTypeName,
      enabled: row.enabled === 1,
      revision: row.revision,
      sessionsFrom: row.sessions_from,
      data: dataColumn.decode(row.data),
      sealedSecrets: sealedSecretsColumn.decode(row.sealed_secrets),
      createdAt: new Date(row.created_at),
    }
  );
}

/** Which of these ids are providers of the frontdoor. */
export async function findProviderIds(
  reader: Reader,
  frontdoorId: string,
  ids: readonly string[],
): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const rows = await reader
    .selectFrom("auth_providers")
    .select("id")
    .where("id", "in", ids)
    .where("frontdoor_id", "=", frontdoorId)
    .execute();
  return new Set(rows.map(({ id }) => id));
}

/** A change as it is written: the provider's row, its revision and its event, in one transaction. */
export interface ProviderWrite {
  readonly frontdoorId: string;
  readonly provider: ProviderSummary;
  readonly revision: Revision;
  /** Of the change, as the frontdoor counts them. */
  readonly changeSeq: number;
}

/** Stores a new provider and counts it. Lock the frontdoor before. @throws a unique violation when the name is taken */
export async function insertProvider(tx: Tx, write: ProviderWrite): Promise<void> {
  const { provider, revision, frontdoorId } = write;
  const at = revision.createdAt.getTime();
  await tx
    .insertInto("auth_providers")
    .values({
      id: provider.id,
      frontdoor_id: frontdoorId,
      name: provider.name,
      type: provider.type,
      enabled: provider.enabled ? 1 : 0,
      revision: revision.revision,
      sessions_from: revision.revision,
      change_seq: write.changeSeq,
      created_at: at,
      updated_at: at,
    })
    .execute();
  await insertRevision(tx, revision);
  await addToCount(tx, frontdoorId, provider, 1);
}

/** Stores a provider as its new revision has it, and keeps the counts. As {@link insertProvider}. */
export async function updateProvider(
  tx: Tx,
  write: ProviderWrite & Pick<StoredProvider, "sessionsFrom">,
  before: ProviderSummary,
): Promise<void> {
  const { provider, revision, frontdoorId } = write;
  await tx
    .updateTable("auth_providers")
    .set({
      name: provider.name,
      enabled: provider.enabled ? 1 : 0,
      revision: revision.revision,
      sessions_from: write.sessionsFrom,
      change_seq: write.changeSeq,
      updated_at: revision.createdAt.getTime(),
    })
    .where("id", "=", provider.id)
    .execute();
  await insertRevision(tx, revision);
  if (before.enabled === provider.enabled) return;
  await addToCount(tx, frontdoorId, before, -1);
  await addToCount(tx, frontdoorId, provider, 1);
}

/** Removes a provider with its revisions and keys, and keeps the counts. Lock the frontdoor before. */
export async function deleteProvider(
  tx: Tx,
  { id, frontdoorId, type, enabled }: StoredProvider,
): Promise<void> {
  await tx.deleteFrom("auth_providers").where("id", "=", id).execute();
  await addToCount(tx, frontdoorId, { type, enabled }, -1);
}

async function addToCount(
  tx: Tx,
  frontdoorId: string,
  { type, enabled }: Pick<ProviderSummary, "type" | "enabled">,
  step: 1 | -1,
): Promise<void> {
  await tx
    .insertInto("auth_provider_counts")
    .values({ frontdoor_id: frontdoorId, type, enabled: enabled ? 1 : 0, count: step })
    .onConflict((conflict) =>
      conflict
        .columns(["frontdoor_id", "type", "enabled"])
        .doUpdateSet((eb) => ({ count: eb("auth_provider_counts.count", "+", step) })),
    )
    .execute();
}

function toRevision(row: AuthProviderRevisionRow): Revision {
  return {
    providerId: row.provider_id,
    revision: row.revision,
    name: row.name,
    enabled: row.enabled === 1,
    data: dataColumn.decode(row.data),
    sealedSecrets: sealedSecretsColumn.decode(row.sealed_secrets),
    change: row.change,
    ...(row.restored_revision !== null && { restoredRevision: row.restored_revision }),
    changes: changesColumn.decode(row.changes),
    author: { type: row.author_type, id: row.author_id },
    createdAt: new Date(row.created_at),
  };
}

async function insertRevision(tx: Tx, revision: Revision): Promise<void> {
  await tx
    .insertInto("auth_provider_revisions")
    .values({
      provider_id: revision.providerId,
      revision: revision.revision,
      name: revision.name,
      enabled: revision.enabled ? 1 : 0,
      data: dataColumn.encode(revision.data),
      sealed_secrets: sealedSecretsColumn.encode(revision.sealedSecrets),
      change: revision.change,
      restored_revision: revision.restoredRevision ?? null,
      changes: changesColumn.encode(revision.changes),
      author_type: revision.author.type,
      author_id: revision.author.id,
      created_at: revision.createdAt.getTime(),
    })
    .execute();
}

/** Removes a provider's revisions up to a number, that one included. */
export async function deleteRevisionsUpTo(tx: Tx, providerId: string, revision: number): Promise<void> {
  await tx
    .deleteFrom("auth_provider_revisions")
    .where("provider_id", "=", providerId)
    .where("revision", "<=", revision)
    .execute();
}

/** One revision of a provider. */
export async function findRevision(
  reader: Reader,
  providerId: string,
  revision: number,
): Promise<Revision | undefined> {
  const row = await reader
    .selectFrom("auth_provider_revisions")
    .selectAll()
    .where("provider_id", "=", providerId)
    .where("revision", "=", revision)
    .executeTakeFirst();
  return row && toRevision(row);
}

/** Revisions before a number, newest first. */
export async function findRevisions(
  reader: Reader,
  providerId: string,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<Revision[]> {
  const rows = await reader
    .selectFrom("auth_provider_revisions")
    .selectAll()
    .where("provider_id", "=", providerId)
    .where("revision", "<", before)
    .orderBy("revision", "desc")
    .limit(limit)
    .execute();
  return rows.map(toRevision);
}

/** Stores a change for watchers, and moves the frontdoor's count of changes on to it. */
export async function insertChange(tx: Tx, change: Omit<ProviderChange, "mark">, now: Date): Promise<void> {
  const { frontdoorId, seq, event, provider } = change;
  const { id, revision, ...payload } = provider;
  const mark = newId(now);
  await tx
    .insertInto("auth_provider_changes")
    .values({
      frontdoor_id: frontdoorId,
      seq,
      mark,
      event,
      provider_id: id,
      revision,
      payload: payloadColumn.encode(payload),
      created_at: now.getTime(),
    })
    .execute();
  await tx
    .updateTable("frontdoors")
    .set({ change_seq: seq, change_mark: mark })
    .where("id", "=", frontdoorId)
    .execute();
}
