/** A load generator for gRPC: unary calls over a few HTTP/2 connections. */
import { type ClientHttp2Session, connect } from "node:http2";
import type { Window } from "./http1-load.ts";

/** One unary call, the same every time. */
export interface GrpcLoad {
  readonly port: number;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The request message, encoded. */
  readonly message: Uint8Array;
  readonly connections: number;
  /** Calls under way on each connection. */
  readonly streams: number;
  /** Every call is to be refused. */
  readonly isRefused?: boolean;
}

/** Drives a server until told to stop. */
export class GrpcLoader {
  readonly #load: GrpcLoad;
  readonly #body: Buffer;
  #sessions: ClientHttp2Session[] = [];
  #requests = 0;
  #failures = 0;
  #isRunning = false;

  constructor(load: GrpcLoad) {
    this.#load = load;
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(load.message.length, 1);
    this.#body = Buffer.concat([prefix, load.message]);
  }

  async run(seconds: number): Promise<Window> {
    if (this.#sessions.length === 0 || this.#sessions.some(({ closed, destroyed }) => closed || destroyed)) {
      this.close();
      this.#sessions = Array.from({ length: this.#load.connections }, () =>
        connect(`http://127.0.0.1:${this.#load.port}`),
      );
    }
    this.#requests = 0;
    this.#failures = 0;
    this.#isRunning = true;
    const startedAt = performance.now();
    for (const session of this.#sessions) {
      for (let stream = 0; stream < this.#load.streams; stream++) this.#call(session);
    }
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    this.#isRunning = false;
    const elapsed = (performance.now() - startedAt) / 1000;
    const window = { requests: this.#requests, seconds: elapsed, failures: this.#failures };
    await new Promise((resolve) => setTimeout(resolve, 50));
    return window;
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #call(session: ClientHttp2Session): void {
    // A call of a connection that has ended fails in the same turn, and the next one would too, for ever.
    if (session.closed || session.destroyed) {
      this.#failures++;
      return;
    }
    const stream = session.request({
      ":method": "POST",
      ":path": this.#load.path,
      "content-type": "application/grpc",
      te: "trailers",
      ...this.#load.headers,
    });
    let status: unknown;
    stream.on("response", (headers) => {
      status = headers["grpc-status"];
    });
    stream.on("trailers", (headers) => {
      status = headers["grpc-status"];
    });
    stream.on("data", () => {});
    stream.on("close", () => {
      this.#requests++;
      const isGood = this.#load.isRefused ? Number(status) > 0 : status === "0";
      if (!isGood) this.#failures++;
      if (this.#isRunning) this.#call(session);
    });
    stream.on("error", () => {});
    stream.end(this.#body);
  }
}
