/** Behind pgbouncer, which hands out sessions by transaction, as it comes. */
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import { type Pooler, startPgbouncer } from "../../../test/parts/pgbouncer.ts";
import { createTestDatabase, type TestDatabase } from "../../../test/parts/postgres.ts";
import { ChangeFeed } from "../changes/feed.ts";
import { silentLog } from "../lib/log.ts";
import type { Reader } from "./database.ts";
import type { OpenDatabase } from "./kysely-database.ts";
import { migrate } from "./migrate.ts";
import { openDatabase } from "./open-database.ts";

const clock = { now: () => new Date() };

describe("Postgres behind pgbouncer in transaction mode", () => {
  let place: TestDatabase;
  let pooler: Pooler;
  let one: OpenDatabase;
  let two: OpenDatabase;

  beforeAll(async () => {
    place = await createTestDatabase();
    pooler = await startPgbouncer(place.url, 2);
    const options = { url: pooler.url, log: silentLog, statementTimeoutMs: 7_000, idleTransactionMs: 3_000 };
    one = await openDatabase(options);
    two = await openDatabase(options);
    await migrate(one);
  });
  afterAll(async () => {
    await Promise.all([one?.close(), two?.close()]);
    await pooler?.stop();
    await place?.drop();
  });

  const read = async (reader: Reader, name: string) =>
    (await sql<{ value: string }>`select current_setting(${name}) as value`.execute(reader)).rows[0]?.value;

  it("works with fewer sessions than there are transactions, of two processes", async () => {
    const write = (database: OpenDatabase, jti: string) =>
      database.transaction(async (tx) => {
        await tx.insertInto("revoked_tokens").values({ jti, expires_at: 1 }).execute();
        return await read(tx, "statement_timeout");
      });
    const all = Array.from({ length: 40 }, (_, index) => write(index % 2 ? one : two, `token-${index}`));
    expect(new Set(await Promise.all(all))).toEqual(new Set(["7s"]));
    const rows = await one.reader.selectFrom("revoked_tokens").select("jti").execute();
    expect(rows).toHaveLength(40);
  });

  it("bounds each transaction, whoever had its session before", async () => {
    await two.transaction((tx) => sql`set session statement_timeout = 0`.execute(tx));
    await two.transaction((tx) => sql`set session idle_in_transaction_session_timeout = 0`.execute(tx));
    const bounds = await Promise.all(
      [one, two, one, two].map((database) =>
        database.transaction(async (tx) => [
          await read(tx, "statement_timeout"),
          await read(tx, "idle_in_transaction_session_timeout"),
        ]),
      ),
    );
    expect(bounds).toEqual(Array(4).fill(["7s", "3s"]));
  });

  it("tells one process of another's changes", async () => {
    const heard: string[] = [];
    const [here, there] = [one, two].map((database) => new ChangeFeed({ database, clock, log: silentLog }));
    await there?.start();
    there?.subscribe({ onChange: ({ subject }) => heard.push(subject), onReset: () => {} });
    await one.transaction(async (tx) => await here?.append(tx, { topic: "user", subject: "ada" }));
    await eventually(() => expect(heard).toContain("ada"));
    await there?.stop();
  });
});
