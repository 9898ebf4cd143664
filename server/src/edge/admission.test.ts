import { describe, expect, it } from "vitest";
import { Admission } from "./admission.ts";

/** A door whose time, turns and timers are the test's. */
function setUp() {
  let nowMs = 10_000;
  let turns: (() => void)[] = [];
  let timers: { readonly atMs: number; readonly callback: () => void }[] = [];
  const admission = new Admission({
    monotonicMs: () => nowMs,
    onTurn: (callback) => turns.push(callback),
    setTimer: (callback, ms) => timers.push({ atMs: nowMs + ms, callback }),
  });
  const begun: string[] = [];
  const refused: string[] = [];
  return {
    admission,
    begun,
    refused,
    /** Begins or keeps a request that takes so long. */
    arrive(name: string, workMs = 1) {
      const begin = () => {
        begun.push(name);
        nowMs += workMs;
      };
      if (admission.isOpenAt(nowMs)) return begin();
      admission.enter({ atMs: nowMs, begin, refuse: () => void refused.push(name) });
    },
    pass(ms: number) {
      nowMs += ms;
      const due = timers.filter(({ atMs }) => atMs <= nowMs);
      timers = timers.filter(({ atMs }) => atMs > nowMs);
      for (const { callback } of due) callback();
    },
    /** The end of a turn of the event loop. */
    async turn() {
      const ended = turns;
      turns = [];
      for (const callback of ended) callback();
      await new Promise(setImmediate);
    },
  };
}

const names = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => String(from + at));

describe("Admission", () => {
  it("begins at once what a turn brings while it is short, and what the next one brings", async () => {
    const { admission, arrive, begun, turn } = setUp();
    for (const name of names(0, 20)) arrive(name);
    expect(begun).toEqual(names(0, 20));
    await turn();
    arrive("next");
    expect(begun.at(-1)).toBe("next");
    expect(admission.waitingCount).toBe(0);
  });

  it("keeps the rest in order, and begins it in slices between which sockets are read", async () => {
    const { admission, arrive, begun, turn } = setUp();
    for (const name of names(0, 70)) arrive(name);
    expect(begun).toEqual(names(0, 20));
    expect(admission.waitingCount).toBe(50);
    await turn();
    expect(begun).toEqual(names(0, 60));
    arrive("later");
    await turn();
    expect(begun).toEqual([...names(0, 70), "later"]);
    expect(admission.refusedCount).toBe(0);
  });

  it("refuses what has waited for more than a second, and what comes while the first has", async () => {
    const { admission, arrive, begun, refused, pass, turn } = setUp();
    arrive("first", 30);
    arrive("second");
    pass(1_001);
    arrive("third");
    await turn();
    expect(begun).toEqual(["first"]);
    expect(admission.refusedCount).toBe(2);
    // Held back: a connection that is refused is quiet for a second.
    expect(refused).toEqual([]);
    pass(1_000);
    expect(refused).toEqual(["third", "second"]);
    await turn();
    arrive("fourth");
    expect(begun).toEqual(["first", "fourth"]);
  });

  it("begins what has waited for a second and no more", async () => {
    const { arrive, begun, pass, turn } = setUp();
    arrive("first", 30);
    arrive("second");
    pass(1_000);
    await turn();
    expect(begun).toEqual(["first", "second"]);
  });

  it("lets no more than so many wait, and holds no more than so many refusals back", async () => {
    const { admission, arrive, refused } = setUp();
    arrive("first", 30);
    for (const name of names(0, 2_000)) arrive(name);
    expect([admission.waitingCount, admission.refusedCount]).toEqual([2_000, 0]);
    for (const name of names(2_000, 4_000)) arrive(name);
    expect([admission.waitingCount, admission.refusedCount]).toEqual([2_000, 2_000]);
    expect(refused).toEqual([]);
    arrive("one too many");
    expect(refused).toEqual(["one too many"]);
  });

  it("begins more where reading takes longer, within bounds", async () => {
    const { arrive, begun, pass, turn } = setUp();
    for (const name of names(0, 220)) arrive(name);
    expect(begun).toHaveLength(20);
    pass(25);
    await turn();
    // It is 45 ms since the turn was opened.
    expect(begun).toHaveLength(20 + 90);
    pass(400);
    await turn();
    expect(begun).toHaveLength(20 + 90 + 100);
  });

  it("takes the connections that wait before it begins anything, but not for ever", async () => {
    const { admission, arrive, begun, pass, turn } = setUp();
    admission.noteConnection();
    arrive("first");
    for (let ms = 0; ms < 20; ms += 1) {
      await turn();
      expect(begun).toEqual([]);
      pass(1);
      admission.noteConnection();
    }
    await turn();
    expect(begun).toEqual(["first"]);
    arrive("second");
    await turn();
    expect(begun).toEqual(["first", "second"]);
  });
});
