import { expect, it } from "vitest";
import { type EndTurn, FairQueue } from "./fair-queue.ts";

/** A queue, and the names of those who had a turn in the order they had it. */
function arrange(options: Partial<ConstructorParameters<typeof FairQueue>[0]> = {}) {
  const queue = new FairQueue({ slots: 3, perTenant: 3, reserved: 0, maxWaiting: 100, ...options });
  const began: string[] = [];
  const ends = new Map<string, EndTurn>();
  const { signal } = new AbortController();
  const ask = async (name: string, until = signal) => {
    const tenant = name === "root" ? undefined : name[0];
    const end = await queue.wait(tenant, until);
    if (end === undefined) return "refused";
    began.push(name);
    ends.set(name, end);
    return "began";
  };
  /** Ends a turn, and lets those who follow begin. */
  const end = async (name: string) => {
    ends.get(name)?.();
    await new Promise(setImmediate);
  };
  return { began, ask, end };
}

it("goes round the tenants, whatever each of them asks for", async () => {
  const { began, ask, end } = arrange();
  for (const name of ["a1", "a2", "a3", "a4", "a5", "a6", "b1", "b2", "c1"]) void ask(name);
  await new Promise(setImmediate);
  expect(began).toEqual(["a1", "a2", "a3"]);
  for (const name of ["a1", "a2", "a3", "b1", "c1", "a4"]) await end(name);
  expect(began).toEqual(["a1", "a2", "a3", "a4", "b1", "c1", "a5", "b2", "a6"]);
});

it("is never one tenant's alone, and keeps turns for superusers", async () => {
  const { began, ask, end } = arrange({ slots: 6, perTenant: 2, reserved: 1 });
  for (const name of ["a1", "a2", "a3", "b1", "b2", "c1", "c2"]) void ask(name);
  await new Promise(setImmediate);
  expect(began).toEqual(["a1", "a2", "b1", "b2", "c1"]);
  expect(await ask("root")).toBe("began");
  await end("b1");
  expect(began.at(-1)).toBe("c2");
  await end("b2");
  await end("a1");
  expect(began.at(-1)).toBe("a3");
});

it("ends a turn once, and lets go of who gives up", async () => {
  const { began, ask, end } = arrange({ slots: 1, perTenant: 1 });
  await ask("a1");
  const impatient = new AbortController();
  const given = ask("a2", impatient.signal);
  void ask("a3");
  impatient.abort();
  expect(await given).toBe("refused");
  await end("a1");
  await end("a1");
  void ask("b1");
  await new Promise(setImmediate);
  expect(began).toEqual(["a1", "a3"]);
  expect(await ask("a4", AbortSignal.abort())).toBe("refused");
});

it("lets so many wait and no more, of whom each tenant has its part", async () => {
  const { began, ask, end } = arrange({ slots: 1, perTenant: 1, maxWaiting: 4 });
  await ask("a1");
  const waiting = ["a2", "a3", "a4", "b1"].map((name) => ask(name));
  expect(await ask("a5")).toBe("refused");
  void ask("c1");
  expect(await waiting[2]).toBe("refused");
  // Two of one and one of each other: another exchange would only turn them round.
  expect(await ask("b2")).toBe("refused");
  void ask("d1");
  expect(await waiting[1]).toBe("refused");
  expect(await ask("e1")).toBe("refused");
  void ask("root");
  expect(await waiting[0]).toBe("refused");
  for (const name of ["a1", "b1", "c1", "d1"]) await end(name);
  expect(began).toEqual(["a1", "b1", "c1", "d1", "root"]);
});
