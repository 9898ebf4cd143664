/** One request after another, each timed: what somebody who waits for an answer sees. */
import { Agent, request as sendRequest } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** A request that is sent as it is. */
export interface PlainRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Requests by the name of their group. */
export interface LatencyLoad {
  readonly port: number;
  readonly groups: Readonly<Record<string, readonly PlainRequest[]>>;
  /** Rest between an answer and the next request, in milliseconds. */
  readonly pauseMs: number;
}

/** Milliseconds from request to whole answer, by group, in the order they were taken. */
export type Latencies = Readonly<Record<string, readonly number[]>>;

/** Draws a group and one of its requests by chance each time, so that no group is measured at a better hour. */
export class LatencyLoader {
  readonly #load: LatencyLoad;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(load: LatencyLoad) {
    this.#load = load;
  }

  /** @throws Error for any other answer than 2xx */
  async sample(seconds: number): Promise<Latencies> {
    const names = Object.keys(this.#load.groups);
    const taken = new Map(names.map((name) => [name, [] as number[]]));
    const until = performance.now() + seconds * 1000;
    while (performance.now() < until) {
      const name = draw(names);
      taken.get(name)?.push(await this.#time(draw(this.#load.groups[name] ?? [])));
      if (this.#load.pauseMs > 0) await sleep(this.#load.pauseMs);
    }
    return Object.fromEntries(taken);
  }

  close(): void {
    this.#agent.destroy();
  }

  #time({ method, path, headers, body }: PlainRequest): Promise<number> {
    return new Promise((resolve, reject) => {
      const length = { "content-length": Buffer.byteLength(body) };
      const to = { host: "127.0.0.1", port: this.#load.port, agent: this.#agent };
      const startedAt = performance.now();
      const sent = sendRequest({ ...to, method, path, headers: { ...headers, ...length } }, (answer) => {
        answer.resume();
        answer.on("end", () => {
          const { statusCode = 0 } = answer;
          if (statusCode < 300) resolve(performance.now() - startedAt);
          else reject(new Error(`${path} answered ${statusCode}`));
        });
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }
}

function draw<T>(from: readonly T[]): T {
  const drawn = from[Math.floor(Math.random() * from.length)];
  if (drawn === undefined) throw new Error("nothing to draw from");
  return drawn;
}
