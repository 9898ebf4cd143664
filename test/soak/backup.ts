/**
 * A million rows: backed up, restored into each database, restored under kills.
 * What is restored has the sums of what was backed up, or is not there at all.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Sqlite from "better-sqlite3";
import { seedPeople } from "../../bench/parts/seed-people.ts";
import { buildIfStale } from "../../scripts/build.ts";
import { readArchive } from "../../server/src/backup/read-archive.ts";
import { openDatabase } from "../../server/src/db/open-database.ts";
import { encryptionKeyId } from "../../server/src/encryption/sealer.ts";
import { silentLog } from "../../server/src/lib/log.ts";
import { perSecond, runMeasured, soakSettings, startCommand } from "../parts/measured-command.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { startPostgres } from "../parts/postgres-server.ts";

/** A person is six rows. */
const people = 170_000;
const kills = 30;

/** Most that the command may hold, in MiB: it reads and writes in pages. */
const mostMib = 300;

/** What is sealed is never opened here, but `doctor`, which a restore ends with, looks by which key it says it is. */
function nameKeys(dataDir: string): void {
  const keyId = encryptionKeyId(Buffer.from(soakSettings.encryption_key, "base64url"));
  const database = new Sqlite(join(dataDir, "vestibule.db"));
  database.prepare("update auth_flows set sealed_secret = ? || sealed_secret").run(`v1.${keyId}.`);
  database.close();
}

async function runAll({ scratch, check, signal }: PartContext): Promise<string> {
  await buildIfStale();
  const folder = (name: string) => join(scratch, name);
  const VESTIBULE_CONFIG = folder("settings.yaml");
  // JSON is YAML.
  writeFileSync(VESTIBULE_CONFIG, JSON.stringify(soakSettings), { mode: 0o600 });
  const source = { VESTIBULE_CONFIG, VESTIBULE_DATA_DIR: folder("source") };
  const path = folder("million.backup");
  const figures: string[] = [];
  await runMeasured(["migrate"], source);
  seedPeople(source.VESTIBULE_DATA_DIR, people, Date.now());
  nameKeys(source.VESTIBULE_DATA_DIR);

  await check("a million rows are backed up in little memory", async () => {
    const made = await runMeasured(["backup", path], source);
    const { end } = await readArchive(path, {});
    const rows = Object.values(end.tables).reduce((sum, table) => sum + table.rows, 0);
    assert.ok(rows >= 1_000_000, `${rows} rows`);
    assert.ok(made.mib < mostMib, `${made.mib} MiB`);
    const size = statSync(path).size / 2 ** 20;
    figures.push(
      `backup ${perSecond(rows, made)}, ${size.toFixed(0)} MiB, memory ${made.mib.toFixed(0)} MiB`,
    );
  });

  const { header, end } = await readArchive(path, {});
  const { last_backup: _, ...sums } = end.tables;
  const rows = header.rows;

  /** Backed up again, it has the same sums. */
  async function requireSame(env: Record<string, string>, name: string): Promise<void> {
    const again = folder(`${name}.backup`);
    await runMeasured(["backup", again], env);
    const { end } = await readArchive(again, {});
    for (const [table, sum] of Object.entries(sums)) assert.deepEqual(end.tables[table], sum, table);
    rmSync(again);
  }

  await check(
    `a restore into SQLite that is killed ${kills} times leaves nothing, and then all`,
    async () => {
      const place = { VESTIBULE_CONFIG, VESTIBULE_DATA_DIR: folder("sqlite") };
      const log = folder("sqlite/vestibule.db-wal");
      for (let kill = 0; kill < kills && !signal.aborted; kill++) {
        const child = startCommand(["restore", path], place);
        const ended = once(child, "close");
        // Early and late ones, by how much of it is written.
        const bytes = (kill / kills) * 300 * 2 ** 20;
        const size = () => (existsSync(log) ? statSync(log).size : -1);
        while (child.exitCode === null && size() < bytes) await sleep(5);
        child.kill("SIGKILL");
        await ended;
        const database = await openDatabase({
          url: `sqlite:${folder("sqlite/vestibule.db")}`,
          log: silentLog,
        });
        const tables = await database.reader.introspection.getTables();
        await database.close();
        assert.equal(tables.length, 0, `after the ${kill}th kill`);
      }
      const restored = await runMeasured(["restore", path], place);
      assert.ok(restored.mib < mostMib, `${restored.mib} MiB`);
      figures.push(`restore into SQLite ${perSecond(rows, restored)}, memory ${restored.mib.toFixed(0)} MiB`);
      await requireSame(place, "sqlite");
    },
  );

  await check("it goes into Postgres", async () => {
    const postgres = await startPostgres();
    try {
      mkdirSync(folder("postgres"), { mode: 0o700 });
      const place = {
        VESTIBULE_CONFIG,
        VESTIBULE_DATA_DIR: folder("postgres"),
        VESTIBULE_DATABASE_URL: postgres.url,
      };
      const restored = await runMeasured(["restore", path], place);
      figures.push(`into Postgres ${perSecond(rows, restored)}, memory ${restored.mib.toFixed(0)} MiB`);
      await requireSame(place, "postgres");
    } finally {
      await postgres.stop();
    }
  });
  return figures.join("; ");
}

const part: Part = { needs: [], quick: false, limitMinutes: 40, run: runAll };
export default part;
