import { sql } from "kysely";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createEmptyDatabase, describeDatabases } from "../../../test/parts/databases.ts";
import { migrate } from "../db/migrate.ts";
import { migrations } from "../db/migrations/index.ts";
import { openDatabase } from "../db/open-database.ts";
import { silentLog } from "../lib/log.ts";
import { addUser, openSessions, type SessionParts, unknownDevice } from "./test-support.ts";

describeDatabases("the companion of a session's cookie", (under) => {
  const clock = { now: () => new Date() };
  let parts: SessionParts;

  beforeAll(async () => {
    parts = await openSessions(under.database, clock, [], true);
  });
  afterAll(() => parts.close());

  async function signIn() {
    const { id: userId } = await addUser(under.database);
    return await under.database.transaction((tx) =>
      parts.sessions.begin(tx, {
        userId,
        strategy: "mailotp",
        device: unknownDevice,
        browserKeys: [],
        replaces: [],
      }),
    );
  }

  const bind = "__Host-vestibule-bind";
  const origin = { origin: "https://id.example.org" };
  const find = (cookies: readonly string[], headers: Record<string, string> = origin) =>
    parts.authenticator.findCookies(new Headers({ cookie: cookies.join("; "), ...headers }));

  it("makes the cookie count in a browser, and what stands beside it not", async () => {
    const [own, planted] = [await signIn(), await signIn()];
    const companion = `${bind}=${own.companion}`;
    expect(own.companion).toMatch(/^[\w-]{43}$/);
    for (const cookies of [
      [`sid=${own.cookie}`, companion],
      [companion, `sid=${planted.cookie}`, `sid=${own.cookie}`],
      [`sid=${own.cookie}`, `sid=${planted.cookie}`, companion],
      [`sid=${own.cookie}`, "sid=dead", companion],
    ]) {
      expect(await find(cookies), cookies.join()).toEqual([own.cookie]);
    }
  });

  it.each([
    ["none", () => []],
    ["that of another session", (other: string) => [`${bind}=${other}`]],
    ["an empty one", () => [`${bind}=`]],
    ["one under another name", (_: string, own: string) => [`vestibule-bind=${own}`]],
    ["one under a name in another case", (_: string, own: string) => [`__HOST-vestibule-bind=${own}`]],
    ["two", (other: string, own: string) => [`${bind}=${own}`, `${bind}=${other}`]],
  ] as const)("is needed: with %s the cookie is absent", async (_, companions) => {
    const [one, other] = [await signIn(), await signIn()];
    const cookies = [`sid=${one.cookie}`, ...companions(other.companion, one.companion)];
    for (const headers of [origin, { "sec-fetch-mode": "navigate" }, { "sec-fetch-site": "none" }]) {
      expect(await find(cookies, headers)).toEqual([]);
    }
  });

  it("is for browsers: without it a cookie counts that comes from none", async () => {
    const [own, planted] = [await signIn(), await signIn()];
    expect(await find([`sid=${own.cookie}`], {})).toEqual([own.cookie]);
    expect(await find(["sid=dead"], {})).toEqual(["dead"]);
    // A server that forwards a visitor's cookies forwards what was planted, too.
    const forwarded = [`sid=${planted.cookie}`, `sid=${own.cookie}`, `${bind}=${own.companion}`];
    expect(await find(forwarded, {})).toEqual([own.cookie]);
    expect(await find([`sid=${planted.cookie}`, `${bind}=${own.companion}`], {})).toEqual([]);
  });

  it("is not asked for where cookies are not bound", async () => {
    const free = await openSessions(under.database, clock);
    try {
      const cookie = "sid=a; sid=b";
      expect(await free.authenticator.findCookies(new Headers({ cookie, ...origin }))).toEqual(["a", "b"]);
    } finally {
      await free.close();
    }
  });

  it("is known by its hash alone", async () => {
    const { companion, session } = await signIn();
    const { companion_hash } = await under.database.reader
      .selectFrom("sessions")
      .select("companion_hash")
      .where("id", "=", session.id)
      .executeTakeFirstOrThrow();
    expect(companion_hash).toMatch(/^[\w-]{43}$/);
    expect(companion_hash).not.toBe(companion);
  });

  it("ends the sessions from before there were any", async () => {
    const place = await createEmptyDatabase(under.dialect);
    const database = await openDatabase({ url: place.url, log: silentLog });
    try {
      const at = migrations.findIndex(({ name }) => name.endsWith("_session_companions"));
      await migrate(database, migrations.slice(0, at));
      await database.transaction(async (tx) => {
        await sql`insert into users (id, name, title, email, email_proven, metadata, avatar, state, passkey_handle, created_at, updated_at)
          values ('u', 'u', '', 'u@example.org', 1, '{}', '', 'enabled', 'p', 0, 0)`.execute(tx);
        await sql`insert into sessions (id, secret_hash, user_id, strategy, operating_system, browser, ip_address,
            city, country, latitude, longitude, created_at, updated_at, expires_at)
          values ('s', 'h', 'u', 'mailotp', '', '', '', '', '', '', '', 0, 0, 9000000000000)`.execute(tx);
      });
      await migrate(database);
      expect(await database.reader.selectFrom("sessions").select("id").execute()).toEqual([]);
    } finally {
      await database.close();
      await place.drop();
    }
  });
});
