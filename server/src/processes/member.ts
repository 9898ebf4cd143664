import cluster from "node:cluster";
import type { Siblings } from "../lib/siblings.ts";
import type { MemberMessage, SupervisorMessage } from "./messages.ts";
import { TurnTaker } from "./turns.ts";

/** The way to the supervisor and back, as this process has it. */
export interface SupervisorChannel {
  /** Does nothing once the supervisor is gone. */
  send(message: MemberMessage): void;
  onMessage(listener: (message: SupervisorMessage) => void): void;
  /** Calls the listener when the supervisor is gone. */
  onGone(listener: () => void): void;
  close(): void;
}

/** Which of the processes one is, as it was told when it was started. */
export type MemberPlace = Pick<Siblings, "number" | "areServing">;

/** How long the supervisor may take to gather metrics, in milliseconds: longer than it waits itself. */
const gatherMs = 2_000;

/** This process as one of those that a supervisor started. */
export class Member implements Siblings {
  readonly number: number;
  readonly areServing: boolean;
  /**
   * Resolves when the supervisor says so, or is gone: nobody would start
   * another in this one's place then, or end it. With the name of the signal.
   */
  readonly untilStopped: Promise<string>;
  readonly #channel: SupervisorChannel;
  readonly #gathering = new Map<number, (texts: readonly string[]) => void>();
  readonly turns: TurnTaker;
  readonly #wakeListeners = new Set<() => void>();
  #lastId = 0;
  #read: (() => Promise<string>) | undefined;

  constructor({ number, areServing }: MemberPlace, channel: SupervisorChannel) {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.number = number;
    this.areServing = areServing;
    this.untilStopped = promise;
    this.#channel = channel;
    this.turns = new TurnTaker((type) => channel.send({ type }));
    channel.onGone(() => {
      this.turns.noteAlone();
      resolve("the supervisor is gone");
    });
    channel.onMessage((message) => {
      if (message.type === "stop") resolve(message.signal);
      else this.#hear(message);
    });
  }

  /** Tells the supervisor that this process serves. */
  noteReady(): void {
    this.#channel.send({ type: "ready" });
  }

  offerMetrics(read: () => Promise<string>): void {
    this.#read = read;
  }

  gatherMetrics(): Promise<readonly string[]> {
    return new Promise((resolve) => {
      this.#lastId += 1;
      const id = this.#lastId;
      this.#gathering.set(id, resolve);
      setTimeout(() => this.#settle(id, []), gatherMs).unref();
      this.#channel.send({ type: "gather", id });
    });
  }

  wakeOthers(): void {
    this.#channel.send({ type: "wake" });
  }

  onWake(listener: () => void): () => void {
    this.#wakeListeners.add(listener);
    return () => this.#wakeListeners.delete(listener);
  }

  /** Lets go of the supervisor, who would keep this process. */
  close(): void {
    this.#channel.close();
  }

  #hear(message: Exclude<SupervisorMessage, { type: "stop" }>): void {
    switch (message.type) {
      case "read":
        void this.#answer(message.id);
        break;
      case "gathered":
        this.#settle(message.id, message.texts);
        break;
      case "wake":
        for (const listener of this.#wakeListeners) listener();
        break;
      case "turn":
        this.turns.noteGiven();
        break;
      case "turn wanted":
        this.turns.noteAskedFor();
    }
  }

  async #answer(id: number): Promise<void> {
    const text = await this.#read?.().catch(() => undefined);
    if (text !== undefined) this.#channel.send({ type: "metrics", id, text });
  }

  #settle(id: number, texts: readonly string[]): void {
    this.#gathering.get(id)?.(texts);
    this.#gathering.delete(id);
  }
}

/** The channel of this process, which was started by {@link forkMember}; undefined where it was not. */
export function findSupervisorChannel(): SupervisorChannel | undefined {
  const { worker } = cluster;
  if (worker === undefined) return undefined;
  return {
    send: (message) => {
      if (worker.isConnected()) process.send?.(message, () => {});
    },
    onMessage: (listener) => void process.on("message", listener),
    onGone: (listener) =>
      void worker.on("disconnect", () => {
        // Node would end the process right here, and cut off whoever waits for an answer.
        worker.exitedAfterDisconnect = true;
        listener();
      }),
    close: () => {
      if (worker.isConnected()) process.disconnect();
    },
  };
}
