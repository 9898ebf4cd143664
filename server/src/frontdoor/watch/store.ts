import type { Reader } from "../../db/database.ts";
import { prepared } from "../../db/prepared.ts";
import { removeOld } from "../../db/remove-rows.ts";
import { type ChangePlace, isSamePlace } from "../frontdoors/store.ts";
import type { ProviderTypeName } from "../provider-types/provider-type.ts";
import { dataColumn, payloadColumn, sealedSecretsColumn } from "../providers/columns.ts";
import { withMasks } from "../providers/definition.ts";
import type { Provider, ProviderChange } from "../providers/provider.ts";

const selectChanges = prepared(
  (database, { frontdoorId, seq, limit }: { frontdoorId: string; seq: number; limit: number }) =>
    database
      .selectFrom("auth_provider_changes")
      .selectAll()
      .where("frontdoor_id", "=", frontdoorId)
      .where("seq", ">=", seq)
      .orderBy("seq")
      .limit(limit),
);

/** A stored change, and about how much memory it takes. */
export interface StoredChange {
  readonly change: ProviderChange;
  /** Characters of its JSON. */
  readonly size: number;
}

/**
 * Changes after a place, in order, without a gap; undefined when the change at
 * that place has been removed, or never was.
 */
export async function findChangesAfter(
  reader: Reader,
  frontdoorId: string,
  place: ChangePlace,
  limit: number,
): Promise<StoredChange[] | undefined> {
  const found = await selectChanges.all(reader, { frontdoorId, seq: place.seq, limit: limit + 1 });
  const [first] = found;
  const isThere =
    place.seq === 0 ? (first?.seq ?? 1) === 1 : first !== undefined && isSamePlace(first, place);
  if (!isThere) return undefined;
  const rows = place.seq === 0 ? found.slice(0, limit) : found.slice(1);
  return rows.map((row) => ({
    change: {
      frontdoorId: row.frontdoor_id,
      seq: row.seq,
      mark: row.mark,
      event: row.event,
      provider: { ...payloadColumn.decode(row.payload), id: row.provider_id, revision: row.revision },
    },
    size: row.payload.length,
  }));
}

/** A part of a snapshot. */
export interface SnapshotPage {
  /** Of the newest change when it was read. */
  readonly place: ChangePlace;
  /** In the order of ids. */
  readonly providers: readonly Provider[];
}

/**
 * Providers after an id, with the place at which all of them are as answered:
 * one statement reads both. Undefined when the frontdoor is gone.
 *
 * @param from only those that have not changed after this place.
 */
export async function findSnapshotPage(
  reader: Reader,
  frontdoorId: string,
  from: { readonly afterId: string; readonly seq?: number; readonly limit: number },
): Promise<SnapshotPage | undefined> {
  // The page is cut before it is joined, or Postgres sorts all there are.
  const rows = await reader
    .selectFrom("frontdoors as f")
    .leftJoin(
      (page) =>
        page
          .selectFrom("auth_providers")
          .select(["id", "name", "type", "enabled", "revision"])
          .where("frontdoor_id", "=", frontdoorId)
          .where("id", ">", from.afterId)
          .where("change_seq", "<=", from.seq ?? Number.MAX_SAFE_INTEGER)
          .orderBy("id")
          .limit(from.limit)
          .as("p"),
      (join) => join.onTrue(),
    )
    .leftJoin("auth_provider_revisions as r", (join) =>
      join.onRef("r.provider_id", "=", "p.id").onRef("r.revision", "=", "p.revision"),
    )
    .select([
      "f.change_seq",
      "f.change_mark",
      "p.id",
      "p.name",
      "p.type",
      "p.enabled",
      "p.revision",
      "r.data",
      "r.sealed_secrets",
    ])
    .where("f.id", "=", frontdoorId)
    .where("f.deleted_at", "is", null)
    .orderBy("p.id")
    .execute();
  const [first] = rows;
  if (first === undefined) return undefined;
  const place = { seq: first.change_seq, mark: first.change_mark };
  return { place, providers: rows.flatMap(toProviders) };
}

interface SnapshotRow {
  readonly id: string | null;
  readonly name: string | null;
  readonly type: string | null;
  readonly enabled: 0 | 1 | null;
  readonly revision: number | null;
  readonly data: string | null;
  readonly sealed_secrets: string | null;
}

/** None for the row of a frontdoor without providers. */
function toProviders({
  id,
  name,
  type,
  enabled,
  revision,
  data,
  sealed_secrets: sealed,
}: SnapshotRow): Provider[] {
  if (id === null || name === null || revision === null || data === null || sealed === null) return [];
  return [
    {
      id,
      name,
      type: type as ProviderTypeName,
      enabled: enabled === 1,
      revision,
      data: withMasks(dataColumn.decode(data), Object.keys(sealedSecretsColumn.decode(sealed))),
    },
  ];
}

/** How long a stream may be away and still go on where it was, in milliseconds. */
const changesKeptMs = 3_600_000;

/** Removes changes that no stream goes on from any more. */
export const deleteOldChanges = removeOld(
  "auth_provider_changes",
  ["frontdoor_id", "seq"],
  "created_at",
  changesKeptMs,
);
