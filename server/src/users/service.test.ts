import { sql } from "kysely";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { gif, jpeg } from "../../../test/parts/pictures.ts";
import { expectIndexesOnly } from "../../../test/parts/query-plans.ts";
import type { AuditEvent, AuditTrail } from "../audit/audit.ts";
import { Avatars } from "../avatars/avatars.ts";
import { findHash } from "../avatars/path.ts";
import { findAvatar } from "../avatars/store.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { Database, Reader } from "../db/database.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { longestPrefix } from "../db/search-prefixes.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import type { Caller } from "../principals/principal.ts";
import { UserService } from "./service.ts";
import { findUser, findUsers, markEmailProven } from "./store.ts";
import type { User } from "./user.ts";

const request = { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} };
const base = { type: "serviceuser", orgId: "o", role: "viewer", credentialId: "c" } as const;
const proof = { authVia: "client_credentials", credentialKind: "client_secret" } as const;
const root: Caller = { principal: { ...base, ...proof, id: "root", superuser: true }, request };
const other: Caller = { principal: { ...base, ...proof, id: "other", superuser: false }, request };
const page = { size: 50, token: "" };

describeDatabases("administration of users", (under) => {
  let nowMs = Date.now();
  // Each user is made in an instant of their own, so that ids tell who is newer.
  const clock = { now: () => new Date(nowMs++) };
  let events: AuditEvent[];
  let told: string[][];
  let ended: string[];
  let users: UserService;

  function createService(database: OpenDatabase): UserService {
    const audit: AuditTrail = {
      record: async (_tx, _caller, event) => void events.push(event),
      recordOwn: async () => {},
      note: () => {},
      refuse: () => {},
    };
    return new UserService({
      database,
      feed: new ChangeFeed({ database, clock, log: silentLog }),
      audit,
      avatars: new Avatars({ clock, publicUrl: "https://id.example.com" }),
      clock,
      endSessions: async (_tx, userId) => {
        ended.push(userId);
        return [{ topic: "session", subject: `a session of ${userId}` }];
      },
      endFlows: async () => {},
      strikeOut: async () => {},
      onEmailChange: (...addresses) => void told.push(addresses),
    });
  }

  beforeAll(() => {
    users = createService(under.database);
  });
  beforeEach(() => {
    [events, told, ended] = [[], [], []];
  });

  let count = 0;
  const newEmail = () => `${(count++).toString(36)}.${newId(new Date())}@example.org`;
  const read = (id: string) => findUser(under.database.reader, id);

  describe("makes users", () => {
    it("of an address, which nobody has proven, and of what else is said", async () => {
      const email = newEmail();
      const made = await users.create(root, { email: ` ${email.toUpperCase()}`, title: "Ada" });
      expect(made).toMatchObject({ email, title: "Ada", emailProven: false, state: "enabled", metadata: {} });
      expect(made.name).toMatch(/^[a-z][a-z0-9-]{12,50}$/);
      expect(await users.get(root, made.id)).toEqual(made);
      expect(events).toEqual([{ action: "user.create", target: made.id }]);
    });

    it("once: an address or a handle that is another's is refused by Frontier's word, at whichever process", async () => {
      const email = newEmail();
      const { name } = await users.create(root, { email });
      const taken = { reason: "USER_EXISTS", kind: "already_exists" };
      const address = { ...taken, message: "already exist: the address is another user's" };
      await expect(users.create(root, { email: email.toUpperCase() })).rejects.toMatchObject(address);
      const handle = { ...taken, message: "already exist: the name is another user's" };
      await expect(users.create(root, { email: newEmail(), name })).rejects.toMatchObject(handle);

      const elsewhere = createService(await under.openAnother());
      const raced = newEmail();
      events = [];
      const makers = [users, elsewhere, users, elsewhere];
      const results = await Promise.allSettled(makers.map((each) => each.create(root, { email: raced })));
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      for (const result of results) {
        if (result.status === "rejected") expect(result.reason).toMatchObject(taken);
      }
      expect((await users.list(root, { email: raced }, page)).items).toHaveLength(1);
    });

    it.each([
      ["no address", {}],
      ["what is none", { email: "ada@@example.org" }],
      ["two of them", { email: "ada@example.org,eve@example.org" }],
    ])("not of %s", async (_name, patch) => {
      const refused = { reason: "INVALID_EMAIL", message: "Invalid email" };
      await expect(users.create(root, patch)).rejects.toMatchObject(refused);
      expect(events).toEqual([]);
    });

    it("and changes them for superusers alone", async () => {
      const { id } = await users.create(root, { email: newEmail() });
      const calls = [
        () => users.create(other, { email: newEmail() }),
        () => users.update(other, id, { title: "Mallory" }),
        () => users.list(other, { query: "a" }, page),
      ];
      for (const call of calls) await expect(call()).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
    });
  });

  describe("lets people change their own profile", () => {
    const as = ({ id, email }: User): Caller => {
      const session = { sessionId: "s", authVia: "session", credentialKind: "session" } as const;
      return {
        principal: { type: "user", id, email, emailProven: true, superuser: false, ...session },
        request,
      };
    };

    it("in what is said, and records what has changed; what has not is no change", async () => {
      const made = await users.create(root, { email: newEmail(), metadata: { team: "core" } });
      events = [];
      const patch = {
        title: "Ada \u{1f469}\u200d\u{1f4bb} Łąć 王",
        name: `ada-l-${count++}`,
        metadata: { a: [1] },
      };
      const said = { ...patch, email: ` ${made.email.toUpperCase()}` };
      const changed = await users.updateOwn(as(made), said);
      expect(changed).toEqual({ ...made, ...patch, updatedAt: expect.any(Date) });
      expect(await read(made.id)).toEqual(changed);
      const details = { changed: "metadata,name,title" };
      expect(events).toEqual([{ action: "user.update", target: made.id, details }]);
      expect(await users.updateOwn(as(made), said)).toEqual(changed);
      expect(await users.updateOwn(as(made), {})).toEqual(changed);
      expect([events.length, told, ended]).toEqual([1, [], []]);
    });

    it("by a picture, which stays what it was where its URL is said", async () => {
      const made = await users.create(root, { email: newEmail() });
      const { avatar } = await users.updateOwn(as(made), { avatar: jpeg });
      expect(avatar).toMatch(/^\/avatars\/[\w-]{43}$/);
      events = [];
      await users.updateOwn(as(made), { avatar: `https://id.example.com${avatar}` });
      await users.updateOwn(as(made), { avatar: jpeg });
      expect(events).toEqual([]);
      expect(await users.updateOwn(as(made), { avatar: "" })).toMatchObject({ avatar: "" });
      expect(await findAvatar(under.database.reader, findHash(avatar) ?? "")).toBeUndefined();
    });

    it.each([
      ["another address", { email: "eve@example.org" }],
      ["no address", { email: "" }],
      ["what is none", { email: "ada@@example.org" }],
    ])("not into %s", async (_name, patch) => {
      const made = await users.create(root, { email: newEmail() });
      const refused = { reason: "EMAIL_CHANGE_ELSEWHERE", kind: "invalid_argument" };
      const change = users.updateOwn(as(made), { ...patch, title: "Eve" });
      await expect(change).rejects.toMatchObject({
        ...refused,
        message: expect.stringMatching(/^invalid syntax in body/),
      });
      expect(await read(made.id)).toEqual(made);
    });

    it("not beyond what it may be, not once they are gone, and machines have none", async () => {
      const made = await users.create(root, { email: newEmail() });
      const text = (bytes: number) => ({ text: "x".repeat(bytes - '{"text":""}'.length) });
      await users.updateOwn(as(made), { metadata: text(16_384) });
      const before = await read(made.id);
      const large = users.updateOwn(as(made), { metadata: text(16_385), title: "Ada" });
      await expect(large).rejects.toMatchObject({ violations: [{ field: "body.metadata" }] });
      expect(await read(made.id)).toEqual(before);
      await expect(users.updateOwn(root, { title: "A" })).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
      await users.delete(root, made.id);
      const gone = { reason: "USER_NOT_FOUND" };
      await expect(users.updateOwn(as(made), { title: "A" })).rejects.toMatchObject(gone);
    });

    it("of whom one gets the handle that two want, at whichever processes they ask", async () => {
      const elsewhere = createService(await under.openAnother());
      for (let round = 0; round < 5; round++) {
        const one = await users.create(root, { email: newEmail() });
        const two = await users.create(root, { email: newEmail() });
        const name = `wanted-${count++}`;
        events = [];
        const results = await Promise.allSettled([
          users.updateOwn(as(one), { name }),
          elsewhere.updateOwn(as(two), { name }),
        ]);
        expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
        const [lost] = results.filter((result) => result.status === "rejected");
        expect(lost?.reason).toMatchObject({ reason: "USER_EXISTS" });
        const names = [await read(one.id), await read(two.id)].map((user) => user?.name);
        expect(names.filter((each) => each === name)).toHaveLength(1);
      }
    });
  });

  describe("changes users", () => {
    it("in what is said, and records what has changed; what has not is no change", async () => {
      const made = await users.create(root, { email: newEmail(), title: "Ada", metadata: { team: "core" } });
      events = [];
      const patch = { title: "Ada L.", name: `ada-${count}`, avatar: "https://example.org/a.png" };
      const changed = await users.update(root, made.id.toUpperCase(), patch);
      expect(changed).toEqual({ ...made, ...patch, updatedAt: expect.any(Date) });
      expect(await read(made.id)).toEqual(changed);
      expect(events).toEqual([
        { action: "user.update", target: made.id, details: { changed: "avatar,name,title" } },
      ]);
      const same = { ...patch, email: made.email.toUpperCase(), metadata: { team: "core" } };
      expect(await users.update(root, made.id, same)).toEqual(changed);
      expect([events.length, told, ended]).toEqual([1, [], []]);
    });

    it("into those with a picture that is handed over, and not by one that is none", async () => {
      const { id } = await users.create(root, { email: newEmail(), avatar: gif });
      expect((await read(id))?.avatar).toMatch(/^\/avatars\/[\w-]{43}$/);
      const refused = { reason: "INVALID_REQUEST", violations: [{ field: "body.avatar" }] };
      await expect(users.update(root, id, { avatar: "ftp://x" })).rejects.toMatchObject(refused);
      const unknown = `https://id.example.com/avatars/${"x".repeat(43)}`;
      await expect(users.update(root, id, { avatar: unknown })).rejects.toMatchObject(refused);
      await expect(users.create(root, { email: newEmail(), avatar: unknown })).rejects.toMatchObject(refused);
      events = [];
      await users.delete(root, id);
      const hash = findHash((await users.create(root, { email: newEmail(), avatar: gif })).avatar) ?? "";
      expect(await findAvatar(under.database.reader, hash)).toMatchObject({ type: "image/gif" });
    });

    it("who get another address: it is unproven, their sessions end, and both addresses are told", async () => {
      const [before, after] = [newEmail(), newEmail()];
      const { id } = await users.create(root, { email: before });
      await under.database.transaction((tx) => markEmailProven(tx, id, clock.now()));
      events = [];
      const moved = await users.update(root, id, { email: after.toUpperCase(), title: "Ada" });
      expect(moved).toMatchObject({ email: after, emailProven: false, isEmailGiven: true, title: "Ada" });
      expect(await read(id)).toEqual(moved);
      expect([told, ended]).toEqual([[[before, after]], [id]]);
      const details = { email: after, previous_email: before, sessions: "1" };
      expect(events).toEqual([
        { action: "user.update", target: id, details: { changed: "title" } },
        { action: "user.change_email", target: id, mailbox: before, details },
      ]);
    });

    it("who are deleted: that is found by the address, which has no account any more", async () => {
      const email = newEmail();
      const { id } = await users.create(root, { email });
      events = [];
      await users.delete(root, id);
      expect(events).toEqual([{ action: "user.delete", target: id, mailbox: email }]);
    });

    it("not into others, and not those who are gone", async () => {
      const [one, two] = [newEmail(), newEmail()];
      const { id, name } = await users.create(root, { email: one });
      await users.create(root, { email: two });
      const before = await read(id);
      [events, told] = [[], []];
      const refusals: [() => Promise<unknown>, string][] = [
        [() => users.update(root, id, { email: two }), "USER_EXISTS"],
        [() => users.update(root, id, { email: "ada@" }), "INVALID_EMAIL"],
        [() => users.update(root, id, { metadata: { text: "x".repeat(16_384) } }), "INVALID_REQUEST"],
        [() => users.update(root, newId(clock.now()), { title: "Ada" }), "USER_NOT_FOUND"],
      ];
      for (const [call, reason] of refusals) await expect(call()).rejects.toMatchObject({ reason });
      const third = await users.create(root, { email: newEmail() });
      await expect(users.update(root, third.id, { name })).rejects.toMatchObject({ reason: "USER_EXISTS" });
      expect([await read(id), told, ended]).toEqual([before, [], []]);
    });

    it("one after another: of two who want the same address one gets it, and nobody else's sessions end", async () => {
      const elsewhere = createService(await under.openAnother());
      const made = [
        await users.create(root, { email: newEmail() }),
        await users.create(root, { email: newEmail() }),
      ];
      const email = newEmail();
      const results = await Promise.allSettled([
        users.update(root, made[0]?.id ?? "", { email }),
        elsewhere.update(root, made[1]?.id ?? "", { email }),
      ]);
      expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
      expect(told).toHaveLength(1);
      expect((await users.list(root, { email }, page)).items).toHaveLength(1);
    });

    it("who are disabled with a reason, which is kept until they are enabled", async () => {
      const { id } = await users.create(root, { email: newEmail() });
      events = [];
      const reason = "stolen laptop, ticket 42";
      expect(await users.setState(root, id, "disabled", { reason })).toMatchObject({
        disabledReason: reason,
      });
      expect((await users.get(root, id)).disabledReason).toBe(reason);
      const again = await users.setState(root, id, "disabled", { reason: "another" });
      expect(again.disabledReason).toBe(reason);
      expect((await users.setState(root, id, "enabled")).disabledReason).toBeUndefined();
      expect(events).toEqual([
        { action: "user.disable", target: id, details: { reason } },
        { action: "user.enable", target: id },
      ]);
    });
  });

  describe("finds users", () => {
    const search = async (query: string, more: object = {}) =>
      (await users.list(root, { query, ...more }, page)).items.map(({ id }) => id);

    it("by the beginning of address, name or title, in any case, newest first", async () => {
      const one = await users.create(root, { email: "find.one@example.org", title: "Fiona" });
      const two = await users.create(root, {
        email: "two@example.org",
        name: "find-me",
        title: "ÉLODIE Ümlaut",
      });
      const three = await users.create(root, {
        email: "three@example.org",
        title: "  Findlay of the long title",
      });
      expect(await search("find")).toEqual([three.id, two.id, one.id]);
      expect(await search(" FIND")).toEqual([three.id, two.id, one.id]);
      expect(await search("fi")).toEqual([three.id, two.id, one.id]);
      expect(await search("find.")).toEqual([one.id]);
      expect(await search("élodie ü")).toEqual([two.id]);
      expect(await search("E\u0301lodie")).toEqual([two.id]);
      expect(await search("ind")).toEqual([]);
      expect(await search("find%")).toEqual([]);
      // Beyond what is stored: by comparing.
      expect(await search("findlay of the long")).toEqual([three.id]);
      expect(await search("findlay of the lone")).toEqual([]);
      expect(await search("find.one@example.org")).toEqual([one.id]);
      expect(await search("find.one@example.orgs")).toEqual([]);
      expect(await search("fio", { email: "FIND.one@example.org" })).toEqual([one.id]);
      expect(await search("two", { email: "find.one@example.org" })).toEqual([]);
    });

    it("as they are now, and not as they were", async () => {
      const email = `was-${count}@example.org`;
      const { id } = await users.create(root, { email, title: "Wasabi" });
      await users.update(root, id, { title: "Isabel", email: `is-${count}@example.org` });
      expect([await search("wasab"), await search(email), await search("isabe")]).toEqual([[], [], [id]]);
      await users.setState(root, id, "disabled");
      const states = async () => [
        await search("isabe"),
        await search("isabe", { state: "enabled" }),
        await search("isabe", { state: "disabled" }),
      ];
      expect(await states()).toEqual([[id], [], [id]]);
      await users.update(root, id, { title: "Isabella" });
      expect(await search("isabella", { state: "disabled" })).toEqual([id]);
      await users.setState(root, id, "enabled");
      expect(await states()).toEqual([[id], [id], []]);
      await users.delete(root, id);
      expect(await states()).toEqual([[], [], []]);
      const left = await sql<{
        n: number;
      }>`select count(*) as n from search_prefixes where id = ${id}`.execute(under.database.reader);
      expect(Number(left.rows[0]?.n)).toBe(0);
    });

    it("page by page, without a gap, whatever is asked", async () => {
      const title = "Paginated beyond the longest prefix";
      expect(title.length).toBeGreaterThan(longestPrefix);
      const made: string[] = [];
      for (let index = 0; index < 7; index++) {
        made.unshift((await users.create(root, { email: newEmail(), title })).id);
      }
      for (const query of ["pag", title]) {
        const seen: string[] = [];
        let token = "";
        do {
          const found = await users.list(root, { query }, { size: 3, token });
          expect(found.items.length).toBeLessThanOrEqual(3);
          seen.push(...found.items.map(({ id }) => id));
          token = found.nextPageToken;
        } while (token !== "");
        expect(seen, query).toEqual(made);
      }
      const { nextPageToken: token } = await users.list(root, { query: "pag" }, { size: 3, token: "" });
      await expect(users.list(root, { query: "pagi" }, { size: 3, token })).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
      });
      const all = (await users.list(root, {}, { size: 200, token: "" })).items.map(({ id }) => id);
      expect(all.slice(0, 7)).toEqual(made);
      expect(all).toEqual(all.toSorted().toReversed());
    });

    it("by indexes alone, without a sort, however many there are", async () => {
      const database = await under.openAnother();
      await fillUsers(database);
      const ranges = [
        { afterId: "", limit: 51 },
        { afterId: "01900000-0000-7000-8000-000000010000", limit: 51 },
      ];
      const filters = [
        { query: "" },
        { query: "", state: "disabled" },
        { query: "", email: "seed-00001234@example.org" },
        { query: "s" },
        { query: "seed-0000123" },
        { query: "seed-00001234@example.org" },
        { query: "s", state: "disabled" },
        { query: "s", state: "enabled" },
      ] as const;
      for (const range of ranges) {
        for (const filter of filters) {
          const isWhole = range.afterId === "" && filter.query === "" && !("email" in filter);
          const find = (reader: Reader) => findUsers(reader, { ...filter, ...range });
          await expectIndexesOnly(database.reader, find, isWhole);
        }
      }
    });

    async function fillUsers(database: Database): Promise<void> {
      const isSqlite = database.dialect === "sqlite";
      const numbers = isSqlite
        ? sql`with recursive numbers(i) as (select 0 union all select i + 1 from numbers where i < 19999)`
        : sql`with numbers as (select generate_series(0, 19999) as i)`;
      const digits = (width: number) =>
        isSqlite ? sql.raw(`printf('%0${width}d', i)`) : sql.raw(`lpad(i::text, ${width}, '0')`);
      const seed = sql`'01900000-0000-7000-8000-' || ${digits(12)}`;
      await database.transaction(async (tx) => {
        await sql`insert into users (id, name, title, email, email_proven, passkey_handle, metadata, avatar, state,
            created_at, updated_at) ${numbers}
          select ${seed}, 'handle-' || ${digits(8)}, '', 'seed-' || ${digits(8)} || '@example.org', 1,
            'handle-' || ${digits(8)}, '{}', '', 'enabled', 0, 0 from numbers`.execute(tx);
        for (const length of [1, longestPrefix]) {
          await sql`insert into search_prefixes (kind, prefix, id) ${numbers}
            select 'user', substr('seed-' || ${digits(8)} || '@example.org', 1, ${sql.lit(length)}), ${seed}
            from numbers`.execute(tx);
        }
      });
      await sql`analyze`.execute(database.reader);
    }
  });
});
