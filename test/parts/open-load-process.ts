/**
 * A process of its own that sends one request over and over, by HTTP/1.1: as
 * fast as so many connections take it (`perSecond` 0), or at a rate that waits
 * for no answer. Told what in its argument as JSON, tells two things likewise, a
 * line each: how long it took to open all connections at once and have an answer
 * on each, and what came of the load, which begins then.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What to send. */
export interface OpenLoad {
  readonly port: number;
  /** The whole of it. */
  readonly request: string;
  /** 0: each connection sends again when it has its answer. */
  readonly perSecond: number;
  /** With all of them waiting for an answer, what is due waits as well, and that counts. */
  readonly connections: number;
  readonly seconds: number;
}

/** What came of it. */
export interface OpenLoadResult {
  readonly due: number;
  /** Answers by status; `none` for what had no answer ten seconds after the last was due. */
  readonly answers: Readonly<Record<string, number>>;
  /** Answers with 200 a second, while the load lasted. */
  readonly goodput: number;
  /** From when a request was due to its answer with 200, in milliseconds. */
  readonly medianMs: number;
  readonly p99Ms: number;
  /** The same from when it was sent. */
  readonly sentMedianMs: number;
  readonly sentP99Ms: number;
  /** How much of a processor this process took while the load lasted. */
  readonly cores: number;
}

/** What opening the connections took, until each had an answer. */
export interface OpenedConnections {
  readonly openMs: number;
}

const tickMs = 2;
const patienceMs = 10_000;

/** One that sends when it is told to, and hears of each answer's status. */
class LoadConnection {
  readonly #socket: Socket;
  readonly #request: string;
  #received = "";

  constructor(port: number, request: string, onEnd: (status: string) => void) {
    this.#request = request;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (chunk) => {
      this.#received += chunk.toString("latin1");
      const end = this.#received.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(this.#received)?.[1] ?? 0);
      if (end < 0 || this.#received.length < end + 4 + length) return;
      const status = this.#received.slice(9, 12);
      this.#received = "";
      onEnd(status);
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => onEnd("cut"));
  }

  send(): void {
    this.#socket.write(this.#request);
  }
}

class Loader {
  readonly #load: OpenLoad;
  readonly #idle: (() => void)[] = [];
  /** What is due, of which so many were sent: to shift a long list takes longer than to send. */
  readonly #due: number[] = [];
  #sentCount = 0;
  readonly #times: number[] = [];
  readonly #sentTimes: number[] = [];
  readonly #answers: Record<string, number> = {};
  #goodInTime = 0;
  #endsAtMs = 0;

  constructor(load: OpenLoad) {
    this.#load = load;
  }

  /** Opens all connections and has each answer once. */
  async open(): Promise<OpenedConnections> {
    const beganAtMs = performance.now();
    await Promise.all(Array.from({ length: this.#load.connections }, () => this.#connect()));
    return { openMs: Math.round(performance.now() - beganAtMs) };
  }

  async run(): Promise<OpenLoadResult> {
    const { perSecond, seconds } = this.#load;
    const cpu = process.cpuUsage();
    const beganAtMs = performance.now();
    this.#endsAtMs = beganAtMs + seconds * 1000;
    for (let left = perSecond === 0 ? this.#idle.length : 0; left > 0; left -= 1) this.#arrive(beganAtMs);
    while (performance.now() < this.#endsAtMs) {
      const arrived = ((performance.now() - beganAtMs) / 1000) * perSecond;
      while (perSecond > 0 && this.#due.length < arrived) {
        this.#arrive(beganAtMs + (this.#due.length / perSecond) * 1000);
      }
      await sleep(tickMs);
    }
    const { user, system } = process.cpuUsage(cpu);
    const patientUntilMs = performance.now() + patienceMs;
    while (this.#outstanding > 0 && performance.now() < patientUntilMs) await sleep(20);
    if (this.#outstanding > 0) this.#answers.none = this.#outstanding;
    const [medianMs, p99Ms] = toQuantiles(this.#times);
    const [sentMedianMs, sentP99Ms] = toQuantiles(this.#sentTimes);
    return {
      due: this.#due.length,
      answers: this.#answers,
      goodput: Math.round(this.#goodInTime / seconds),
      medianMs,
      p99Ms,
      sentMedianMs,
      sentP99Ms,
      cores: Math.round((user + system) / seconds / 10_000) / 100,
    };
  }

  get #outstanding(): number {
    return this.#due.length - Object.values(this.#answers).reduce((sum, count) => sum + count, 0);
  }

  #arrive(dueAtMs: number): void {
    this.#due.push(dueAtMs);
    this.#idle.pop()?.();
  }

  /** Resolves once the connection has had its first answer, which counts to nothing else, or is cut. */
  #connect(): Promise<void> {
    return new Promise((resolve) => {
      let dueAtMs: number | undefined;
      let sentAtMs = 0;
      let isOpen = true;
      const connection = new LoadConnection(this.#load.port, this.#load.request, (status) => {
        isOpen &&= status !== "cut";
        resolve();
        if (dueAtMs !== undefined) this.#note(status, dueAtMs, sentAtMs);
        dueAtMs = undefined;
        if (isOpen) next();
      });
      const next = () => {
        if (!isOpen) return;
        dueAtMs = this.#due[this.#sentCount];
        if (dueAtMs === undefined) {
          this.#idle.push(next);
        } else {
          this.#sentCount += 1;
          sentAtMs = performance.now();
          connection.send();
        }
      };
      connection.send();
    });
  }

  #note(outcome: string, dueAtMs: number, sentAtMs: number): void {
    const nowMs = performance.now();
    this.#answers[outcome] = (this.#answers[outcome] ?? 0) + 1;
    if (outcome === "200") {
      this.#times.push(nowMs - dueAtMs);
      this.#sentTimes.push(nowMs - sentAtMs);
      if (nowMs < this.#endsAtMs) this.#goodInTime += 1;
    }
    if (this.#load.perSecond === 0 && nowMs < this.#endsAtMs) this.#due.push(nowMs);
  }
}

/** The median and the 99th percentile. */
function toQuantiles(times: readonly number[]): readonly [number, number] {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => Math.round(sorted[Math.floor(sorted.length * part)] ?? Number.NaN);
  return [at(0.5), at(0.99)];
}

const loader = new Loader(JSON.parse(process.argv[2] ?? ""));
const tell = (line: OpenedConnections | OpenLoadResult) =>
  new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, resolve));
await tell(await loader.open());
await tell(await loader.run());
process.exit();
