/**
 * A million rows copied to another database and back: killed thirty times on
 * the way, then without, then beside servers. What is there has the sums of
 * what was here.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { seedPeople } from "../../bench/parts/seed-people.ts";
import { buildIfStale } from "../../scripts/build.ts";
import { type MeasuredRun, perSecond, runMeasured, startCommand } from "../parts/measured-command.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { startPostgres } from "../parts/postgres-server.ts";

/** A person is six rows. */
const people = 170_000;
const kills = 30;

/** How much further each kill is than the one before, in bytes of the target. */
const stepBytes = 15 * 2 ** 20;

/** Most that the command may hold, in MiB: it reads and writes in pages. */
const mostMib = 300;

/** The same keys everywhere; Postgres takes none from files. */
const settings = {
  encryption_key: Buffer.alloc(32, "soak").toString("base64url"),
  authentication: {
    session: {
      hash_secret_key: "hash-hash-hash-hash-hash-hash-32",
      block_secret_key: "block-block-block-block-block-32",
    },
  },
};

/** Rows and sums by table, as the command prints them; each move adds a change of its own. */
function readSums({ stdout }: MeasuredRun): { readonly rows: number; readonly sums: object } {
  const lines = [...stdout.matchAll(/^(\w+)\t(\d+)\t([0-9a-f]{32})$/gm)];
  const rows = lines.reduce((sum, [, , count]) => sum + Number(count), 0);
  const kept = lines.filter(([, table]) => table !== "changes");
  return { rows, sums: Object.fromEntries(kept.map(([, table, count, sum]) => [table, `${count} ${sum}`])) };
}

async function runAll({ scratch, check, signal }: PartContext): Promise<string> {
  await buildIfStale();
  const VESTIBULE_CONFIG = join(scratch, "settings.yaml");
  // JSON is YAML.
  writeFileSync(VESTIBULE_CONFIG, JSON.stringify(settings), { mode: 0o600 });
  const place = (name: string, more: Record<string, string> = {}) => {
    const VESTIBULE_DATA_DIR = join(scratch, name);
    mkdirSync(VESTIBULE_DATA_DIR, { mode: 0o700 });
    return { VESTIBULE_CONFIG, VESTIBULE_DATA_DIR, ...more };
  };
  const file = (name: string) => `sqlite:${join(scratch, name, "vestibule.db")}`;
  const figures: string[] = [];
  const source = place("source");
  await runMeasured(["migrate"], source);
  seedPeople(source.VESTIBULE_DATA_DIR, people, Date.now());
  const postgres = await startPostgres();
  try {
    const client = new pg.Client(postgres.url);
    await client.connect();
    await client.query("create database second");
    const second = new URL(postgres.url);
    second.pathname = "/second";
    let first: ReturnType<typeof readSums> | undefined;
    const requireSame = (made: MeasuredRun) => {
      const { rows, sums } = readSums(made);
      first ??= { rows, sums };
      assert.ok(rows >= 6 * people, `${rows} rows`);
      assert.deepEqual(sums, first.sums);
      assert.ok(made.mib < mostMib, `${made.mib} MiB`);
      return rows;
    };
    const note = (what: string, made: MeasuredRun) => {
      const locked = /nobody could write for ([\d.]+) s/.exec(made.stdout)?.[1];
      figures.push(
        `${what} ${perSecond(requireSame(made), made)}, locked ${locked} s, memory ${made.mib.toFixed(0)} MiB`,
      );
    };

    await check(`into Postgres, killed ${kills} times`, async () => {
      const size = async () =>
        Number((await client.query("select pg_database_size(current_database()) as n")).rows[0].n);
      const empty = await size();
      let killed = 0;
      for (; killed < kills && !signal.aborted; killed++) {
        const child = startCommand(["copy", "--to", postgres.url], source);
        child.stdout?.resume();
        const ended = once(child, "close");
        while (child.exitCode === null && (await size()) < empty + killed * stepBytes) await sleep(5);
        assert.equal(child.exitCode, null, `done before the ${killed}th kill`);
        child.kill("SIGKILL");
        await ended;
      }
      note("rest after the kills, into Postgres", await runMeasured(["copy", "--to", postgres.url], source));
    });
    await check("and from there into SQLite", async () => {
      const env = place("through", { VESTIBULE_DATABASE_URL: postgres.url });
      note("Postgres to SQLite", await runMeasured(["copy", "--to", file("back")], env));
    });
    await check("and beside servers into Postgres", async () => {
      note(
        "SQLite to Postgres, online",
        await runMeasured(
          ["copy", "--to", second.href, "--online"],
          place("beside", { VESTIBULE_DATABASE_URL: file("back") }),
        ),
      );
    });
    await client.end();
  } finally {
    await postgres.stop();
  }
  return figures.join("; ");
}

const part: Part = { needs: [], quick: false, limitMinutes: 20, run: runAll };
export default part;
