import { CompiledQuery, sql } from "kysely";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import type { Principal } from "../principals/principal.ts";
import { findRecords, type RecordFilter } from "./query-store.ts";
import type { AuditRecord } from "./record.ts";
import { AuditRetention } from "./retention.ts";
import { AuditService, type AuditServiceOptions, type RecordQuery, type TailEvent } from "./service.ts";
import { insertRecords, toRow } from "./store.ts";
import { countRecords, testMailboxes } from "./test-support.ts";
import { DatabaseAuditTrail } from "./trail.ts";

const superuser: Principal = {
  type: "serviceuser",
  id: "su-super",
  orgId: "o-default",
  role: "owner",
  superuser: true,
  authVia: "client_credentials",
  credentialKind: "client_secret",
  credentialId: "c-super",
};
const manager: Principal = {
  ...superuser,
  id: "su-manager",
  superuser: false,
  role: "manager",
  orgId: "o-1",
};
const viewer: Principal = { ...manager, id: "su-viewer", role: "viewer" };

const any: RecordQuery = { org: "", actorId: "", targetId: "", action: "", result: "", requestId: "" };
const start = Date.UTC(2027, 0, 1);

const access: AuditServiceOptions["access"] = {
  require: async (caller, org, need) => {
    const isAllowed = caller.type === "serviceuser" && caller.orgId === org && caller.role !== "viewer";
    if (!isAllowed && need.role === "manager") throw new DomainError("NOT_AUTHORIZED");
    return { organization: { id: org } };
  },
};

function makeRecord(index: number, record: Partial<AuditRecord> = {}): AuditRecord {
  const at = new Date(start + index * 1000);
  return {
    id: newId(at),
    at,
    action: "thing.do",
    result: "success",
    details: { index: String(index) },
    ...record,
  };
}

/** Who is to be told of a doubt. */
const doubters = new Set<() => void>();
const onDoubt = (listener: () => void) => {
  doubters.add(listener);
  return () => doubters.delete(listener);
};
const doubt = () => {
  for (const each of doubters) each();
};

describeDatabases("reading the audit trail", (under) => {
  let service: AuditService;
  const createService = (options: Partial<AuditServiceOptions> = {}) =>
    new AuditService({
      clock: { now: () => new Date(start) },
      retentionSeconds: 90 * 86_400,
      reader: under.database.reader,
      access,
      findTenant: async (orgId) => orgId,
      mailboxes: testMailboxes,
      onCommitted: () => () => {},
      onDoubt,
      ...options,
    });
  const insert = (records: readonly AuditRecord[]) =>
    under.database.transaction((tx) => insertRecords(tx, records.map(toRow)));

  beforeAll(async () => {
    service = createService();
    await insert([
      ...Array.from({ length: 100 }, (_, index) =>
        makeRecord(index, {
          orgId: index % 10 === 0 ? "o-2" : "o-1",
          actor: { type: "serviceuser", id: index % 2 === 0 ? "even" : "odd" },
          target: { type: "credential", id: `c-${index % 5}` },
          action: index % 25 === 0 ? "thing.refuse" : "thing.do",
          result: index % 25 === 0 ? "refused" : "success",
          requestId: `r-${index}`,
        }),
      ),
      makeRecord(100),
    ]);
  });

  async function listAll(
    query: Partial<RecordQuery>,
    options: { size?: number; startAt?: Date; endAt?: Date; from?: AuditService; caller?: Principal } = {},
  ) {
    const pages: number[][] = [];
    let token = "";
    do {
      const page = { size: options.size ?? 200, token };
      const { items, nextPageToken } = await (options.from ?? service).list(
        options.caller ?? superuser,
        { ...any, ...query },
        options,
        page,
      );
      pages.push(items.map(({ details }) => Number(details.index)));
      token = nextPageToken;
    } while (token !== "");
    return { pages, all: pages.flat() };
  }
  const numbers = (test: (index: number) => boolean, to = 99) =>
    Array.from({ length: to + 1 }, (_, index) => to - index).filter(test);

  it.each<[string, Partial<RecordQuery>, (index: number) => boolean]>([
    ["everything but what belongs to no organization", { org: "o-1" }, (index) => index % 10 !== 0],
    ["an actor", { actorId: "odd" }, (index) => index % 2 === 1],
    ["a target", { targetId: "c-3" }, (index) => index % 5 === 3],
    ["an action", { action: "thing.refuse" }, (index) => index % 25 === 0],
    ["a result", { result: "refused" }, (index) => index % 25 === 0],
    ["a request", { requestId: "r-7" }, (index) => index === 7],
    [
      "an action in an organization",
      { org: "o-1", action: "thing.refuse" },
      (index) => index === 25 || index === 75,
    ],
    [
      "everything together",
      {
        org: "o-1",
        actorId: "odd",
        targetId: "c-0",
        action: "thing.refuse",
        result: "refused",
        requestId: "r-25",
      },
      (index) => index === 25,
    ],
    ["something that is not there", { actorId: "nobody" }, () => false],
  ])("filters by %s, newest first, on pages of any size", async (_, query, test) => {
    // An organization's name is resolved by its access rules; the id of a superuser's query must be a UUID.
    const caller = query.org === undefined ? superuser : manager;
    const expected = numbers(test);
    for (const size of [1, 7, 200]) expect((await listAll(query, { size, caller })).all).toEqual(expected);
  });

  it("holds a span's start, not its end", async () => {
    const span = { startAt: new Date(start + 10_000), endAt: new Date(start + 12_000) };
    expect((await listAll({ actorId: "even" }, span)).all).toEqual([10]);
    expect((await listAll({}, { ...span, size: 1 })).all).toEqual([11, 10]);
  });

  it("looks at so many rows a call, and still finds all", async () => {
    const frugal = createService({ rowsPerRead: 10 });
    const { pages, all } = await listAll({ action: "thing.refuse" }, { from: frugal, size: 5 });
    expect(all).toEqual([75, 50, 25, 0]);
    expect(pages.length).toBe(11);
    expect(pages.some((page) => page.length === 0)).toBe(true);
  });

  it("says which records are whose", async () => {
    const first = { size: 1, token: "" };
    const list = (caller: Principal, org: string) => service.list(caller, { ...any, org }, {}, first);
    await expect(list(viewer, "o-1")).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
    await expect(list(manager, "o-2")).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
    await expect(list(manager, "")).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
    expect((await list(manager, "o-1")).items).toHaveLength(1);
    expect((await list(superuser, "")).items).toMatchObject([{ details: { index: "100" } }]);
  });

  it("takes a page token with its own filters only", async () => {
    const { nextPageToken: token } = await service.list(superuser, any, {}, { size: 1, token: "" });
    const other = service.list(superuser, { ...any, actorId: "odd" }, {}, { size: 1, token });
    await expect(other).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
    await expect(service.list(superuser, any, {}, { size: 1, token: "x" })).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
    });
  });

  it.each<[string, RecordFilter]>([
    ["audit_records_at", {}],
    ["audit_records_org_id", { orgId: "x" }],
    ["audit_records_org_id_action", { orgId: "x", action: "y" }],
    ["audit_records_org_id", { orgId: "x", action: "token.issue" }],
    ["audit_records_actor_id", { actorId: "x", orgId: "y" }],
    ["audit_records_target_id", { targetId: "x", orgId: "y", action: "z" }],
    ["audit_records_request_id", { requestId: "x" }],
  ])("finds by an index whatever is asked: %s for %j", async (index, filter) => {
    if (under.dialect !== "sqlite") return expect(under.dialect).toBe("postgres");
    const { reader } = under.database;
    const asked: CompiledQuery[] = [];
    const watched = reader.withPlugin({
      transformQuery: ({ node, queryId }) => {
        asked.push(reader.getExecutor().compileQuery(node, queryId));
        return node;
      },
      transformResult: async ({ result }) => result,
    });
    await findRecords(watched, filter, { before: { atMs: start, seq: 1 } }, { limit: 50, budget: 10 });
    expect(asked.length).toBeGreaterThan(0);
    for (const { sql, parameters } of asked) {
      const explained = CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]);
      const { rows } = await reader.executeQuery<{ detail: string }>(explained);
      expect(rows.map(({ detail }) => detail)).toEqual([expect.stringContaining(`INDEX ${index} (`)]);
    }
  });

  it("finds issued tokens, which the index by action leaves out, and those of other actions", async () => {
    const orgId = newId(new Date(start));
    const actions = ["token.issue", "token.issue", "token.revoke"];
    await insert(actions.map((action, index) => makeRecord(1000 + index, { orgId, action })));
    for (const [action, count] of [
      ["token.issue", 2],
      ["token.revoke", 1],
      ["", 3],
    ] as const) {
      const { items } = await service.list(
        superuser,
        { ...any, org: orgId, action },
        {},
        { size: 10, token: "" },
      );
      expect(items, action).toHaveLength(count);
    }
  });

  describe("as it comes", () => {
    const open: AbortController[] = [];
    const trails: DatabaseAuditTrail[] = [];
    afterEach(async () => {
      for (const each of open.splice(0)) each.abort();
      for (const each of trails.splice(0)) await each.close();
    });

    function tail(
      from: AuditService,
      options: {
        query?: Partial<RecordQuery>;
        resumeToken?: string;
        caller?: Principal;
        authenticate?: () => Promise<Principal>;
      } = {},
    ) {
      const stop = new AbortController();
      open.push(stop);
      const events = from.tail(
        options.caller ?? superuser,
        { ...any, ...options.query },
        {
          resumeToken: options.resumeToken ?? "",
          authenticate: options.authenticate ?? (async () => superuser),
          signal: stop.signal,
        },
      );
      return { events, stop: () => stop.abort() };
    }
    const read = async (events: AsyncGenerator<TailEvent>, count: number) => {
      const read: TailEvent[] = [];
      while (read.length < count) read.push((await events.next()).value);
      return read;
    };
    const indexes = (events: readonly TailEvent[]) =>
      events.map(({ record }) => Number(record?.details.index));

    it("begins with now, tells of each record in its order, and resumes after any of them", async () => {
      const { events } = tail(service);
      const [hello] = await read(events, 1);
      expect(hello?.record).toBeUndefined();
      await insert([1, 2, 3].map((index) => makeRecord(1000 + index)));
      const seen = await read(events, 3);
      expect(indexes(seen)).toEqual([1001, 1002, 1003]);

      const again = tail(service, { resumeToken: seen[0]?.resumeToken ?? "" });
      expect(indexes(await read(again.events, 3))).toEqual([Number.NaN, 1002, 1003]);
    });

    it("ends, and is not resumed, after a record that a restored database does not hold", async () => {
      const live = tail(createService({ pollEveryMs: 5 }), { query: { action: "lost.do" } });
      await read(live.events, 1);
      await insert([makeRecord(3000, { action: "lost.do" })]);
      const [seen] = await read(live.events, 1);
      const ended = expect(live.events.next()).rejects.toMatchObject({ reason: "RECORD_LOST" });
      const { database } = under;
      const { seq, xact } = await database.reader
        .selectFrom("audit_records")
        .select(["seq", "xact"])
        .where("id", "=", seen?.record?.id ?? "")
        .executeTakeFirstOrThrow();
      const remove = () => database.reader.deleteFrom("audit_records").where("seq", "=", seq).execute();
      await remove();
      await ended;
      const resumed = () =>
        tail(service, { query: { action: "lost.do" }, resumeToken: seen?.resumeToken ?? "" });
      await expect(resumed().events.next()).rejects.toMatchObject({ reason: "RECORD_LOST" });
      // Another one has got its place.
      const { id, at } = makeRecord(3000);
      await database.transaction((tx) =>
        sql`insert into audit_records (seq, xact, id, at, action, result) ${sql.raw(
          under.dialect === "postgres" ? "overriding system value" : "",
        )} values (${seq}, ${xact}, ${id}, ${at.getTime()}, 'lost.do', 'success')`.execute(tx),
      );
      await expect(resumed().events.next()).rejects.toMatchObject({ reason: "RECORD_LOST" });
      await remove();
      // What was kept for long enough may be missing.
      const later = createService({ clock: { now: () => new Date(start + 3000_000 + 90 * 86_400_000) } });
      const again = tail(later, { query: { action: "lost.do" }, resumeToken: seen?.resumeToken ?? "" });
      expect(await read(again.events, 1)).toHaveLength(1);
    });

    it("hears of its own process's commits without a poll", async () => {
      const trail = new DatabaseAuditTrail({
        database: under.database,
        clock: { now: () => new Date(start) },
        log: silentLog,
        mailboxes: testMailboxes,
      });
      trails.push(trail);
      const patient = createService({
        pollEveryMs: 3_600_000,
        onCommitted: (listener) => trail.onCommitted(listener),
      });
      const { events } = tail(patient, { query: { action: "encryption_key.retire" } });
      await read(events, 1);
      const next = read(events, 1);
      const retire = (target: string) =>
        under.database.transaction((tx) =>
          trail.recordOwn(tx, "server", {
            action: "encryption_key.retire",
            target,
            details: { successor_id: "k-9" },
          }),
        );
      await retire("k-1");
      // Postgres lets a reader go on once every older transaction has ended, of other databases too:
      // the commits that follow wake it again.
      const later = setInterval(() => void retire("k-2"), 200);
      try {
        expect(await next).toMatchObject([{ record: { target: { type: "encryption-key", id: "k-1" } } }]);
      } finally {
        clearInterval(later);
      }
    });

    it("filters, however many others there are", async () => {
      const { events } = tail(createService({ rowsPerRead: 10 }), { query: { targetId: "mine" } });
      await read(events, 1);
      await insert([
        ...Array.from({ length: 95 }, (_, index) => makeRecord(2000 + index)),
        makeRecord(2100, { target: { type: "credential", id: "mine" } }),
      ]);
      expect(indexes(await read(events, 1))).toEqual([2100]);
    });

    it("shows that it is alive", async () => {
      const { events } = tail(createService({ heartbeatMs: 1, pollEveryMs: 5 }), {
        query: { actorId: "nobody" },
      });
      const seen = await read(events, 3);
      expect(seen.every(({ record, resumeToken }) => record === undefined && resumeToken !== "")).toBe(true);
    });

    it("ends when the server stops, and when its caller is no longer let in", async () => {
      const { events, stop } = tail(service);
      await read(events, 1);
      const next = events.next();
      stop();
      await expect(next).rejects.toMatchObject({ reason: "UNAVAILABLE" });

      let isGood = true;
      const revoked = tail(service, {
        authenticate: async () => {
          if (isGood) return superuser;
          throw new DomainError("NOT_AUTHENTICATED");
        },
      });
      await read(revoked.events, 1);
      isGood = false;
      doubt();
      await expect(revoked.events.next()).rejects.toMatchObject({ reason: "NOT_AUTHENTICATED" });
    });

    it("opens no more than so many", async () => {
      const strict = createService({ maxStreamsPerCaller: 1, maxStreams: 2 });
      const first = tail(strict);
      await read(first.events, 1);
      await expect(tail(strict).events.next()).rejects.toMatchObject({ reason: "TOO_MANY_STREAMS" });
      const second = tail(strict, { caller: { ...superuser, id: "su-second" } });
      await read(second.events, 1);
      const third = tail(strict, { caller: manager, query: { org: "o-1" } });
      await expect(third.events.next()).rejects.toMatchObject({ reason: "TOO_MANY_STREAMS" });
      await first.events.return(undefined);
      expect(await read(tail(strict).events, 1)).toHaveLength(1);
    });

    it("lets no tenant use up all: the largest gives up its oldest stream, to be resumed", async () => {
      const shared = createService({
        maxStreams: 10,
        findTenant: async (orgId) => (orgId === "o-2" ? "other" : "greedy"),
      });
      const follow = (org: string, id: string, resumeToken = "") => {
        const caller: Principal = { ...manager, id, orgId: org };
        return tail(shared, { caller, authenticate: async () => caller, query: { org }, resumeToken });
      };
      const greedy = [];
      for (let made = 0; made < 9; made += 1) greedy.push(follow(`o-1${made % 3}`, `greedy-${made}`));
      const [token] = await Promise.all(
        greedy.map(async ({ events }) => (await read(events, 1))[0]?.resumeToken),
      );
      await expect(follow("o-10", "one-more").events.next()).rejects.toMatchObject({
        reason: "TOO_MANY_STREAMS",
      });
      const oldest = expect(greedy[0]?.events.next()).rejects.toMatchObject({
        reason: "STREAM_DISPLACED",
        kind: "resource_exhausted",
        message: expect.stringContaining("resume_token"),
      });
      expect(await read(follow("o-2", "other").events, 1)).toHaveLength(1);
      await oldest;
      // A share is the superusers', whom nobody pushes out.
      expect(await read(tail(shared).events, 1)).toHaveLength(1);
      await greedy[1]?.events.return(undefined);
      const resumed = await read(follow("o-10", "greedy-0", token).events, 1);
      expect(resumed[0]?.resumeToken).toBe(token);
    });

    it.each(["x", "W10"])("refuses %s as a place to resume from", async (resumeToken) => {
      await expect(tail(service, { resumeToken }).events.next()).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
        violations: [{ field: "resume_token", description: expect.any(String) }],
      });
    });

    it("misses nothing of writers at once, in processes of their own", async () => {
      const writers = [under.database, await under.openAnother(), await under.openAnother()];
      const { events } = tail(createService({ pollEveryMs: 5 }), { query: { action: "race.do" } });
      await read(events, 1);
      const write = async (writer: number) => {
        for (let index = 0; index < 20; index += 1) {
          const record = makeRecord(writer * 1000 + index, { action: "race.do" });
          // On Postgres some transactions stay open for a while after they have written.
          await writers[writer]?.transaction(async (tx) => {
            await insertRecords(tx, [toRow(record)]);
            for (let turn = 0; turn < (index % 5) * 5; turn += 1) await countRecords(tx);
          });
        }
      };
      const seen = read(events, 60);
      await Promise.all([0, 1, 2].map(write));
      const found = indexes(await seen);
      expect(new Set(found).size).toBe(60);
      for (const writer of [0, 1, 2]) {
        const own = found.filter((index) => Math.floor(index / 1000) === writer);
        expect(own).toEqual(own.toSorted((a, b) => a - b));
      }
    });
  });
});

describeDatabases("retention of the audit trail", (under) => {
  it("removes what is older, in batches, and keeps the rest", async () => {
    await under.database.transaction((tx) =>
      insertRecords(
        tx,
        Array.from({ length: 60 }, (_, index) => toRow(makeRecord(index))),
      ),
    );
    const now = new Date(start + 100_000);
    const retention = new AuditRetention({
      database: under.database,
      clock: { now: () => now },
      log: silentLog,
      retentionSeconds: 50,
    });
    await retention.sweep();
    const rows = await under.database.reader.selectFrom("audit_records").select("at").orderBy("at").execute();
    expect(rows.map(({ at }) => (at - start) / 1000)).toEqual([50, 51, 52, 53, 54, 55, 56, 57, 58, 59]);
    await retention.close();
  });
});
