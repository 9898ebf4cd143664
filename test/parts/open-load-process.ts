/**
 * A process of its own that sends one request over and over, by HTTP/1.1: as
 * fast as so many connections take it (`perSecond` 0), or at a rate that waits
 * for no answer. Told what in its argument as JSON, tells the outcome likewise.
 */
import { connect, type Socket } from "node:net";

/** What to send. */
export interface OpenLoad {
  readonly port: number;
  /** The whole of it. */
  readonly request: string;
  /** 0: each connection sends again when it has its answer. */
  readonly perSecond: number;
  /** Opened as they are needed; with all of them waiting, what is due waits as well, and that counts. */
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
}

const tickMs = 2;
const patienceMs = 10_000;

class Loader {
  readonly #load: OpenLoad;
  readonly #idle: Socket[] = [];
  /** What is due, of which so many were sent: to shift a long list takes longer than to send. */
  readonly #due: number[] = [];
  #sentCount = 0;
  readonly #times: number[] = [];
  readonly #answers: Record<string, number> = {};
  #open = 0;
  #count = 0;
  #goodInTime = 0;
  #endsAtMs = 0;

  constructor(load: OpenLoad) {
    this.#load = load;
  }

  async run(): Promise<OpenLoadResult> {
    const { perSecond, connections, seconds } = this.#load;
    const beganAtMs = performance.now();
    this.#endsAtMs = beganAtMs + seconds * 1000;
    if (perSecond === 0) for (let at = 0; at < connections; at += 1) this.#arrive(performance.now());
    while (performance.now() < this.#endsAtMs) {
      const arrived = ((performance.now() - beganAtMs) / 1000) * perSecond;
      while (perSecond > 0 && this.#count < arrived) {
        this.#arrive(beganAtMs + (this.#count / perSecond) * 1000);
      }
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
    const patientUntilMs = performance.now() + patienceMs;
    while (this.#outstanding > 0 && performance.now() < patientUntilMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (this.#outstanding > 0) this.#answers.none = this.#outstanding;
    const times = this.#times.toSorted((a, b) => a - b);
    const at = (part: number) => Math.round(times[Math.floor(times.length * part)] ?? Number.NaN);
    return {
      due: this.#count,
      answers: this.#answers,
      goodput: Math.round(this.#goodInTime / seconds),
      medianMs: at(0.5),
      p99Ms: at(0.99),
    };
  }

  get #outstanding(): number {
    return this.#count - Object.values(this.#answers).reduce((sum, count) => sum + count, 0);
  }

  #arrive(dueAtMs: number): void {
    this.#count += 1;
    this.#due.push(dueAtMs);
    const idle = this.#idle.pop();
    if (idle !== undefined) this.#send(idle);
    else if (this.#open < this.#load.connections) this.#connect();
  }

  #connect(): void {
    this.#open += 1;
    const socket = connect({ port: this.#load.port, host: "127.0.0.1", noDelay: true });
    let sentAtMs: number | undefined;
    let received = "";
    const next = () => {
      sentAtMs = this.#due[this.#sentCount];
      if (sentAtMs === undefined) {
        this.#idle.push(socket);
      } else {
        this.#sentCount += 1;
        socket.write(this.#load.request);
      }
    };
    this.#sends.set(socket, next);
    socket.on("connect", next);
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      const end = received.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
      if (end < 0 || received.length < end + 4 + length) return;
      this.#note(received.slice(9, 12), sentAtMs ?? 0);
      sentAtMs = undefined;
      received = "";
      next();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#open -= 1;
      if (sentAtMs !== undefined) this.#note("cut", sentAtMs);
    });
  }

  readonly #sends = new WeakMap<Socket, () => void>();

  #send(socket: Socket): void {
    this.#sends.get(socket)?.();
  }

  #note(outcome: string, dueAtMs: number): void {
    const nowMs = performance.now();
    this.#answers[outcome] = (this.#answers[outcome] ?? 0) + 1;
    if (outcome === "200") this.#times.push(nowMs - dueAtMs);
    if (outcome === "200" && nowMs < this.#endsAtMs) this.#goodInTime += 1;
    if (this.#load.perSecond === 0 && nowMs < this.#endsAtMs) this.#arrive(nowMs);
  }
}

const result = await new Loader(JSON.parse(process.argv[2] ?? "")).run();
process.stdout.write(JSON.stringify(result), () => process.exit());
