import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Log, silentLog } from "../lib/log.ts";
import type { ProcessEnd, ServingProcess } from "./fork.ts";
import type { MemberMessage, SupervisorMessage } from "./messages.ts";
import { Supervisor } from "./supervisor.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A process that does what the test says. */
class FakeProcess implements ServingProcess {
  readonly pid: number;
  readonly number: number;
  readonly isJoining: boolean;
  readonly sent: SupervisorMessage[] = [];
  isKilled = false;
  #onMessage: (message: MemberMessage) => void = () => {};
  #onEnd: (how: ProcessEnd) => void = () => {};

  constructor(pid: number, number: number, isJoining: boolean) {
    this.pid = pid;
    this.number = number;
    this.isJoining = isJoining;
  }

  send(message: SupervisorMessage): void {
    this.sent.push(message);
  }

  onMessage(listener: (message: MemberMessage) => void): void {
    this.#onMessage = listener;
  }

  onEnd(listener: (how: ProcessEnd) => void): void {
    this.#onEnd = listener;
  }

  kill(): void {
    this.isKilled = true;
  }

  say(message: MemberMessage): void {
    this.#onMessage(message);
  }

  end(code: number | null, signal: string | null = null): void {
    this.#onEnd({ code, signal });
  }
}

function setUp(count: number) {
  const forked: FakeProcess[] = [];
  const lines: object[] = [];
  const log: Log = { ...silentLog, error: (fields, message) => lines.push({ ...fields, message }) };
  const supervisor = new Supervisor({
    count,
    log,
    fork: (number, isJoining) => {
      const made = new FakeProcess(100 + forked.length, number, isJoining);
      forked.push(made);
      return made;
    },
    monotonicMs: () => Date.now(),
    stopMs: 1000,
  });
  const at = (index: number): FakeProcess => {
    const found = forked[index];
    if (found === undefined) throw new Error(`no process ${index} was started`);
    return found;
  };
  const startAll = async () => {
    const started = supervisor.start();
    at(0).say({ type: "ready" });
    await started;
    for (const each of forked.slice(1)) each.say({ type: "ready" });
  };
  return { supervisor, forked, at, lines, startAll };
}

describe("a start", () => {
  it("is one process, and the others once that serves", async () => {
    const { supervisor, forked, at } = setUp(3);
    const started = supervisor.start();
    expect(forked.map(({ number, isJoining }) => [number, isJoining])).toEqual([[1, false]]);
    at(0).say({ type: "ready" });
    await started;
    expect(forked.map(({ number, isJoining }) => [number, isJoining])).toEqual([
      [1, false],
      [2, true],
      [3, true],
    ]);
  });

  it("fails with the first process, and starts no other", async () => {
    const { supervisor, forked, at } = setUp(3);
    const started = supervisor.start();
    at(0).end(1);
    await expect(started).rejects.toMatchObject({ name: "ProcessesError" });
    await vi.runAllTimersAsync();
    expect(forked).toHaveLength(1);
  });

  it("that is stopped before anything serves ends with the process", async () => {
    const { supervisor, forked, at } = setUp(2);
    const started = supervisor.start();
    const stopped = supervisor.stop("SIGTERM");
    expect(at(0).sent).toEqual([{ type: "stop", signal: "SIGTERM" }]);
    at(0).end(0);
    await Promise.all([started, stopped]);
    expect(forked).toHaveLength(1);
  });
});

it("a process that is told to end before it can hear is told again", async () => {
  const { supervisor, at } = setUp(1);
  const started = supervisor.start();
  const stopped = supervisor.stop("SIGTERM");
  at(0).say({ type: "ready" });
  const stop = { type: "stop", signal: "SIGTERM" };
  expect(at(0).sent).toEqual([stop, stop]);
  at(0).end(0);
  await Promise.all([started, stopped]);
});

describe("a process that ends", () => {
  it("has another in its place at once, if it had lived", async () => {
    const { forked, at, lines, startAll } = setUp(2);
    await startAll();
    vi.advanceTimersByTime(10_000);
    at(1).end(null, "SIGKILL");
    vi.advanceTimersByTime(0);
    expect(forked.map(({ number }) => number)).toEqual([1, 2, 2]);
    expect(at(2).isJoining).toBe(true);
    expect(lines).toEqual([
      {
        process: 2,
        pid: 101,
        code: null,
        signal: "SIGKILL",
        pauseMs: 0,
        message: "a process has ended; another is started",
      },
    ]);
  });

  it("again and again as it is started is started ever later, up to half a minute", async () => {
    const { forked, lines, startAll } = setUp(1);
    await startAll();
    for (let time = 0; time < 11; time += 1) {
      forked.at(-1)?.end(1);
      vi.advanceTimersByTime((lines.at(-1) as { pauseMs: number }).pauseMs);
    }
    expect(forked).toHaveLength(12);
    expect(lines.map((line) => (line as { pauseMs: number }).pauseMs)).toEqual([
      100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
    ]);
    // Once one has lived it is as if nothing had been.
    vi.advanceTimersByTime(10_000);
    forked.at(-1)?.end(1);
    expect(lines.at(-1)).toMatchObject({ pauseMs: 0 });
  });

  it("has nobody in its place once all are to end, nor has one that was to be started", async () => {
    const { supervisor, forked, at, startAll } = setUp(2);
    await startAll();
    at(1).end(1);
    const stopped = supervisor.stop("SIGINT");
    at(0).end(0);
    await stopped;
    await vi.runAllTimersAsync();
    expect(forked).toHaveLength(2);
  });
});

describe("an end", () => {
  it("is well when all end well", async () => {
    const { supervisor, at, startAll } = setUp(2);
    await startAll();
    const stopped = supervisor.stop("SIGTERM");
    for (const index of [0, 1]) {
      expect(at(index).sent).toContainEqual({ type: "stop", signal: "SIGTERM" });
      at(index).end(0);
    }
    await stopped;
  });

  it("names those that gave something up, and those that were killed as they took too long", async () => {
    const { supervisor, at, startAll } = setUp(3);
    await startAll();
    const stopped = supervisor.stop("SIGTERM").catch(String);
    at(0).end(0);
    at(1).end(1);
    vi.advanceTimersByTime(999);
    expect(at(2).isKilled).toBe(false);
    vi.advanceTimersByTime(1);
    expect(at(2).isKilled).toBe(true);
    at(2).end(null, "SIGKILL");
    expect(await stopped).toBe(
      "ProcessesError: stopped, but process 2 ended with 1, process 3 ended with SIGKILL",
    );
  });
});

describe("metrics", () => {
  const gathered = (to: FakeProcess) => to.sent.find(({ type }) => type === "gathered");

  it("are those of the others that serve, and what the supervisor counts", async () => {
    const { at, startAll } = setUp(3);
    await startAll();
    at(1).say({ type: "gather", id: 7 });
    expect(at(0).sent).toEqual([{ type: "read", id: 1 }]);
    expect(at(1).sent).toEqual([]);
    at(2).say({ type: "metrics", id: 1, text: "of three" });
    at(0).say({ type: "metrics", id: 1, text: "of one" });
    await vi.advanceTimersByTimeAsync(0);
    expect(gathered(at(1))).toMatchObject({
      id: 7,
      texts: [expect.stringContaining('vestibule_process_up{process="3"} 1'), "of one", "of three"],
    });
  });

  it("wait for nobody who has ended, nor longer than a second for whoever does not answer", async () => {
    const { at, startAll } = setUp(3);
    await startAll();
    at(0).say({ type: "gather", id: 1 });
    at(1).end(null, "SIGKILL");
    at(2).say({ type: "metrics", id: 1, text: "of three" });
    await vi.advanceTimersByTimeAsync(0);
    expect(gathered(at(0))).toMatchObject({ texts: [expect.stringContaining("up"), "of three"] });

    at(2).say({ type: "gather", id: 2 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(gathered(at(2))).toMatchObject({ id: 2, texts: [expect.stringContaining("up")] });
  });
});

it("what one has written the others are woken for", async () => {
  const { at, startAll } = setUp(3);
  await startAll();
  at(1).say({ type: "wake" });
  expect(at(0).sent).toEqual([{ type: "wake" }]);
  expect(at(1).sent).toEqual([]);
  expect(at(2).sent).toEqual([{ type: "wake" }]);
});

it("what one still says that has ended is nobody's", async () => {
  const { at, startAll } = setUp(2);
  await startAll();
  at(1).end(null, "SIGKILL");
  at(1).say({ type: "want turn" });
  at(0).say({ type: "want turn" });
  expect(at(0).sent).toEqual([{ type: "turn" }]);
});
