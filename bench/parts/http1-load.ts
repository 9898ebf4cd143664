/**
 * A load generator for HTTP/1.1 that costs less than any server it drives: one
 * request's bytes are made once, answers are only counted to their end.
 */
import { connect, type Socket } from "node:net";

/** One request, the same every time but for its body. */
export interface PlainLoad {
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of several, each has its turn. */
  readonly body: string | readonly string[];
  readonly connections: number;
}

/** What a window saw. */
export interface Window {
  readonly requests: number;
  readonly seconds: number;
  /** Answers with a status other than 2xx. */
  readonly failures: number;
}

/** Drives a server until told to stop. */
export class PlainLoader {
  readonly #requests: readonly Buffer[];
  readonly #load: PlainLoad;
  #next = 0;
  #sockets: Socket[] = [];
  #answers = 0;
  #failures = 0;
  #isRunning = false;

  constructor(load: PlainLoad) {
    this.#load = load;
    this.#requests = [load.body].flat().map((body) => toRequest(load, Buffer.from(body)));
  }

  /** Runs for a while over connections that stay open between windows. */
  async run(seconds: number): Promise<Window> {
    if (this.#sockets.length === 0) await this.#connect();
    this.#answers = 0;
    this.#failures = 0;
    this.#isRunning = true;
    const startedAt = performance.now();
    for (const socket of this.#sockets) this.#ask(socket);
    this.#stayAwake();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    this.#isRunning = false;
    const elapsed = (performance.now() - startedAt) / 1000;
    const window = { requests: this.#answers, seconds: elapsed, failures: this.#failures };
    // Let the answers on their way come in before anyone else is measured.
    await new Promise((resolve) => setTimeout(resolve, 50));
    return window;
  }

  /**
   * Never waits for an answer asleep: to wake another core is work for whoever sends the answer, here the
   * server, and only for one that is slower than this.
   */
  #stayAwake(): void {
    if (this.#isRunning) setImmediate(() => this.#stayAwake());
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #ask(socket: Socket): void {
    socket.write(this.#requests[this.#next++ % this.#requests.length] ?? "");
  }

  async #connect(): Promise<void> {
    const made = Array.from({ length: this.#load.connections }, () => this.#open());
    this.#sockets = await Promise.all(made);
  }

  #open(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#load.port, "127.0.0.1", () => resolve(socket));
      socket.setNoDelay(true);
      socket.on("error", reject);
      let pending: Buffer = Buffer.alloc(0);
      socket.on("data", (chunk: Buffer) => {
        pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
        const end = findEnd(pending);
        if (end < 0) return;
        if (pending[9] !== 0x32) this.#failures++;
        pending = pending.subarray(end);
        this.#answers++;
        if (this.#isRunning) this.#ask(socket);
      });
    });
  }
}

function toRequest(load: PlainLoad, body: Buffer): Buffer {
  const headers = {
    host: `127.0.0.1:${load.port}`,
    ...load.headers,
    ...(load.method !== "GET" && { "content-length": String(body.length) }),
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${load.method} ${load.path} HTTP/1.1\r\n${head.join("")}\r\n`), body]);
}

/** Where the first answer in the bytes ends; -1 while it is not whole. */
function findEnd(bytes: Buffer): number {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return -1;
  const head = bytes.toString("latin1", 0, headEnd).toLowerCase();
  const length = /content-length: *(\d+)/.exec(head)?.[1];
  if (length !== undefined) {
    const end = headEnd + 4 + Number(length);
    return bytes.length >= end ? end : -1;
  }
  if (!head.includes("transfer-encoding: chunked")) return headEnd + 4;
  const last = bytes.indexOf("0\r\n\r\n", headEnd + 2);
  return last < 0 ? -1 : last + 5;
}
