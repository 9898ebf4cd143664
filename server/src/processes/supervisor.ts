/**
 * Several processes that serve one port, and who looks after them: the
 * supervisor starts them, starts another for one that has ended, ends them
 * together, and passes their metrics on. It serves nothing itself, opens no
 * database, and knows nothing of what they serve.
 */
import type { Log } from "../lib/log.ts";
import type { ProcessEnd, ServingProcess } from "./fork.ts";
import { Gathering } from "./gathering.ts";
import type { MemberMessage, SupervisorMessage } from "./messages.ts";
import { TurnGiver } from "./turns.ts";

/** What a supervisor is made of. */
export interface SupervisorOptions {
  /** How many processes serve. */
  readonly count: number;
  readonly log: Log;
  /** Starts the one of that number. */
  readonly fork: (number: number, isJoining: boolean) => ServingProcess;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  /** How long they may take to end, in milliseconds. */
  readonly stopMs: number;
}

/** No process serves, or not all ended well. Why is what they have said themselves. */
class ProcessesError extends Error {
  override readonly name = "ProcessesError";
}

/** The place of a process, which others take after it. */
interface Place {
  readonly number: number;
  process: ServingProcess | undefined;
  isReady: boolean;
  starts: number;
  startedAtMs: number;
  /** How many in a row ended as soon as they were started. */
  failures: number;
  timer: NodeJS.Timeout | undefined;
}

/** A process that has lived this long did not end of how it was started, in milliseconds. */
const livedMs = 10_000;

/** The first pause and the longest before another is started, in milliseconds; it doubles in between. */
const firstPauseMs = 100;
const longestPauseMs = 30_000;

/** How long a process may take to say its metrics, in milliseconds. */
const metricsMs = 1_000;

/** @see the head of this file */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #places: readonly Place[];
  readonly #gatherings = new Map<number, Gathering>();
  readonly #turns = new TurnGiver((number, type) => this.#places[number - 1]?.process?.send({ type }));
  #lastGathering = 0;
  readonly #served = Promise.withResolvers<void>();
  #hasServed = false;
  #isStopping = false;
  /** What all are told to end by, once they are. */
  #stop: SupervisorMessage | undefined;
  readonly #ended = Promise.withResolvers<void>();
  readonly #failed: string[] = [];

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.count }, (_, index) => ({
      number: index + 1,
      process: undefined,
      isReady: false,
      starts: 0,
      startedAtMs: 0,
      failures: 0,
      timer: undefined,
    }));
  }

  /**
   * Starts one process and, once it serves, the others: what is made on an
   * empty database is made by one.
   *
   * @throws ProcessesError when it ends before it serves.
   */
  async start(): Promise<void> {
    const [first, ...others] = this.#places;
    if (first !== undefined) this.#start(first);
    await this.#served.promise;
    if (this.#isStopping) return;
    for (const place of others) this.#start(place);
  }

  /**
   * Has all processes end, and waits for it.
   *
   * @throws ProcessesError when one did not end well, or not in time.
   */
  async stop(signal: string): Promise<void> {
    this.#isStopping = true;
    this.#stop = { type: "stop", signal };
    for (const { timer, process } of this.#places) {
      clearTimeout(timer);
      process?.send(this.#stop);
    }
    const late = setTimeout(() => this.kill(), this.#options.stopMs);
    this.#settleEnded();
    await this.#ended.promise;
    clearTimeout(late);
    if (this.#failed.length > 0) throw new ProcessesError(`stopped, but ${this.#failed.join(", ")}`);
  }

  /** Ends all processes at once. */
  kill(): void {
    this.#isStopping = true;
    for (const { process } of this.#places) process?.kill();
  }

  #start(place: Place): void {
    const { log, fork, monotonicMs } = this.#options;
    const process = fork(place.number, this.#hasServed);
    place.process = process;
    place.starts += 1;
    place.startedAtMs = monotonicMs();
    log.info({ process: place.number, pid: process.pid }, "process started");
    process.onMessage((message) => this.#hear(place, process, message));
    process.onEnd((how) => this.#noteEnd(place, { pid: process.pid, ...how }));
  }

  #noteEnd(place: Place, how: { readonly pid: number | undefined } & ProcessEnd): void {
    place.process = undefined;
    place.isReady = false;
    for (const gathering of this.#gatherings.values()) gathering.leaveOut(place.number);
    this.#turns.leave(place.number);
    if (this.#isStopping) {
      if (how.code !== 0) this.#failed.push(`process ${place.number} ended with ${how.signal ?? how.code}`);
      this.#settleEnded();
    } else if (this.#hasServed) {
      this.#startLater(place, how);
    } else {
      this.#served.reject(new ProcessesError("no process serves: the first one ended as it was started"));
    }
  }

  #startLater(place: Place, how: ProcessEnd): void {
    const { log, monotonicMs } = this.#options;
    const hasLived = monotonicMs() - place.startedAtMs >= livedMs;
    place.failures = hasLived ? 0 : place.failures + 1;
    const pauseMs = hasLived ? 0 : Math.min(firstPauseMs * 2 ** (place.failures - 1), longestPauseMs);
    log.error({ process: place.number, ...how, pauseMs }, "a process has ended; another is started");
    place.timer = setTimeout(() => this.#start(place), pauseMs);
  }

  #settleEnded(): void {
    if (this.#places.some(({ process }) => process !== undefined)) return;
    this.#served.resolve();
    this.#ended.resolve();
  }

  #hear(place: Place, process: ServingProcess, message: MemberMessage): void {
    // What one said that has ended is not the next one's: a turn would go to nobody.
    if (place.process !== process) return;
    switch (message.type) {
      case "ready":
        // What it was told while it loaded its code, it has not heard.
        if (this.#stop !== undefined) process.send(this.#stop);
        place.isReady = true;
        this.#hasServed = true;
        this.#served.resolve();
        break;
      case "metrics":
        this.#gatherings.get(message.id)?.take(place.number, message.text);
        break;
      case "gather":
        void this.#gather(place).then((texts) => process.send({ type: "gathered", id: message.id, texts }));
        break;
      case "wake":
        for (const other of this.#places) if (other !== place) other.process?.send({ type: "wake" });
        break;
      case "want turn":
        this.#turns.want(place.number);
        break;
      case "end turn":
        this.#turns.end(place.number);
    }
  }

  /** Asks all but one for their metrics. */
  async #gather(asking: Place): Promise<readonly string[]> {
    this.#lastGathering += 1;
    const id = this.#lastGathering;
    const asked = this.#places.filter((place) => place !== asking && place.isReady);
    const gathering = new Gathering(asked.map(({ number }) => number));
    this.#gatherings.set(id, gathering);
    for (const { process } of asked) process?.send({ type: "read", id });
    const texts = await gathering.wait(metricsMs);
    this.#gatherings.delete(id);
    return [renderSupervision(this.#places), ...texts];
  }
}

/** What the supervisor itself counts, in the text format of Prometheus. */
function renderSupervision(places: readonly Place[]): string {
  const toLines = (name: string, read: (place: Place) => number) =>
    places.map((place) => `vestibule_${name}{process="${place.number}"} ${read(place)}`);
  return [
    "# HELP vestibule_process_up 1 while this one of several processes serves, 0 while it is started.",
    "# TYPE vestibule_process_up gauge",
    ...toLines("process_up", ({ isReady }) => Number(isReady)),
    "",
    "# HELP vestibule_process_starts_total How often this one of several processes was started.",
    "# TYPE vestibule_process_starts_total counter",
    ...toLines("process_starts_total", ({ starts }) => starts),
    "",
  ].join("\n");
}
