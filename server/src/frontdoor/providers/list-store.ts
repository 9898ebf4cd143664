/**
 * Reading a frontdoor's providers in order, whatever the order, filter and
 * number.
 *
 * A list without filter in the order of name, creation or update is one range
 * of an index. Every other one is merged from groups: the ranges of one type
 * and state, each in the order asked for, of which a frontdoor has twelve at
 * most. So a page reads about as many rows as it shows, from either end and
 * after any row. Only a list by prefix of the name reads all that it matches.
 */
import { type RawBuilder, type SelectQueryBuilder, sql } from "kysely";
import type { Reader } from "../../db/database.ts";
import { prepared } from "../../db/prepared.ts";
import type { AuthProviderRow, Schema } from "../../db/schema.ts";
import type { ProviderTypeName } from "../provider-types/provider-type.ts";
import type { ProviderSummary } from "./provider.ts";

/** Columns that lists can be sorted by. */
export type SortColumn = "name" | "type" | "enabled" | "created_at" | "updated_at";

/** Providers of one type that are enabled, or are not. */
export interface ProviderGroup {
  readonly type: string;
  readonly enabled: 0 | 1;
  readonly count: number;
}

/** What is listed, and in which order. */
export interface ListPlan {
  readonly frontdoorId: string;
  /** Those with providers that fit the filter. */
  readonly groups: readonly ProviderGroup[];
  /** Whether type or state is filtered by. */
  readonly isFiltered: boolean;
  /** In NFC; empty for none. */
  readonly namePrefix: string;
  readonly column: SortColumn;
  readonly descending: boolean;
}

/** Where a row stands in a list. */
export interface ListPosition {
  readonly value: string | number;
  readonly id: string;
}

/** Which rows of a list. */
export interface ListWindow {
  /** Only rows after it. */
  readonly after?: ListPosition;
  readonly offset: number;
  readonly limit: number;
  /** Reads from the last row to the first; `after` and the result are in that order too. */
  readonly reversed?: boolean;
}

/** A row of a list. */
export interface ListedProvider {
  readonly provider: ProviderSummary;
  readonly position: ListPosition;
}

const selectState = prepared((database, { frontdoorId }: { frontdoorId: string }) =>
  database
    .selectFrom("frontdoors as f")
    .leftJoin("auth_provider_counts as c", (join) =>
      join.onRef("c.frontdoor_id", "=", "f.id").on("c.count", ">", 0),
    )
    .select(["f.change_seq", "c.type", "c.enabled", "c.count"])
    .where("f.id", "=", frontdoorId)
    .where("f.deleted_at", "is", null),
);

/** What a frontdoor holds, and since which change. */
export interface ListState {
  /** Place of the newest change to the frontdoor's providers. */
  readonly seq: number;
  /** How many there are, by type and state; exact. */
  readonly groups: readonly ProviderGroup[];
}

/** What a frontdoor holds; undefined when it is gone. */
export async function findListState(reader: Reader, frontdoorId: string): Promise<ListState | undefined> {
  const rows = await selectState.all(reader, { frontdoorId });
  const [first] = rows;
  if (first === undefined) return undefined;
  const groups = rows.flatMap(({ type, enabled, count }) =>
    type === null || enabled === null || count === null ? [] : [{ type, enabled, count }],
  );
  return { seq: first.change_seq, groups };
}

type Column = "id" | "name" | "type" | "enabled" | SortColumn;
type Row = Pick<AuthProviderRow, Column>;
type Query = SelectQueryBuilder<Schema, "auth_providers", Row>;

/** Rows of a list. Those that a window skips cost nothing but a step each. */
export async function findWindow(
  reader: Reader,
  plan: ListPlan,
  window: ListWindow,
): Promise<ListedProvider[]> {
  const rows = await toQuery(reader, plan, window).execute();
  return rows.map((row) => toListed(row, plan.column));
}

/** Position of the row after `offset` others, read from the indexes alone; undefined when there is none. */
export async function findPosition(
  reader: Reader,
  plan: ListPlan,
  window: Omit<ListWindow, "limit">,
): Promise<ListPosition | undefined> {
  // Names are unique: the id is no part of a place among them.
  const keys = plan.column === "name" ? (["name"] as const) : ([plan.column, "id"] as const);
  const [row] = await toQuery(reader, plan, { ...window, limit: 1, columns: keys }).execute();
  return row && { value: row[plan.column], id: row.id ?? "" };
}

/** How many providers a plan with a prefix matches. */
export async function countMatches(reader: Reader, plan: ListPlan): Promise<number> {
  const row = await whereGroups(wherePrefix(fromFrontdoor(reader, plan), plan), plan)
    .clearSelect()
    .select((eb) => eb.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** A window, and which columns to read of it instead of all. */
interface ColumnWindow extends ListWindow {
  readonly columns?: readonly Column[];
}

const shownColumns: readonly Column[] = ["id", "name", "type", "enabled"];

/** What is shown and sorted by: each order's index has it all, so that no row is looked up besides. */
function toColumns({ column }: ListPlan, { columns }: Partial<ColumnWindow>): readonly Column[] {
  return columns ?? (shownColumns.includes(column) ? shownColumns : [...shownColumns, column]);
}

function toQuery(reader: Reader, plan: ListPlan, window: ColumnWindow): Query {
  const all = fromFrontdoor(reader, plan, window);
  const { limit, offset } = window;
  const isMatched = plan.namePrefix !== "";
  if (isMatched && plan.column !== "name") {
    // An expression that no index has, or SQLite reads all of an index to save a sort.
    const key = sql`coalesce(${sql.ref(plan.column)}, ${sql.lit(plan.column === "type" ? "" : 0)})`;
    const matches = whereGroups(wherePrefix(all, plan), plan);
    const direction = toDirection(plan, window);
    return (window.after ? matches.where(afterRow(key, direction, window.after)) : matches)
      .orderBy(key, direction)
      .orderBy("id", direction)
      .limit(limit)
      .offset(offset);
  }
  const isGrouped = plan.isFiltered || plan.column === "type" || plan.column === "enabled";
  const ranges = isGrouped
    ? plan.groups.flatMap((group) => toGroupRange(reader, plan, window, group))
    : [toRange(wherePrefix(all, plan), plan, window)];
  const [first, ...others] = ranges;
  if (first === undefined) return all.where(sql<boolean>`1 = 0`);
  if (others.length === 0) return first.limit(limit).offset(offset);
  return merge(reader, plan, window, ranges);
}

/** One group's rows in order, unless all of them are before the window. */
function toGroupRange(reader: Reader, plan: ListPlan, window: ColumnWindow, group: ProviderGroup): Query[] {
  const own = wherePrefix(fromFrontdoor(reader, plan, window), plan)
    .where("type", "=", group.type)
    .where("enabled", "=", group.enabled);
  const { column } = plan;
  if (column !== "type" && column !== "enabled") return [toRange(own, plan, window)];
  const direction = toDirection(plan, window);
  const ordered = own.orderBy("id", direction);
  const { after } = window;
  if (after === undefined) return [ordered];
  const value = group[column];
  if (value === after.value) return [ordered.where("id", toComparison(direction), after.id)];
  const isAhead = direction === "asc" ? value > after.value : value < after.value;
  return isAhead ? [ordered] : [];
}

/** Rows in the order of an index, from the window's start on. */
function toRange(query: Query, plan: ListPlan, window: ListWindow): Query {
  const direction = toDirection(plan, window);
  const { column } = plan;
  const { after } = window;
  if (column === "name") {
    // Names are unique: a tie-breaker would only keep the index from being used.
    const started = after ? query.where("name", toComparison(direction), String(after.value)) : query;
    return started.orderBy("name", direction);
  }
  const started = after ? query.where(afterRow(sql.ref(column), direction, after)) : query;
  return started.orderBy(column, direction).orderBy("id", direction);
}

/** Ranges that are each in order, as one that is: only as many rows of each are read as it may need. */
function merge(reader: Reader, plan: ListPlan, window: ColumnWindow, ranges: readonly Query[]): Query {
  const { offset, limit } = window;
  const columns = toColumns(plan, window);
  const parts = ranges.map((range, index) =>
    reader.selectFrom(range.limit(offset + limit).as(`part_${index}`)).select(columns),
  );
  const [first, ...others] = parts as [(typeof parts)[number], ...typeof parts];
  const all = others.reduce((query, part) => query.unionAll(part), first);
  const direction = toDirection(plan, window);
  const merged = reader.selectFrom(all.as("merged")).select(columns).orderBy(plan.column, direction);
  const ordered = plan.column === "name" ? merged : merged.orderBy("id", direction);
  return ordered.limit(limit).offset(offset) as unknown as Query;
}

function fromFrontdoor(reader: Reader, plan: ListPlan, window: Partial<ColumnWindow> = {}): Query {
  const all = reader.selectFrom("auth_providers").select(toColumns(plan, window));
  return all.where("frontdoor_id", "=", plan.frontdoorId) as unknown as Query;
}

function wherePrefix(query: Query, { namePrefix }: ListPlan): Query {
  if (namePrefix === "") return query;
  const from = query.where("name", ">=", namePrefix);
  const end = toPrefixEnd(namePrefix);
  return end === undefined ? from : from.where("name", "<", end);
}

/** By condition, not by range: few rows are left to ask. */
function whereGroups(query: Query, { isFiltered, groups }: ListPlan): Query {
  if (!isFiltered) return query;
  return query.where((eb) =>
    eb.or(groups.map(({ type, enabled }) => eb.and([eb("type", "=", type), eb("enabled", "=", enabled)]))),
  );
}

function afterRow(key: RawBuilder<unknown>, direction: Direction, { value, id }: ListPosition) {
  return sql<boolean>`(${key}, id) ${sql.raw(toComparison(direction))} (${value}, ${id})`;
}

type Direction = "asc" | "desc";

function toComparison(direction: Direction): ">" | "<" {
  return direction === "asc" ? ">" : "<";
}

function toDirection({ descending }: ListPlan, { reversed = false }: ListWindow): Direction {
  return descending !== reversed ? "desc" : "asc";
}

/** The least text after all that begin with the prefix, by code point; undefined if there is none. */
function toPrefixEnd(prefix: string): string | undefined {
  const points = [...prefix].map((character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop();
  if (last === undefined) return undefined;
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
}

function toListed(row: Row, column: SortColumn): ListedProvider {
  const { id, name, type, enabled } = row;
  return {
    provider: { id, name, type: type as ProviderTypeName, enabled: enabled === 1 },
    position: { value: row[column], id },
  };
}
