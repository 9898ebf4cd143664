/**
 * From 0.1.0, as it was packed: its two servers are replaced by ours behind
 * each proxy under load, again and again on new databases; and `migrate` is
 * killed at any moment, on both databases, until one run is let end.
 */
import assert from "node:assert/strict";
import { fillState, readAllRows, startSurroundings } from "../parts/full-state.ts";
import { type OldProgram, unpackOldProgram } from "../parts/old-program.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { proxyNames } from "../parts/proxies.ts";
import { rollOut } from "../parts/roll-out.ts";
import { createState, findFreePort, runVestibule, startServer } from "../parts/server.ts";

const rounds = 4;
const load = { clients: 16, perSecond: 120 };
const kills = 30;

export default {
  needs: [],
  quick: false,
  limitMinutes: 45,
  async run(context) {
    using old = unpackOldProgram();
    const figures: string[] = [];
    for (const proxy of proxyNames) figures.push(await rollOutOften(context, old, proxy));
    for (const database of ["sqlite", "postgres"] as const) {
      await context.check(`migrate killed on ${database}`, async () => {
        figures.push(`${database} ${await killOften(context, old, database)}`);
      });
    }
    return figures.join(", ");
  },
} satisfies Part;

async function rollOutOften(
  context: PartContext,
  old: OldProgram,
  proxy: (typeof proxyNames)[number],
): Promise<string> {
  const sums = { answered: 0, failed: 0, written: 0, lost: 0, seconds: 0 };
  for (let round = 0; round < rounds && !context.signal.aborted; round++) {
    await context.check(`${proxy} ${round + 1}`, async () => {
      const rolled = await rollOut({ proxy, from: old.command, steps: [undefined, undefined], load });
      sums.answered += rolled.answered;
      sums.failed += rolled.failures.length;
      sums.written += rolled.written;
      sums.lost += rolled.lost;
      sums.seconds += rolled.seconds;
      assert.deepEqual(rolled.failures.slice(0, 5), []);
      assert.equal(rolled.lost, 0);
    });
  }
  const { answered, failed, written, lost, seconds } = sums;
  return (
    `${proxy} failed ${failed} of ${answered + failed} at ${Math.round((answered + failed) / seconds)}/s, ` +
    `lost ${lost} of ${written} written`
  );
}

/** Kills the command after ever longer, until it may end. Every attempt has migrated all of it or nothing. */
async function killOften(
  context: PartContext,
  old: OldProgram,
  database: "sqlite" | "postgres",
): Promise<string> {
  await using surroundings = await startSurroundings();
  const { config } = surroundings;
  const state = await createState(database);
  try {
    const port = await findFreePort();
    const before = await startServer({ state, port, config, command: old.command });
    const holdings = await fillState(before);
    await before.stop();
    const rows = await readAllRows(state);
    let killed = 0;
    for (; killed < kills && !context.signal.aborted; killed++) {
      const signal = AbortSignal.timeout(20 + 25 * killed);
      if ((await runVestibule(["migrate"], state, { config, signal })).code === 0) break;
      const now = await readAllRows(state);
      if (now.has("last_backup")) break;
      assert.deepEqual(now, rows);
    }
    assert.equal((await runVestibule(["migrate"], state, { config })).code, 0);
    const server = await startServer({ state, port, config });
    try {
      assert.deepEqual(await holdings.checkLasting(), []);
      assert.deepEqual(await holdings.takeOnce(), []);
    } finally {
      await server.kill();
    }
    return `killed ${killed} times before it was done`;
  } finally {
    await state.remove();
  }
}
