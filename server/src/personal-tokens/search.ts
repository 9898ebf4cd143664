/**
 * Searching, filtering and ordering a person's tokens, as Frontier's tables ask
 * for it. There are so few of them that all are at hand; whatever is asked and
 * not understood is refused, for an answer to another question would be wrong.
 */
import { invalidField } from "../lib/invalid-request.ts";
import type { PersonalToken } from "./personal-token.ts";

/** What is asked for, as `vestibule.v1.RQLRequest` says it. */
export interface TokenQuery {
  readonly filters: readonly TokenFilter[];
  readonly groupBy: readonly string[];
  readonly offset: number;
  /** 0 for {@link defaultLimit}. */
  readonly limit: number;
  readonly search: string;
  readonly sort: readonly TokenOrder[];
}

interface TokenFilter {
  readonly name: string;
  readonly operator: string;
  readonly value: { readonly case?: string | undefined; readonly value?: unknown };
}

interface TokenOrder {
  readonly name: string;
  /** `asc` or `desc`. */
  readonly order: string;
}

/** A page of a list, and of how many it is one. */
export interface FoundTokens {
  readonly tokens: readonly PersonalToken[];
  readonly offset: number;
  readonly limit: number;
  readonly totalCount: number;
}

const defaultLimit = 50;

/** A value that tokens are told apart by: a text in lower case, or an instant in milliseconds; undefined for none. */
type Value = string | number | undefined;

/** A field, of texts or of instants. */
interface Field {
  readonly isInstant: boolean;
  readonly read: (token: PersonalToken) => Value;
}

function text(of: (token: PersonalToken) => string): Field {
  return { isInstant: false, read: (token) => of(token).toLowerCase() };
}

function instant(of: (token: PersonalToken) => Date | undefined): Field {
  return { isInstant: true, read: (token) => of(token)?.getTime() };
}

const fields: ReadonlyMap<string, Field> = new Map(
  Object.entries({
    id: text(({ id }) => id),
    title: text(({ title }) => title),
    expires_at: instant(({ expiresAt }) => expiresAt),
    used_at: instant(({ lastUsedAt }) => lastUsedAt),
    created_at: instant(({ createdAt }) => createdAt),
    updated_at: instant(({ updatedAt }) => updatedAt),
    regenerated_at: instant(({ regeneratedAt }) => regeneratedAt),
  }),
);

/** What holds of a value without another to compare it with. */
const alone = new Map<string, (value: Value) => boolean>([
  ["empty", (value) => value === undefined || value === ""],
  ["notempty", (value) => value !== undefined && value !== ""],
]);

/** What holds of two texts. */
const ofTexts = new Map<string, (value: string, other: string) => boolean>([
  ["eq", (value, other) => value === other],
  ["neq", (value, other) => value !== other],
  ["like", (value, other) => value.includes(other)],
  ["notlike", (value, other) => !value.includes(other)],
]);

/** What holds of two instants; of one that never was nothing does. */
const ofInstants = new Map<string, (value: number, other: number) => boolean>([
  ["eq", (value, other) => value === other],
  ["neq", (value, other) => value !== other],
  ["gt", (value, other) => value > other],
  ["gte", (value, other) => value >= other],
  ["lt", (value, other) => value < other],
  ["lte", (value, other) => value <= other],
]);

/** @param all newest first @throws DomainError INVALID_REQUEST naming what is not supported */
export function searchTokens(all: readonly PersonalToken[], query: TokenQuery | undefined): FoundTokens {
  const { filters = [], groupBy = [], offset = 0, limit = 0, search = "", sort = [] } = query ?? {};
  if (groupBy.length > 0) throw invalidField("query.group_by", "is not supported: leave it out");
  const conditions = filters.map(toCondition);
  const order = sort.map(toOrder);
  const part = search.trim().toLowerCase();
  const matching = all
    .filter(({ title }) => title.toLowerCase().includes(part))
    .filter((token) => conditions.every((holds) => holds(token)))
    // Sorting is stable: what no order decides stays newest first.
    .toSorted((one, other) => order.reduce((decided, compare) => decided || compare(one, other), 0));
  const size = limit || defaultLimit;
  return {
    tokens: matching.slice(offset, offset + size),
    offset,
    limit: size,
    totalCount: matching.length,
  };
}

function getField(path: string, name: string): Field {
  const field = fields.get(name);
  if (field === undefined) throw invalidField(path, `must be one of ${[...fields.keys()].join(", ")}`);
  return field;
}

function toCondition(
  { name, operator, value }: TokenFilter,
  index: number,
): (token: PersonalToken) => boolean {
  const path = `query.filters[${index}]`;
  const { isInstant, read } = getField(`${path}.name`, name);
  const holdsAlone = alone.get(operator);
  if (holdsAlone !== undefined) return (token) => holdsAlone(read(token));
  const known = isInstant ? ofInstants : ofTexts;
  if (!known.has(operator)) {
    throw invalidField(`${path}.operator`, `must be one of ${[...known.keys(), ...alone.keys()].join(", ")}`);
  }
  const given = value.case === "stringValue" ? value.value : undefined;
  if (typeof given !== "string") throw invalidField(`${path}.string_value`, "must be given");
  const other = isInstant ? readInstant(`${path}.string_value`, given) : given.toLowerCase();
  return (token) => holds(operator, read(token), other);
}

function holds(operator: string, value: Value, other: string | number): boolean {
  if (typeof other === "string") return ofTexts.get(operator)?.(String(value ?? ""), other) ?? false;
  return typeof value === "number" && (ofInstants.get(operator)?.(value, other) ?? false);
}

/** RFC 3339, as browsers write it. */
const instantPattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

function readInstant(path: string, given: string): number {
  const ms = instantPattern.test(given) ? Date.parse(given) : Number.NaN;
  if (Number.isNaN(ms)) throw invalidField(path, "must be an instant such as 2027-01-31T00:00:00Z");
  return ms;
}

function toOrder({ name, order }: TokenOrder, index: number) {
  const { read } = getField(`query.sort[${index}].name`, name);
  const sign = order === "desc" ? -1 : 1;
  return (one: PersonalToken, other: PersonalToken) => sign * compare(read(one), read(other));
}

/** What never was comes first. */
function compare(one: Value, other: Value): number {
  if (one === other) return 0;
  if (one === undefined) return -1;
  if (other === undefined) return 1;
  return one < other ? -1 : 1;
}
