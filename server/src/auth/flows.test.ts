import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { z } from "zod";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { jsonColumn } from "../db/json-column.ts";
import { createSealer } from "../encryption/sealer.ts";
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
