import { sql } from "kysely";
import { beforeAll, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import type { AuthProviderRow } from "../../db/schema.ts";
import type { Caller } from "../../principals/principal.ts";
import { createRoom, type TestRoom, toMachine } from "../test-support.ts";
import type { ProviderQuery } from "./list.ts";
import { findListState, findWindow, type ListPlan, type SortColumn } from "./list-store.ts";

const columns: readonly SortColumn[] = ["name", "type", "enabled", "created_at", "updated_at"];
const types = ["VESTIBULE", "API_KEY", "OIDC"] as const;

/** By code point: the order of both databases. */
function compare(one: string | number, other: string | number): number {
  if (typeof one === "number" || typeof other === "number") return Number(one) - Number(other);
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

describeDatabases("lists of providers", (under) => {
  let room: TestRoom;
  let caller: Caller;
  let frontdoorId: string;
  let rows: AuthProviderRow[];

  beforeAll(async () => {
    room = createRoom(under.database);
    caller = toMachine(await room.createOrganization(), "manager");
    frontdoorId = (await room.frontdoors.create(caller, "", "")).id;
    const data = (type: (typeof types)[number]) =>
      type === "OIDC" ? { issuer: "https://idp.example.com", clientId: "c" } : {};
    const names = ["b", "B", "ab", "a", "á", "aé", "ﬁ", "😀", "\ud7ff", "\ue9ff", "z"];
    for (let index = 0; index < 33; index++) {
      const type = types[index % 3] ?? "OIDC";
      const base = names[index % names.length];
      const name = index < names.length ? `${base}` : `${base}${index}`;
      // Several in one instant, so that ids decide.
      if (index % 4 === 0) room.context.pass(1);
      const draft = { name, type, enabled: index % 5 !== 0, data: data(type) };
      await room.providers.create(caller, frontdoorId, draft).catch(() => undefined);
    }
    const { reader } = under.database;
    const stored = reader.selectFrom("auth_providers").selectAll().where("frontdoor_id", "=", frontdoorId);
    for (const { id } of (await stored.execute()).filter((_, index) => index % 6 === 0)) {
      room.context.pass(1);
      await room.providers.update(caller, { frontdoorId, id }, { enabled: false });
      await room.providers.update(caller, { frontdoorId, id }, { enabled: true });
    }
    rows = await stored.execute();
    expect(rows.length).toBeGreaterThan(25);
    // Another frontdoor's do not show.
    const other = await room.frontdoors.create(caller, "", "");
    await room.providers.create(caller, other.id, { name: "a", type: "VESTIBULE", enabled: true, data: {} });
  });

  const base: ProviderQuery = { page: 0, size: 20, column: "name", descending: false, type: "", name: "" };

  function expected({ type, enabled, name, column, descending }: ProviderQuery): string[] {
    return rows
      .filter((row) => type === "" || row.type === type)
      .filter((row) => enabled === undefined || (row.enabled === 1) === enabled)
      .filter((row) => row.name.startsWith(name.normalize("NFC")))
      .toSorted((one, other) => compare(one[column], other[column]) || compare(one.id, other.id))
      .map(({ id }) => id)
      [descending ? "toReversed" : "slice"]();
  }

  const queries = columns.flatMap((column) =>
    [false, true].flatMap((descending) =>
      ["", "OIDC"].flatMap((type) =>
        [undefined, true, false].flatMap((enabled) =>
          ["", "a"].map((name) => ({
            ...base,
            column,
            descending,
            type,
            name,
            ...(enabled !== undefined && { enabled }),
          })),
        ),
      ),
    ),
  );

  it("are exact by number: every page of every order and filter", async () => {
    for (const query of queries) {
      const ids = expected(query);
      for (const size of [6, 200]) {
        const pages = Math.ceil(ids.length / size);
        const seen: string[] = [];
        for (let page = 0; page <= pages; page++) {
          const answer = await room.lists.list(caller, frontdoorId, { ...query, size, page });
          expect(answer).toMatchObject({ totalElements: ids.length, totalPages: pages, page });
          expect(answer).not.toHaveProperty("nextPageToken");
          seen.push(...answer.items.map(({ id }) => id));
        }
        expect(seen, JSON.stringify(query)).toEqual(ids);
      }
    }
  });

  it.each([
    ["a prefix in another normal form", { name: "a\u0301" }, 1],
    ["a prefix that nothing has", { name: "zzz" }, 0],
    ["a type that nothing has", { type: "GITHUB" }, 0],
    ["a prefix at the end of all names", { name: "\u{10ffff}" }, 0],
  ])("take %s", async (_, filter, least) => {
    const query = { ...base, ...filter };
    const { items, totalElements } = await room.lists.list(caller, frontdoorId, query);
    expect(items.map(({ id }) => id)).toEqual(expected(query));
    expect(totalElements).toBeGreaterThanOrEqual(least);
    expect((await room.lists.list(caller, frontdoorId, { ...query, pageToken: "" })).items).toEqual(items);
  });

  it("are exact by cursor", async () => {
    for (const query of queries) {
      const ids = expected(query);
      const seen: string[] = [];
      let pageToken = "";
      for (let page = 0; page === 0 || pageToken !== ""; page++) {
        const answer = await room.lists.list(caller, frontdoorId, { ...query, size: 6, pageToken });
        expect(answer).toMatchObject({ totalElements: ids.length, page });
        seen.push(...answer.items.map(({ id }) => id));
        pageToken = answer.nextPageToken ?? "";
      }
      expect(seen, JSON.stringify(query)).toEqual(ids);
    }
  });

  describe("refuse a cursor", () => {
    const refusal = { reason: "INVALID_REQUEST", violations: [{ field: "page_token" }] };
    const list = (query: Partial<ProviderQuery>) =>
      room.lists.list(caller, frontdoorId, { ...base, ...query });

    it("of another list, order, filter or size", async () => {
      const { nextPageToken: pageToken = "" } = await list({ size: 3, pageToken: "" });
      expect(pageToken).not.toBe("");
      expect((await list({ size: 3, pageToken })).items).toHaveLength(3);
      for (const other of [
        { descending: true },
        { column: "type" },
        { type: "OIDC" },
        { name: "a" },
        { size: 4 },
      ]) {
        await expect(list({ size: 3, pageToken, ...(other as object) })).rejects.toMatchObject(refusal);
      }
      await expect(list({ pageToken: "nonsense" })).rejects.toMatchObject(refusal);
      await expect(list({ size: 3, pageToken, page: 1 })).rejects.toMatchObject({
        violations: [{ field: "page" }],
      });
    });

    it("whose inside was changed", async () => {
      const { nextPageToken = "" } = await list({ size: 3, pageToken: "", column: "created_at" });
      const [check, page, , id] = JSON.parse(Buffer.from(nextPageToken, "base64url").toString());
      const forge = (...parts: unknown[]) =>
        Buffer.from(JSON.stringify([check, ...parts])).toString("base64url");
      for (const forged of [
        forge(page, "x", id),
        forge(page, 1.5, id),
        forge(page, 1, "\0"),
        forge(-1, 1, id),
        forge(page),
      ]) {
        await expect(list({ size: 3, pageToken: forged, column: "created_at" })).rejects.toMatchObject(
          refusal,
        );
      }
    });
  });

  it("read one index each, and no row besides", async () => {
    if (under.dialect === "postgres") return;
    const statements: string[] = [];
    const other = await under.openAnother({ onStatement: (text) => statements.push(text) });
    const row = rows[0] as AuthProviderRow;
    const { groups: all = [] } = (await findListState(other.reader, frontdoorId)) ?? {};
    for (const { column, descending, type, enabled, name } of queries) {
      if (name !== "") continue;
      const isFiltered = type !== "" || enabled !== undefined;
      const groups = all.filter(
        (group) =>
          (type === "" || group.type === type) &&
          (enabled === undefined || group.enabled === Number(enabled)),
      );
      const plan: ListPlan = { frontdoorId, groups, isFiltered, namePrefix: "", column, descending };
      const after = { value: row[column], id: row.id };
      await other.transaction(async (tx) => {
        await findWindow(tx, plan, { offset: 0, limit: 20 });
        await findWindow(tx, plan, { offset: 0, limit: 20, after });
      });
    }
    const lists = statements.filter((text) => text.includes("auth_providers"));
    expect(lists).toHaveLength(2 * 60);
    for (const list of lists) {
      const { rows: steps } = await sql<{ detail: string }>`${sql.raw(`explain query plan ${list}`)}`.execute(
        other.reader,
      );
      const reads = steps.map(({ detail }) => detail).filter((detail) => detail.includes("auth_providers"));
      expect(reads.length, list).toBeGreaterThan(0);
      for (const read of reads) expect(read).toMatch(/^SEARCH auth_providers USING COVERING INDEX/);
    }
  });

  it("have totals that stay exact under concurrent writes", async () => {
    const { id: door } = await room.frontdoors.create(caller, "", "");
    const create = (index: number) =>
      room.providers.create(caller, door, {
        name: `n${index % 40}`,
        type: "VESTIBULE",
        enabled: index % 2 === 0,
        data: {},
      });
    const made = await Promise.allSettled(Array.from({ length: 60 }, (_, index) => create(index)));
    const ids = made.flatMap((each) => (each.status === "fulfilled" ? [each.value.id] : []));
    expect(ids).toHaveLength(40);
    await Promise.allSettled(
      ids.flatMap((id, index) => [
        room.providers.update(caller, { frontdoorId: door, id }, { enabled: index % 3 === 0 }),
        ...(index % 4 === 0 ? [room.providers.delete(caller, { frontdoorId: door, id }, {})] : []),
      ]),
    );
    const { reader } = under.database;
    const left = await reader
      .selectFrom("auth_providers")
      .select(["type", "enabled", (eb) => eb.fn.countAll<number>().as("count")])
      .where("frontdoor_id", "=", door)
      .groupBy(["type", "enabled"])
      .orderBy("enabled")
      .execute();
    const counted = [...((await findListState(reader, door))?.groups ?? [])].toSorted(
      (one, other) => one.enabled - other.enabled,
    );
    expect(counted).toEqual(left.map((group) => ({ ...group, count: Number(group.count) })));
  });

  it("never contradict themselves: a page holds what its own totals say, whoever writes meanwhile", async () => {
    const { id: door } = await room.frontdoors.create(caller, "", "");
    let isWriting = true;
    const write = async (name: string) => {
      while (isWriting) {
        const draft = { name, type: "VESTIBULE", enabled: true, data: {} };
        const { id } = await room.providers.create(caller, door, draft);
        await room.providers.delete(caller, { frontdoorId: door, id }, {});
      }
    };
    const writers = Promise.all(["a", "b", "c", "d"].map(write));
    try {
      for (let read = 0; read < 200; read += 1) {
        for (const rest of [{}, { type: "VESTIBULE" }, { size: 2 }, { pageToken: "" }, { name: "a" }]) {
          const query = { ...base, ...rest };
          const { items, totalElements } = await room.lists.list(caller, door, query);
          expect(items, JSON.stringify(rest)).toHaveLength(Math.min(totalElements, query.size));
        }
      }
    } finally {
      isWriting = false;
      await writers;
    }
  });
});
