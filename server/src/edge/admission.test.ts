import { describe, expect, it } from "vitest";
import { Admission } from "./admission.ts";

/** A door whose time, turns and timers are the test's. */
function setUp({ refusalMs = 0 } = {}) {
  let nowMs = 10_000;
  let turns: (() => void)[] = [];
  let turnCount = 0;
  let timers: { readonly atMs: number; readonly callback: () => void }[] = [];
  const admission = new Admission({
    monotonicMs: () => nowMs,
    onTurn: (callback) => {
      turnCount += 1;
      turns.push(callback);
    },
    setTimer: (callback, ms) => timers.push({ atMs: nowMs + ms, callback }),
  });
  const begun: string[] = [];
  const refused: string[] = [];
  return {
    admission,
    begun,
    refused,
    /** How often the end of a turn was asked for. */
    turnCount: () => turnCount,
    /** Begins or keeps a request that takes so long, and came by that connection if any. */
    arrive(name: string, workMs = 1, connection?: ReturnType<typeof openConnection>) {
      const begin = () => {
        begun.push(name);
        nowMs += workMs;
      };
      if (admission.isOpenAt(nowMs)) return begin();
      const refuse = () => {
        refused.push(name);
        nowMs += refusalMs;
      };
      admission.enter({ atMs: nowMs, connection, begin, refuse });
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

/** A socket that is read or not. */
function openConnection() {
  let isPaused = false;
  return {
    destroyed: false,
    isPaused: () => isPaused,
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      isPaused = false;
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

  it("asks for the end of one turn of many that are short and follow upon each other", async () => {
    const { arrive, begun, pass, turn, turnCount } = setUp();
    arrive("first");
    await turn();
    for (const name of names(0, 4)) arrive(name);
    expect(turnCount()).toBe(1);
    pass(1);
    for (const name of names(4, 30)) arrive(name);
    expect(turnCount()).toBe(2);
    // From where the turn's end was asked for it has its slice, and not more.
    expect(begun).toEqual(["first", ...names(0, 24)]);
    await turn();
    await turn();
    expect(begun).toEqual(["first", ...names(0, 30)]);
  });

  it("keeps the rest in order, and begins it in slices between which sockets are read", async () => {
    const { admission, arrive, begun, turn } = setUp();
    for (const name of names(0, 70)) arrive(name);
    expect(begun).toEqual(names(0, 20));
    expect(admission.waitingCount).toBe(50);
    await turn();
    expect(begun).toEqual(names(0, 36));
    arrive("later");
    for (let turns = 0; turns < 4; turns += 1) await turn();
    expect(begun).toEqual([...names(0, 70), "later"]);
    expect(admission.refusedCount).toBe(0);
  });

  it("counts to a slice what requests do in ticks and microtasks", async () => {
    const { admission, begun, pass, turn } = setUp();
    admission.noteConnection();
    for (const name of names(0, 20)) {
      const work = async () => {
        await undefined;
        pass(5);
      };
      const begin = () => {
        begun.push(name);
        process.nextTick(() => process.nextTick(work));
      };
      admission.enter({ atMs: 10_000, begin, refuse: () => {} });
    }
    await turn();
    await turn();
    // The last begins while the one before is at it.
    expect(begun.length).toBeGreaterThanOrEqual(4);
    expect(begun.length).toBeLessThanOrEqual(6);
  });

  it.each([
    { afterMs: 0.1, least: 150, most: 200 },
    { afterMs: 0.5, least: 30, most: 40 },
    { afterMs: 10, least: 16, most: 16 },
  ])("begins as many as take a short turn when each takes $afterMs ms later", async (example) => {
    const { arrive, begun, pass, turn } = setUp();
    arrive("first", 21);
    let last = 0;
    for (let turns = 0; turns < 200; turns += 1) {
      for (let missing = 300; missing > 0; missing -= 1) arrive("waits", 0.001);
      const before = begun.length;
      await turn();
      last = begun.length - before;
      pass(last * example.afterMs);
    }
    expect(last).toBeGreaterThanOrEqual(example.least);
    expect(last).toBeLessThanOrEqual(example.most);
  });

  it("catches up after its machine was held up, and refuses nothing", async () => {
    const { admission, arrive, begun, pass, turn } = setUp();
    arrive("first", 30);
    for (const name of names(0, 64)) arrive(name);
    for (let pauses = 0; pauses < 3; pauses += 1) {
      pass(1_500);
      arrive(`after pause ${pauses}`);
      await turn();
    }
    for (let turns = 0; turns < 4; turns += 1) await turn();
    expect(begun).toHaveLength(68);
    expect(admission.refusedCount).toBe(0);
  });

  it("refuses what has waited for a second once that has been so for another, and what comes meanwhile", async () => {
    const { admission, arrive, begun, refused, pass, turn } = setUp();
    for (const name of names(0, 200)) arrive(name, 25);
    for (let turns = 0; turns < 80; turns += 1) {
      await turn();
      arrive(`meanwhile ${turns}`, 25);
    }
    expect(begun).toEqual(names(0, 81));
    expect(admission.refusedCount).toBe(0);
    await turn();
    const refusedAtFirst = admission.refusedCount;
    expect(refusedAtFirst).toBeGreaterThanOrEqual(119);
    // What came within the last second goes on waiting.
    expect(admission.waitingCount).toBeGreaterThanOrEqual(39);
    pass(1_001);
    arrive("too late");
    expect(admission.refusedCount).toBe(refusedAtFirst + 1);
    // Held back: a connection that is refused is quiet for a second.
    expect(refused).toEqual([]);
    await turn();
    expect(refused[0]).toBe("81");
  });

  it("begins what has waited for a second and no more", async () => {
    const { arrive, begun, pass, turn } = setUp();
    arrive("first", 30);
    arrive("second");
    pass(1_000);
    await turn();
    expect(begun).toEqual(["first", "second"]);
  });

  it("lets no more than so many wait, and holds no more than so many refusals back for long", async () => {
    const { admission, arrive, refused, turn } = setUp();
    arrive("first", 30);
    for (const name of names(0, 8_000)) arrive(name, 0);
    expect([admission.waitingCount, admission.refusedCount]).toEqual([8_000, 0]);
    for (const name of names(8_000, 12_000)) arrive(name);
    expect([admission.waitingCount, admission.refusedCount]).toEqual([8_000, 4_000]);
    await turn();
    expect(refused).toEqual([]);
    // A turn has begun sixteen.
    for (const name of names(12_000, 12_017)) arrive(name);
    await turn();
    expect(refused).toEqual(["8000"]);
  });

  it("refuses in slices as well", async () => {
    const { admission, arrive, pass, refused, turn } = setUp({ refusalMs: 1 });
    for (const name of names(0, 200)) arrive(name, 25);
    for (let turns = 0; turns < 81; turns += 1) await turn();
    expect(admission.refusedCount).toBe(119);
    pass(1_000);
    await turn();
    expect(refused).toEqual(names(81, 86));
    for (let turns = 0; turns < 30; turns += 1) await turn();
    expect(refused).toEqual(names(81, 200));
  });

  it("takes the connections that wait before it begins anything, but not for ever", async () => {
    const { admission, arrive, begun, pass, turn } = setUp();
    admission.noteConnection();
    arrive("first");
    for (let ms = 0; ms < 100; ms += 1) {
      await turn();
      expect(begun).toEqual([]);
      pass(1);
      admission.noteConnection();
    }
    await turn();
    expect(begun).toEqual([]);
    admission.noteConnection();
    await turn();
    expect(begun).toEqual(["first"]);
    arrive("second");
    await turn();
    expect(begun).toEqual(["first", "second"]);
  });

  it("then leaves as much time to what waits, however many connections come", async () => {
    const { admission, arrive, begun, pass, turn } = setUp();
    admission.noteConnection();
    for (const name of names(0, 1_000)) arrive(name);
    const phases: { begins: boolean; turns: number }[] = [];
    for (let turns = 0; turns < 250; turns += 1) {
      pass(1);
      admission.noteConnection();
      const before = begun.length;
      await turn();
      const begins = begun.length > before;
      const last = phases.at(-1);
      if (last?.begins === begins) last.turns += 1;
      else phases.push({ begins, turns: 1 });
    }
    // A turn that begins sixteen takes 17 ms: with seven of them the 100 ms are paid back, and the last counts to what follows.
    expect(phases.slice(0, 4)).toEqual([
      { begins: false, turns: 100 },
      { begins: true, turns: 7 },
      { begins: false, turns: 84 },
      { begins: true, turns: 7 },
    ]);
  });
});

/** A door at which so many wait, as streams of HTTP/2 do. */
function setUpFull({ waiting = 256, workMs = 1 } = {}) {
  const door = setUp();
  door.arrive("first", 30);
  for (const name of names(0, waiting)) door.arrive(name, workMs);
  expect(door.admission.waitingCount).toBe(waiting);
  return door;
}

describe("a connection that has had an answer", () => {
  it.each([
    { waiting: 255, is: "is read", isPaused: false },
    { waiting: 256, is: "is left unread", isPaused: true },
  ])("$is while $waiting wait", ({ waiting, isPaused }) => {
    const { admission } = setUpFull({ waiting });
    const connection = openConnection();
    admission.noteAnswered(connection);
    expect(connection.isPaused()).toBe(isPaused);
    expect(admission.unreadCount).toBe(Number(isPaused));
  });

  it("is left unread while another is, so that none goes before it", async () => {
    const { admission, turn } = setUpFull();
    const others = Array.from({ length: 257 }, openConnection);
    for (const other of others) admission.noteAnswered(other);
    await turn();
    expect(admission.waitingCount).toBeLessThan(256);
    expect(others.map((other) => other.isPaused())).toEqual([...Array(256).fill(false), true]);
    const connection = openConnection();
    admission.noteAnswered(connection);
    expect(connection.isPaused()).toBe(true);
    await turn();
    expect(others.at(-1)?.isPaused()).toBe(false);
    expect(connection.isPaused()).toBe(false);
  });

  it("has what it brings begun by its age, however many streams wait", async () => {
    const { admission, arrive, begun, pass, turn } = setUpFull({ waiting: 500, workMs: 1 });
    pass(10);
    const connection = openConnection();
    admission.noteAnswered(connection);
    pass(10);
    for (const name of names(500, 900)) arrive(name);
    await turn();
    arrive("of the connection", 1, connection);
    for (let turns = 0; turns < 200 && admission.waitingCount > 0; turns += 1) await turn();
    expect(begun).toEqual(["first", ...names(0, 500), "of the connection", ...names(500, 900)]);
  });

  it("has what it brings refused once others are, when it has waited too long to be read", async () => {
    const { admission, arrive, begun, refused, pass, turn } = setUpFull({ waiting: 400, workMs: 25 });
    const [silent, asking] = [openConnection(), openConnection()];
    // So many before them that they are read once a second of lateness is over.
    const before = Array.from({ length: 256 * 85 }, openConnection);
    for (const each of [...before, silent, asking]) admission.noteAnswered(each);
    let turns = 0;
    for (; turns < 200 && asking.isPaused(); turns += 1) {
      await turn();
      arrive(`meanwhile ${turns}`, 25);
    }
    expect(turns).toBeLessThan(200);
    const refusedBefore = admission.refusedCount;
    arrive("too late", 25, asking);
    for (let more = 0; more < 3; more += 1) await turn();
    expect(admission.refusedCount).toBeGreaterThan(refusedBefore);
    // What comes later than the turn in which the connection is read again has just come.
    arrive("in time", 25, silent);
    for (let more = 0; more < 200; more += 1) {
      await turn();
      pass(25);
    }
    expect(refused).toContain("too late");
    expect(begun).toContain("in time");
  });

  it("is read again once there is nothing to do, also one that has nothing to say or has gone", async () => {
    const { admission, arrive, begun, turn } = setUpFull();
    const connections = Array.from({ length: 600 }, openConnection);
    for (const connection of connections) admission.noteAnswered(connection);
    connections.slice(0, 100).map((connection) => Object.assign(connection, { destroyed: true }));
    for (let turns = 0; turns < 30; turns += 1) await turn();
    expect(connections.slice(100).filter((connection) => connection.isPaused())).toEqual([]);
    expect(admission.unreadCount).toBe(0);
    arrive("next");
    expect(begun.at(-1)).toBe("next");
  });

  it("can have no more wait than others", async () => {
    const { admission, arrive, turn } = setUpFull();
    const connection = openConnection();
    admission.noteAnswered(connection);
    await turn();
    const waiting = admission.waitingCount;
    for (const name of names(0, 8_000)) arrive(name, 1, connection);
    expect([admission.waitingCount, admission.refusedCount]).toEqual([8_000, waiting]);
  });

  it("has one turn, however many requests it sent at once", async () => {
    const { admission } = setUpFull();
    const connection = openConnection();
    for (let answers = 0; answers < 3; answers += 1) admission.noteAnswered(connection);
    expect(admission.unreadCount).toBe(1);
  });
});
