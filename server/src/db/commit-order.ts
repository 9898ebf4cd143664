/**
 * Reading a table on in the order in which its rows were committed.
 *
 * A number handed out when a row is written says nothing of when it commits: a
 * reader that has seen place 8 would never look for 7 again. On SQLite, with
 * one writer, `seq` alone is that order. On Postgres a row also keeps the id of
 * its transaction, `xact`, and a reader takes rows only of transactions older
 * than every one still running: what it has not seen by then sorts after. No
 * writer ever waits for another because of it.
 *
 * A cluster counts its transactions by itself: in another one, where a dump was
 * restored, they begin lower. So what is kept is raised by a number that
 * `continued-order.ts` finds.
 *
 * Tables that are read so have `seq` and `xact` (see their migration).
 */
import { type Kysely, type RawBuilder, sql } from "kysely";
import { dialectOf } from "./dialect.ts";

/** Position of a reader in commit order. Before the first row: zeros. */
export interface CommitPlace {
  readonly xact: number;
  readonly seq: number;
}

/** `where`: rows after `place` behind which nothing can appear any more. */
export function isSettledAfter<S>(database: Kysely<S>, place: CommitPlace): RawBuilder<boolean> {
  if (dialectOf(database) === "sqlite") return sql<boolean>`seq > ${place.seq}`;
  return sql<boolean>`(xact, seq) > (${place.xact}, ${place.seq})
    and xact < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + (select raised_by from commit_order)`;
}

/** `where`: rows up to and including `place`. */
export function isUpTo<S>(database: Kysely<S>, place: CommitPlace): RawBuilder<boolean> {
  if (dialectOf(database) === "sqlite") return sql<boolean>`seq <= ${place.seq}`;
  return sql<boolean>`(xact, seq) <= (${place.xact}, ${place.seq})`;
}

/** `order by`: oldest commit first. */
export function inCommitOrder<S>(
  database: Kysely<S>,
  direction: "asc" | "desc" = "asc",
): RawBuilder<unknown> {
  const by = sql.raw(direction);
  return dialectOf(database) === "sqlite" ? sql`seq ${by}` : sql`xact ${by}, seq ${by}`;
}
