/** Many who watch the providers of a frontdoor by gRPC, and somebody who changes one now and then. */
import { type ClientHttp2Session, connect } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  WatchAuthProvidersRequestSchema,
  WatchAuthProvidersResponseSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import type { Latencies } from "./latency-load.ts";

/** Who watches what. */
export interface WatchLoad {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly frontdoorId: string;
  /** The provider that is changed. */
  readonly providerId: string;
  readonly watchers: number;
  readonly connections: number;
}

/** From one change to the next, in milliseconds. */
const betweenMs = 500;
const watchPath = "/vestibule.v1.FrontdoorAuthProviderService/WatchAuthProviders";

/** Watches until it is closed. */
export class WatchLoader {
  readonly #load: WatchLoad;
  readonly #request: Buffer;
  #sessions: ClientHttp2Session[] = [];
  #onEvent: (event: string) => void = () => {};
  #failure: Error | undefined;

  constructor(load: WatchLoad) {
    this.#load = load;
    const message = toBinary(
      WatchAuthProvidersRequestSchema,
      create(WatchAuthProvidersRequestSchema, { frontdoorId: load.frontdoorId }),
    );
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    this.#request = Buffer.concat([prefix, message]);
  }

  /** Resolves when every watcher has seen the snapshot. */
  async open(): Promise<void> {
    const { port, watchers, connections } = this.#load;
    this.#sessions = Array.from({ length: connections }, () => connect(`http://127.0.0.1:${port}`));
    const all = this.#untilAll("snapshot_end");
    for (let index = 0; index < watchers; index++) this.#watch(index);
    await all;
  }

  /** Milliseconds from sending a change to its arrival at each watcher. @throws Error when a stream ends */
  async sample(seconds: number): Promise<Latencies> {
    const change: number[] = [];
    const until = performance.now() + seconds * 1000;
    for (let revision = 0; performance.now() < until; revision++) {
      const startedAt = performance.now();
      const all = this.#untilAll("updated", () => change.push(performance.now() - startedAt));
      await Promise.all([this.#change(`changed ${startedAt} ${revision}`), all]);
      await sleep(betweenMs);
    }
    return { change };
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  async #change(name: string): Promise<void> {
    const { port, headers, frontdoorId, providerId } = this.#load;
    const url = `http://127.0.0.1:${port}/frontdoor/${frontdoorId}/auth-providers/${providerId}`;
    const answer = await fetch(url, { method: "PATCH", headers, body: JSON.stringify({ name }) });
    if (!answer.ok) throw new Error(`PATCH answered ${answer.status}`);
    await answer.arrayBuffer();
  }

  #untilAll(wanted: string, onEach = () => {}): Promise<void> {
    return new Promise((resolve, reject) => {
      let missing = this.#load.watchers;
      this.#onEvent = (event) => {
        if (this.#failure !== undefined) return reject(this.#failure);
        if (event !== wanted) return;
        onEach();
        missing -= 1;
        if (missing === 0) resolve();
      };
    });
  }

  #watch(index: number): void {
    const session = this.#sessions[index % this.#sessions.length];
    const stream = session?.request({
      ":method": "POST",
      ":path": watchPath,
      ...this.#load.headers,
      "content-type": "application/grpc",
      te: "trailers",
    });
    if (stream === undefined) throw new Error("no connection");
    let pending: Buffer = Buffer.alloc(0);
    stream.on("data", (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
        const end = 5 + pending.readUInt32BE(1);
        this.#onEvent(fromBinary(WatchAuthProvidersResponseSchema, pending.subarray(5, end)).event);
        pending = pending.subarray(end);
      }
    });
    let status: unknown;
    stream.on("trailers", (trailers) => {
      status = `${trailers["grpc-status"]} ${trailers["grpc-message"] ?? ""}`;
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      if (session?.destroyed) return;
      this.#failure = new Error(`a stream ended: ${status}`);
      this.#onEvent("");
    });
    stream.end(this.#request);
  }
}
