import { type Selectable, type SelectQueryBuilder, sql } from "kysely";
import { type CommitPlace, inCommitOrder, isSettledAfter, isUpTo } from "../db/commit-order.ts";
import type { Reader } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
import type { AuditRecordRow, Schema } from "../db/schema.ts";
import type { AuditRecord } from "./record.ts";
import { toRecord } from "./store.ts";

/** Filter of audit records; an absent member means any. */
export interface BaseFilter {
  readonly orgId?: string;
  readonly actorId?: string;
  readonly targetId?: string;
  readonly action?: string;
  readonly result?: "success" | "refused";
  readonly requestId?: string;
}

/** Filter of a list of them. */
export interface RecordFilter extends BaseFilter {
  /** Any of these is enough: they are looked for one by one, each by its index. */
  readonly about?: readonly About[];
}

/** What a record can be about, or whose: a column with an index of its own, and its value. */
export type About = readonly [column: "actor_id" | "target_id" | "mailbox_hash", value: string];

/** A time span, and where in it the page begins: after the record at `before`, which is newer. */
export interface RecordSpan {
  readonly startAt?: Date;
  /** Exclusive. */
  readonly endAt?: Date;
  readonly before?: ListPlace;
}

/** Position in a list of records: newest first by time, then by the order of writing. */
export interface ListPlace {
  readonly atMs: number;
  readonly seq: number;
}

type Column = "request_id" | "target_id" | "actor_id" | "mailbox_hash" | "org_id" | "action" | "result";
type Condition = readonly [column: Column, value: string];

/** Nearly all records of a busy organization, which the index by action therefore leaves out. */
const unindexedAction = "token.issue";

/** What an index answers, and what each row must be asked. */
interface Plan {
  readonly indexed: readonly Condition[];
  readonly asked: readonly Condition[];
}

/** A search for each of what a filter is about; one where it does not say. */
function planAll({ about, ...filter }: RecordFilter): readonly Plan[] {
  const whole = plan(filter);
  const others = [...whole.indexed, ...whole.asked];
  return about === undefined ? [whole] : about.map((indexed) => ({ indexed: [indexed], asked: others }));
}

/** Splits a filter into what an index answers and what each row must be asked. */
function plan(filter: BaseFilter): Plan {
  const all: [Column, string | undefined][] = [
    ["request_id", filter.requestId],
    ["target_id", filter.targetId],
    ["actor_id", filter.actorId],
    ["org_id", filter.orgId],
    ["action", filter.action],
    ["result", filter.result],
  ];
  const given = all.filter((entry): entry is [Column, string] => entry[1] !== undefined);
  const [[first] = [], [second, action] = []] = given;
  const isOne = first === "request_id" || first === "target_id" || first === "actor_id" || first === "org_id";
  const isByAction = first === "org_id" && second === "action" && action !== unindexedAction;
  const count = isByAction ? 2 : Number(isOne);
  return { indexed: given.slice(0, count), asked: given.slice(count) };
}

type Query<O> = SelectQueryBuilder<Schema, "audit_records", O>;

function whereIndexed<O>(query: Query<O>, conditions: readonly Condition[]): Query<O> {
  const narrowed = conditions.reduce((rest, [column, value]) => rest.where(column, "=", value), query);
  // As the index has it: a database takes an index of some rows only where the query says that it wants no others.
  const isByAction = conditions.some(([column]) => column === "action");
  return isByAction ? narrowed.where("action", "<>", sql.lit(unindexedAction)) : narrowed;
}

/** An expression that no index has: neither database then chooses another index than the one meant. */
function whereAsked<O>(query: Query<O>, conditions: readonly Condition[]): Query<O> {
  return conditions.reduce(
    (narrowed, [column, value]) => narrowed.where(sql<string>`coalesce(${sql.ref(column)}, '')`, "=", value),
    query,
  );
}

function whereWithin<O>(query: Query<O>, { startAt, endAt, before }: RecordSpan): Query<O> {
  let narrowed = query;
  if (startAt !== undefined) narrowed = narrowed.where("at", ">=", startAt.getTime());
  if (endAt !== undefined) narrowed = narrowed.where("at", "<", endAt.getTime());
  if (before !== undefined) {
    narrowed = narrowed.where((eb) => eb(eb.refTuple("at", "seq"), "<", eb.tuple(before.atMs, before.seq)));
  }
  return narrowed;
}

function newestFirst<O>(query: Query<O>): Query<O> {
  return query.orderBy("at", "desc").orderBy("seq", "desc");
}

/** How much a list may take: records of a page, and rows that one search looks at. */
export interface ListBounds {
  readonly limit: number;
  readonly budget: number;
}

type Row = Selectable<AuditRecordRow>;

/** Some of what a search finds: every row down to where the next page begins, and that place. */
interface Found {
  readonly rows: readonly Row[];
  /** Absent when there are no more. */
  readonly next: ListPlace | undefined;
}

/**
 * A page of records, newest first, and where the next begins.
 *
 * However rare what is asked for, at most `budget` rows are looked at by each
 * search: one page may be short or empty with more to come, and no list holds
 * up the process.
 */
export async function findRecords(
  reader: Reader,
  filter: RecordFilter,
  span: RecordSpan,
  bounds: ListBounds,
): Promise<{ records: AuditRecord[]; next: ListPlace | undefined }> {
  const found: Found[] = [];
  for (const plan of planAll(filter)) found.push(await search(reader, plan, span, bounds));
  const { rows, next } = merge(found, bounds.limit);
  return { records: rows.map(toRecord), next };
}

async function search(
  reader: Reader,
  { indexed, asked }: Plan,
  span: RecordSpan,
  { limit, budget }: ListBounds,
): Promise<Found> {
  const table = reader.selectFrom("audit_records");
  const within = <O>(query: Query<O>) => newestFirst(whereWithin(whereIndexed(query, indexed), span));
  const end =
    asked.length === 0
      ? undefined
      : await within(table.select(["at", "seq"]))
          .offset(budget)
          .limit(1)
          .executeTakeFirst();
  let query = whereAsked(within(table.selectAll()), asked).limit(limit + 1);
  if (end !== undefined) {
    query = query.where((eb) => eb(eb.refTuple("at", "seq"), ">", eb.tuple(end.at, end.seq)));
  }
  const rows = await query.execute();
  const last = rows[limit - 1];
  if (rows.length > limit && last !== undefined)
    return { rows: rows.slice(0, limit), next: toListPlace(last) };
  return { rows, next: end && { atMs: end.at, seq: end.seq + 1 } };
}

/** What several searches have found, each record once, as far as all of them have come. */
function merge(found: readonly Found[], limit: number): Found {
  const [only] = found;
  if (found.length === 1 && only !== undefined) return only;
  const floor = found
    .flatMap(({ next }) => next ?? [])
    .toSorted(byPlace)
    .at(0);
  const bySeq = new Map(found.flatMap(({ rows }) => rows).map((row) => [row.seq, row]));
  const rows = [...bySeq.values()]
    .filter((row) => floor === undefined || byPlace(toListPlace(row), floor) <= 0)
    .toSorted((a, b) => byPlace(toListPlace(a), toListPlace(b)));
  const last = rows[limit - 1];
  if (rows.length > limit && last !== undefined)
    return { rows: rows.slice(0, limit), next: toListPlace(last) };
  return { rows, next: floor };
}

function toListPlace({ at, seq }: Pick<Row, "at" | "seq">): ListPlace {
  return { atMs: at, seq };
}

/** Newest first. */
function byPlace(a: ListPlace, b: ListPlace): number {
  return b.atMs - a.atMs || b.seq - a.seq;
}

/**
 * Position of a reader of the trail: on a record, which tells whether the trail
 * is still the one it has read.
 */
export interface TrailPlace extends CommitPlace {
  /** Empty before the first. */
  readonly recordId: string;
}

/** A record and its place in the order of commits. */
export interface PlacedRecord {
  readonly record: AuditRecord;
  readonly place: TrailPlace;
}

function toPlace({ xact, seq, id }: Pick<Selectable<AuditRecordRow>, "xact" | "seq" | "id">): TrailPlace {
  return { xact, seq, recordId: id };
}

const selectAt = prepared((database, { xact, seq }: { xact: number; seq: number }) =>
  database.selectFrom("audit_records").select("id").where("xact", "=", xact).where("seq", "=", seq),
);

/** The id of the record at a place. */
export async function findRecordIdAt(
  reader: Reader,
  { xact, seq }: CommitPlace,
): Promise<string | undefined> {
  return (await selectAt.first(reader, { xact, seq }))?.id;
}

/** The place of the newest record; of none, the first place of all. */
export async function findNewestPlace(reader: Reader): Promise<TrailPlace> {
  const row = await reader
    .selectFrom("audit_records")
    .select(["xact", "seq", "id"])
    .orderBy(inCommitOrder(reader, "desc"))
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? { xact: 0, seq: 0, recordId: "" } : toPlace(row);
}

/**
 * Records committed after `place`, oldest first, and the place up to which
 * the table has been read. Looks at no more than `budget` rows.
 */
export async function findRecordsAfter(
  reader: Reader,
  filter: BaseFilter,
  place: TrailPlace,
  { limit, budget }: { readonly limit: number; readonly budget: number },
): Promise<{ records: PlacedRecord[]; readUpTo: TrailPlace }> {
  const table = reader.selectFrom("audit_records");
  const ahead = await table
    .select(["xact", "seq", "id"])
    .where(isSettledAfter(reader, place))
    .orderBy(inCommitOrder(reader))
    .limit(budget)
    .execute();
  const end = ahead.at(-1);
  if (end === undefined) return { records: [], readUpTo: place };
  const { indexed, asked } = plan(filter);
  const rows = await whereAsked(table.selectAll(), [...indexed, ...asked])
    .where(isSettledAfter(reader, place))
    .where(isUpTo(reader, end))
    .orderBy(inCommitOrder(reader))
    .limit(limit)
    .execute();
  const records = rows.map((row) => ({ record: toRecord(row), place: toPlace(row) }));
  const last = rows.length < limit ? undefined : records.at(-1);
  return { records, readUpTo: last?.place ?? toPlace(end) };
}
