import { expect, onTestFinished } from "vitest";
import { createState, type ServerState, startServer } from "./server.ts";

/** State that a server has been run on, and stopped; removed when the test ends. */
export async function createUsedState(): Promise<ServerState> {
  const state = await createState("sqlite");
  onTestFinished(() => state.remove());
  const server = await startServer({ state });
  expect(await server.stop()).toBe(0);
  return state;
}
