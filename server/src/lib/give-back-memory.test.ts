import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { giveBackMemory } from "./give-back-memory.ts";

it("collects what nobody holds, and leaves no one the means to", async () => {
  const dropped = new WeakRef({ text: "garbage" });
  // A weak reference is kept until the turn of the event loop that made it is over.
  await new Promise<void>((resolve) => setImmediate(resolve));
  await giveBackMemory();
  expect(dropped.deref()).toBeUndefined();
  expect(runInNewContext("typeof gc")).toBe("undefined");
});
