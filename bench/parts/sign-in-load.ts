/** People who sign in one after another, each in a browser of their own. */
import { Agent } from "node:http";
import type { Window } from "./http1-load.ts";
import { signIn, toAddress } from "./sign-in.ts";

/** Whole sign-ins of random people. */
export interface SignInLoad {
  readonly port: number;
  /** How many people there are to draw from. */
  readonly people: number;
  /** How many sign in at a time. */
  readonly browsers: number;
}

/** Drives a server until told to stop. A request of a window is a whole sign-in. */
export class SignInLoader {
  readonly #load: SignInLoad;
  readonly #agent: Agent;

  constructor(load: SignInLoad) {
    this.#load = load;
    this.#agent = new Agent({ keepAlive: true, maxSockets: load.browsers });
  }

  async run(seconds: number): Promise<Window> {
    const startedAt = performance.now();
    const until = startedAt + seconds * 1000;
    let [requests, failures] = [0, 0];
    const browse = async () => {
      while (performance.now() < until) {
        const email = toAddress(Math.floor(Math.random() * this.#load.people));
        await signIn({ port: this.#load.port, agent: this.#agent }, email).catch(() => failures++);
        requests++;
      }
    };
    await Promise.all(Array.from({ length: this.#load.browsers }, browse));
    return { requests, seconds: (performance.now() - startedAt) / 1000, failures };
  }

  close(): void {
    this.#agent.destroy();
  }
}
