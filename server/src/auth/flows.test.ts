import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import { expect, it } from "vitest";
import { z } from "zod";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { jsonColumn } from "../db/json-column.ts";
import { mostRows, sweepInBatches } from "../db/sweep.ts";
import { createSealer } from "../encryption/sealer.ts";
import { deleteExpiredFlows } from "./flow-store.ts";
import { Flows, newState } from "./flows.ts";
import { signInFlows } from "./sign-in-flow.ts";

describeDatabases("flows", (under) => {
  let nowMs = Date.now();
  const parts = () => ({
    database: under.database,
    sealer: createSealer([Buffer.alloc(32, 1)]),
    clock: { now: () => new Date(nowMs) },
  });
  const signIns = () => new Flows(parts(), signInFlows);
  const visits = () =>
    new Flows(parts(), {
      prefix: "gate/",
      secrets: jsonColumn("auth_flows.sealed_secret", z.object({ path: z.string() })),
    });
  const about = () => ({
    browserHash: randomBytes(32).toString("base64url"),
    callbackUrl: "https://id.example.org/x",
    flowSeconds: 60,
  });

  it("are found by those alone who keep flows of their kind", async () => {
    const [visit, signIn] = [newState(), newState()];
    await visits().keep(visit, { ...about(), strategy: "visit", secret: { path: "/x" } });
    await signIns().keep(signIn, { ...about(), strategy: "mailotp", secret: { strategy: {} } });

    const found = await visits().findLive(visit);
    expect(found?.strategy).toBe("visit");
    expect(found && visits().unseal(found)).toEqual({ path: "/x" });
    expect((await signIns().findLive(signIn))?.strategy).toBe("mailotp");
    expect(await signIns().findLive(visit)).toBeUndefined();
    expect(await visits().findLive(signIn)).toBeUndefined();
    expect(await visits().findLive("")).toBeUndefined();
  });

  it("that are abandoned are swept in small steps, however many there are, and hold nobody up", async () => {
    const database = under.database;
    const abandoned = 100_000;
    // Whoever is late is told so for an hour.
    const endsAt = nowMs - 3_600_000 - 1;
    const kept = await visits().keep(newState(), { ...about(), strategy: "visit", secret: { path: "/" } });
    const series =
      under.dialect === "postgres"
        ? sql`select n from generate_series(1, ${sql.lit(abandoned)}) as s(n)`
        : sql`with recursive s(n) as (select 1 union all select n + 1 from s where n < ${sql.lit(abandoned)}) select n from s`;
    await database.transaction((tx) =>
      sql`insert into auth_flows (id, state_hash, strategy, browser_hash, sealed_secret, callback_url, attempts, created_at, expires_at)
        select 'old-' || n, 'old-' || n, 'gate/visit/x', 'x', 'x', 'x', 0, 0, ${sql.lit(endsAt)} from (${series}) as all_of_them`.execute(
        tx,
      ),
    );
    const steps: number[] = [];
    let [begun, found] = [0, 0];
    const removed = await sweepInBatches(
      database,
      async (tx, limit) => {
        const count = await deleteExpiredFlows(tx, new Date(nowMs), limit);
        steps.push(count);
        return count;
      },
      {
        monotonicMs: () => performance.now(),
        // Whoever comes meanwhile has a turn after each step.
        rest: async () => {
          if (steps.length % 100 > 0) return;
          const state = newState();
          await visits().keep(state, { ...about(), strategy: "visit", secret: { path: "/" } });
          begun += 1;
          if ((await visits().findLive(state)) !== undefined) found += 1;
        },
      },
    );
    expect(removed).toBeGreaterThanOrEqual(abandoned);
    expect(Math.max(...steps)).toBeLessThanOrEqual(mostRows);
    expect(begun).toBeGreaterThanOrEqual(6);
    expect(found).toBe(begun);
    expect(await database.transaction((tx) => visits().consume(tx, kept))).toBe(true);
  }, 120_000);

  it("are over at their end, and once they are consumed", async () => {
    const state = newState();
    const id = await visits().keep(state, { ...about(), strategy: "code", secret: { path: "/" } });
    nowMs += 59_999;
    expect(await visits().findLive(state)).toMatchObject({ id });
    nowMs += 1;
    expect(await visits().findLive(state)).toBeUndefined();
    expect(await under.database.transaction((tx) => visits().consume(tx, id))).toBe(false);
    nowMs -= 1;
    const all = await Promise.all(
      [1, 2, 3].map(() => under.database.transaction((tx) => visits().consume(tx, id))),
    );
    expect(all.filter(Boolean)).toHaveLength(1);
  });
});
