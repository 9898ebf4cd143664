import { expect, it } from "vitest";
import type { PersonalToken } from "./personal-token.ts";
import { searchTokens, type TokenQuery } from "./search.ts";

function token(id: string, title: string, day: number, usedDay?: number): PersonalToken {
  const at = (of: number) => new Date(Date.UTC(2027, 0, of));
  return {
    id,
    userId: "u",
    orgId: "o",
    title,
    scope: { role: "viewer" },
    metadata: {},
    createdAt: at(day),
    updatedAt: at(day),
    ...(usedDay !== undefined && { lastUsedAt: at(usedDay) }),
    expiresAt: at(day + 30),
  };
}

/** Newest first, as they come from the store. */
const all = [token("c", "deploy", 3, 5), token("b", "Backup", 2), token("a", "CI deploy", 1, 9)];

const none: TokenQuery = { filters: [], groupBy: [], offset: 0, limit: 0, search: "", sort: [] };

function find(query: Partial<TokenQuery>): string {
  return searchTokens(all, { ...none, ...query })
    .tokens.map(({ id }) => id)
    .join("");
}

function filter(name: string, operator: string, value?: string) {
  const given = value === undefined ? { case: undefined } : { case: "stringValue", value };
  return { filters: [{ name, operator, value: given }] };
}

it("answers all, newest first, and counts them", () => {
  expect(searchTokens(all, undefined)).toEqual({ tokens: all, offset: 0, limit: 50, totalCount: 3 });
});

it("answers a part, and counts what there is of which it is one", () => {
  const { tokens, ...page } = searchTokens(all, { ...none, search: "DEPLOY", offset: 1, limit: 1 });
  expect(tokens.map(({ id }) => id)).toEqual(["a"]);
  expect(page).toEqual({ offset: 1, limit: 1, totalCount: 2 });
  expect(find({ offset: 3 })).toBe("");
  expect(find({ offset: 4_294_967_295, limit: 5000 })).toBe("");
});

it.each([
  ["title", "asc", "bac"],
  ["title", "desc", "cab"],
  ["created_at", "asc", "abc"],
  ["used_at", "asc", "bca"],
  ["used_at", "desc", "acb"],
  ["regenerated_at", "asc", "cba"],
])("orders by %s %s", (name, order, expected) => {
  expect(find({ sort: [{ name, order }] })).toBe(expected);
});

it.each([
  ["title", "eq", "backup", "b"],
  ["title", "neq", "backup", "ca"],
  ["title", "like", "DEP", "ca"],
  ["title", "notlike", "dep", "b"],
  ["used_at", "empty", undefined, "b"],
  ["used_at", "notempty", undefined, "ca"],
  ["created_at", "gt", "2027-01-02T00:00:00Z", "c"],
  ["created_at", "gte", "2027-01-02T00:00:00Z", "cb"],
  ["created_at", "lt", "2027-01-02T00:00:00.000Z", "a"],
  ["created_at", "lte", "2027-01-02T01:00:00+01:00", "ba"],
  ["created_at", "eq", "2027-01-02T00:00:00Z", "b"],
  ["used_at", "neq", "2027-01-05T00:00:00Z", "a"],
])("keeps what meets a condition: %s %s %s", (name, operator, value, expected) => {
  expect(find(filter(name, operator, value))).toBe(expected);
});

it.each([
  ["query.group_by", { groupBy: ["title"] }],
  ["query.sort[0].name", { sort: [{ name: "scopes", order: "asc" }] }],
  ["query.sort[0].name", { sort: [{ name: "constructor", order: "asc" }] }],
  ["query.filters[0].name", filter("secret_hash", "eq", "x")],
  ["query.filters[0].operator", filter("title", "gt", "x")],
  ["query.filters[0].operator", filter("expires_at", "like", "2027")],
  ["query.filters[0].operator", filter("title", "toString", "x")],
  ["query.filters[0].string_value", filter("title", "eq")],
  ["query.filters[0].string_value", filter("expires_at", "gt", "tomorrow")],
  ["query.filters[0].string_value", filter("expires_at", "gt", "2027-13-01T00:00:00Z")],
])("refuses what it does not understand, naming %s", (field, query) => {
  expect(() => find(query)).toThrow(
    expect.objectContaining({ reason: "INVALID_REQUEST", violations: [expect.objectContaining({ field })] }),
  );
});
