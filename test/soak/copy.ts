/**
 * A copy that is killed thirty times on its way, and a million rows copied to
 * another database and back. What is there has the sums of what was here.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { seedPeople } from "../../bench/parts/seed-people.ts";
import { buildIfStale } from "../../scripts/build.ts";
import {
  type MeasuredRun,
  perSecond,
  runMeasured,
  soakSettings,
  startCommand,
} from "../parts/measured-command.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { startPostgres } from "../parts/postgres-server.ts";

/** A person is six rows. */
const people = 170_000;

/** Fewer where every kill has to begin again: what is there is looked through each time. */
const peopleUnderKills = 25_000;
const kills = 30;

/** How much further each kill is than the one before, in bytes of the target. */
const stepBytes = 2 * 2 ** 20;

/** Most that the command may hold, in MiB: it reads and writes in pages. */
const mostMib = 400;

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
  writeFileSync(VESTIBULE_CONFIG, JSON.stringify(soakSettings), { mode: 0o600 });
  const place = (name: string, more: Record<string, string> = {}) => {
    const VESTIBULE_DATA_DIR = join(scratch, name);
    mkdirSync(VESTIBULE_DATA_DIR, { mode: 0o700 });
    return { VESTIBULE_CONFIG, VESTIBULE_DATA_DIR, ...more };
  };
  const file = (name: string) => `sqlite:${join(scratch, name, "vestibule.db")}`;
  const figures: string[] = [];
  const postgres = await startPostgres();
  const client = new pg.Client(postgres.url);
  await client.connect();
  const createTarget = async (name: string) => {
    await client.query(`create database ${name}`);
    const url = new URL(postgres.url);
    url.pathname = `/${name}`;
    return url.href;
  };
  const createSource = async (name: string, count: number) => {
    const source = place(name);
    await runMeasured(["migrate"], source);
    seedPeople(source.VESTIBULE_DATA_DIR, count, Date.now());
    return source;
  };
  try {
    await check(`a copy that is killed ${kills} times is whole in the end`, async () => {
      const [source, to] = [await createSource("killed", peopleUnderKills), await createTarget("killed")];
      const size = async () =>
        Number((await client.query("select pg_database_size('killed') as n")).rows[0].n);
      const empty = await size();
      let killed = 0;
      for (; killed < kills && !signal.aborted; killed++) {
        const child = startCommand(["copy", "--to", to], source);
        child.stdout?.resume();
        const ended = once(child, "close");
        while (child.exitCode === null && (await size()) < empty + killed * stepBytes) await sleep(5);
        assert.equal(child.exitCode, null, `done before the ${killed}th kill`);
        child.kill("SIGKILL");
        await ended;
      }
      const { rows, sums } = readSums(await runMeasured(["copy", "--to", to], source));
      assert.ok(rows >= 6 * peopleUnderKills, `${rows} rows`);
      const through = place("killed-through", { VESTIBULE_DATABASE_URL: to });
      const back = await runMeasured(["copy", "--to", file("killed-back")], through);
      assert.deepEqual(readSums(back).sums, sums);
      figures.push(`${rows} rows under ${killed} kills`);
    });

    let first: object | undefined;
    const move = async (what: string, args: readonly string[], env: Record<string, string>) => {
      const made = await runMeasured(["copy", "--to", ...args], env);
      const { rows, sums } = readSums(made);
      first ??= sums;
      assert.ok(rows >= 6 * people, `${rows} rows`);
      assert.deepEqual(sums, first);
      assert.ok(made.mib < mostMib, `${made.mib} MiB`);
      const locked = /nobody could write for ([\d.]+) s/.exec(made.stdout)?.[1];
      const memory = made.mib.toFixed(0);
      figures.push(`${what} ${perSecond(rows, made)}, locked for ${locked} s, memory ${memory} MiB`);
    };
    const [to, again] = [await createTarget("million"), await createTarget("again")];
    await check("a million rows go into Postgres", async () => {
      await move("SQLite to Postgres", [to], await createSource("million", people));
    });
    await check("and from there into SQLite", async () => {
      const through = place("through", { VESTIBULE_DATABASE_URL: to });
      await move("Postgres to SQLite", [file("back")], through);
    });
    await check("and beside servers into Postgres", async () => {
      const beside = place("beside", { VESTIBULE_DATABASE_URL: file("back") });
      await move("SQLite to Postgres online", [again, "--online"], beside);
    });
  } finally {
    await client.end();
    await postgres.stop();
  }
  return figures.join("; ");
}

const part: Part = { needs: [], quick: false, limitMinutes: 60, run: runAll };
export default part;
