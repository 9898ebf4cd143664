/** Requests at a rate that waits for no answer: how long those wait who come to a server that is busy in part. */
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createRequests, openConnections, type PlainLoad } from "./http1-load.ts";
import type { Latencies } from "./latency-load.ts";

/** What is sent, and how often. */
export interface PacedLoad extends Omit<PlainLoad, "body"> {
  readonly body?: string;
  readonly perSecond: number;
}

/** Sends when it is time; what finds no connection free waits for one, and that counts. */
export class PacedLoader {
  readonly #load: PacedLoad;
  #sockets: Socket[] = [];
  readonly #idle: Socket[] = [];
  /** When the request on a connection was due. */
  readonly #dueAt = new Map<Socket, number>();
  #taken: number[] = [];

  constructor(load: PacedLoad) {
    this.#load = load;
  }

  /** Milliseconds from when each request was due to its whole answer. @throws Error for any other answer than 2xx */
  async sample(seconds: number): Promise<Latencies> {
    const { perSecond, body = "" } = this.#load;
    if (this.#sockets.length === 0) await this.#connect();
    const makeRequest = createRequests({ ...this.#load, body }, Buffer.from(body));
    this.#taken = [];
    const beganAt = performance.now();
    for (let sent = 0; ; ) {
      const now = performance.now();
      if (now - beganAt >= seconds * 1000) break;
      for (; this.#idle.length > 0; sent++) {
        const dueAt = beganAt + (sent / perSecond) * 1000;
        const socket = dueAt <= now ? this.#idle.pop() : undefined;
        if (socket === undefined) break;
        this.#dueAt.set(socket, dueAt);
        socket.write(makeRequest());
      }
      await nextTurn();
    }
    while (this.#idle.length < this.#sockets.length) await nextTurn();
    return { answer: this.#taken };
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #connect(): Promise<void> {
    this.#sockets = await openConnections(this.#load, (socket, isGood) => {
      if (!isGood) throw new Error(`${this.#load.path} was not answered with 2xx`);
      this.#taken.push(performance.now() - (this.#dueAt.get(socket) ?? Number.NaN));
      this.#idle.push(socket);
    });
    this.#idle.push(...this.#sockets);
  }
}
