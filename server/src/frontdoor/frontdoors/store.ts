import type { Selectable } from "kysely";
import type { Reader, Tx } from "../../db/database.ts";
import { forUpdate } from "../../db/dialect.ts";
import { prepared } from "../../db/prepared.ts";
import type { FrontdoorRow } from "../../db/schema.ts";
import { isUuid } from "../../lib/ids.ts";
import type { IdRange } from "../../lib/page-token.ts";
import type { Frontdoor } from "./frontdoor.ts";

function toFrontdoor(row: Omit<Selectable<FrontdoorRow>, "deleted_at">): Frontdoor {
  return {
    id: row.id,
    orgId: row.org_id,
    name: row.name,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

const selectFrontdoor = prepared((database, { id }: { id: string }) =>
  database.selectFrom("frontdoors").selectAll().where("id", "=", id).where("deleted_at", "is", null),
);

/** Finds a frontdoor by its id in lower case. */
export async function findFrontdoor(reader: Reader, id: string): Promise<Frontdoor | undefined> {
  if (!isUuid(id)) return undefined;
  const row = await selectFrontdoor.first(reader, { id });
  return row && toFrontdoor(row);
}

/** Frontdoors of an organization after an id, oldest first. */
export async function findFrontdoors(
  reader: Reader,
  orgId: string,
  { afterId, limit }: IdRange,
): Promise<Frontdoor[]> {
  const rows = await reader
    .selectFrom("frontdoors")
    .selectAll()
    .where("org_id", "=", orgId)
    .where("deleted_at", "is", null)
    .where("id", ">", afterId)
    .orderBy("id")
    .limit(limit)
    .execute();
  return rows.map(toFrontdoor);
}

/** Stores a new frontdoor. */
export async function insertFrontdoor(tx: Tx, frontdoor: Frontdoor): Promise<void> {
  await tx
    .insertInto("frontdoors")
    .values({
      id: frontdoor.id,
      org_id: frontdoor.orgId,
      name: frontdoor.name,
      change_seq: 0,
      created_at: frontdoor.createdAt.getTime(),
      updated_at: frontdoor.updatedAt.getTime(),
    })
    .execute();
}

/**
 * Deletes a frontdoor: from here on it is gone for everybody, however much it
 * holds. False when it is gone already.
 */
export async function deleteFrontdoor(tx: Tx, id: string, now: Date): Promise<boolean> {
  const result = await tx
    .updateTable("frontdoors")
    .set({ deleted_at: now.getTime() })
    .where("id", "=", id)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/**
 * Makes everyone who changes what is in a frontdoor wait for each other until
 * the transaction ends, which keeps counts and the order of changes exact.
 * Answers the place of the newest change; undefined when the frontdoor is gone.
 */
export async function lockFrontdoor(tx: Tx, id: string): Promise<number | undefined> {
  const row = await tx
    .selectFrom("frontdoors")
    .select("change_seq")
    .where("id", "=", id)
    .where("deleted_at", "is", null)
    .$call(forUpdate(tx))
    .executeTakeFirst();
  return row?.change_seq;
}

/** A place among the changes of a frontdoor's providers: before the first 0, without a mark. */
export interface ChangePlace {
  readonly seq: number;
  /** Tells the change from any other that had its number before the database was restored. */
  readonly mark: string;
}

/** Whether two places are one. */
export function isSamePlace(one: ChangePlace, other: ChangePlace): boolean {
  return one.seq === other.seq && one.mark === other.mark;
}

/** Place of the newest change of a frontdoor's providers; undefined when the frontdoor is gone. */
export async function findChangePlace(reader: Reader, id: string): Promise<ChangePlace | undefined> {
  const row = await selectFrontdoor.first(reader, { id });
  return row && { seq: row.change_seq, mark: row.change_mark };
}
