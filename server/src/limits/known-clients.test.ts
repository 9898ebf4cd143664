import { afterEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { Database } from "../db/database.ts";
import { silentLog } from "../lib/log.ts";
import { KnownClients } from "./known-clients.ts";
import { blocksPerClient, deleteForgottenClients } from "./store.ts";

const start = Date.UTC(2027, 0, 1);
let nowMs = start;
afterEach(() => {
  nowMs = start;
});

/** Writes only when told to. */
function open(database: Database): KnownClients {
  return new KnownClients({
    database,
    clock: { now: () => new Date(nowMs) },
    log: silentLog,
    flushAfterMs: 3_600_000,
  });
}

describeDatabases("clients known to be good", (under) => {
  const client = (clientId: string, block = "192.0.2.1") => ({ block, clientId });

  it("are known here at once, and to other processes once that was written", async () => {
    const [here, there] = [open(under.database), open(await under.openAnother())];
    here.note(client("c1"));
    expect(await here.isKnown(client("c1"))).toBe(true);
    expect(await there.isKnown(client("c1"))).toBe(false);
    await here.flush();
    expect(await there.isKnown(client("c1"))).toBe(false);
    nowMs += 1000;
    expect(await there.isKnown(client("c1"))).toBe(true);
    expect(await there.isKnown(client("c1", "192.0.2.2"))).toBe(false);
    expect(await there.isKnown(client("c2"))).toBe(false);
  });

  it("are forgotten when they do not come for a day, and not before", async () => {
    const here = open(under.database);
    const sweep = (at: number) =>
      under.database.transaction((tx) => deleteForgottenClients(tx, new Date(at), 100));
    for (const each of [client("d1"), client("d2")]) here.note(each);
    await here.flush();
    nowMs += 6 * 3_600_000;
    here.note(client("d2"));
    await here.flush();
    await sweep(start + 86_399_999);
    const later = open(under.database);
    expect(await later.isKnown(client("d1"))).toBe(true);
    await sweep(start + 86_400_000);
    nowMs += 1000;
    expect(await later.isKnown(client("d1"))).toBe(false);
    expect(await later.isKnown(client("d2"))).toBe(true);
  });

  it("fill no table: each is known from its latest places", async () => {
    const here = open(under.database);
    for (let count = 0; count <= blocksPerClient; count += 1) {
      here.note(client("e1", `198.51.100.${count}`));
      await here.flush();
      nowMs += 1;
    }
    const rows = await under.database.reader
      .selectFrom("known_clients")
      .select("block")
      .where("client_id", "=", "e1")
      .execute();
    expect(rows).toHaveLength(blocksPerClient);
    expect(rows).not.toContainEqual({ block: "198.51.100.0" });
  });

  it("are written by processes at once", async () => {
    const all = [under.database, await under.openAnother()].map(open);
    for (const each of all) for (let count = 0; count < 50; count += 1) each.note(client(`f${count}`));
    await Promise.all(all.map((each) => each.flush()));
    expect(await open(under.database).isKnown(client("f49"))).toBe(true);
  });
});

it("a database that is away knows nobody, and is told later", async () => {
  let isDown = true;
  const written: unknown[] = [];
  const database = {
    dialect: "postgres",
    isShared: true,
    transaction: async () => {
      if (isDown) throw new Error("down");
      written.push("written");
    },
    reader: {
      selectFrom() {
        throw new Error("down");
      },
    },
  } as unknown as Database;
  const here = open(database);
  here.note({ block: "b", clientId: "c" });
  await here.flush();
  expect(await here.isKnown({ block: "b", clientId: "c" })).toBe(true);
  expect(await here.isKnown({ block: "b", clientId: "other" })).toBe(false);
  isDown = false;
  await here.flush();
  expect(written).toHaveLength(1);
});
