/** Of which connections the door hears that they have had an answer. */
import { Agent, get } from "node:http";
import { afterEach, expect, it } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import { startEdge } from "./test-support.ts";
import type { Connection } from "./turns.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()?.();
});

async function start() {
  const answered: Connection[] = [];
  const edge = await startEdge({
    routes: [{ method: "GET", path: "/plain", handle: () => ({ status: 200 }) }],
    admission: {
      isOpenAt: () => true,
      enter: () => {},
      noteAnswered: (connection) => answered.push(connection),
    },
  });
  edge.health.setServing(true);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  cleanups.push(edge.close, () => agent.destroy());
  const ask = (target: string, options: { agent: Agent | false } = { agent }) =>
    new Promise<void>((resolve, reject) => {
      get(`${edge.http1}${target}`, options, (answer) => answer.resume().on("end", resolve)).on(
        "error",
        reject,
      );
    });
  return { edge, answered, ask };
}

it("one that may bring another request", async () => {
  const { edge, answered, ask } = await start();
  await ask("/plain");
  await ask("/nothing");
  await eventually(() => expect(edge.lines).toHaveLength(2));
  expect(answered).toHaveLength(2);
  expect(answered[0]).toBe(answered[1]);
});

it("none that asked how the process is, whose next question is not to wait", async () => {
  const { edge, answered, ask } = await start();
  for (const path of ["/healthz", "/ping", "/metrics"]) await ask(path);
  await eventually(() => expect(edge.lines).toHaveLength(3));
  expect(answered).toEqual([]);
});

it("none that brings nothing more", async () => {
  const { edge, answered, ask } = await start();
  await ask("/plain", { agent: false });
  await eventually(() => expect(edge.lines).toHaveLength(1));
  expect(answered).toEqual([]);
});
