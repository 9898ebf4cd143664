/** `LISTEN` on Postgres: wakes the change feed as soon as another process has committed. */
import type { Client, ClientConfig } from "pg";
import type { Log } from "../lib/log.ts";
import type { PostgresSessions } from "./postgres-sessions.ts";

/** First and longest pause before a lost connection is tried again, in milliseconds. */
const firstRetryMs = 100;
const longestRetryMs = 2000;

/** Where notifications are listened for, and who is told of failures. */
export interface PostgresListenerOptions {
  /** Makes a client that is not connected yet. */
  readonly createClient: (config?: ClientConfig) => Client;
  readonly sessions: PostgresSessions;
  readonly channel: string;
  /** Called for each notification, and after each connect: some may have been missed. */
  readonly onNotify: () => void;
  readonly log: Log;
}

/**
 * Listens on a channel with a connection of its own, and connects again
 * whenever that is lost, has become unfit or has lived long enough.
 */
export class PostgresListener {
  readonly #options: PostgresListenerOptions;
  readonly #unsubscribe: () => void;
  #client: Client | undefined;
  #retry: NodeJS.Timeout | undefined;
  #end: NodeJS.Timeout | undefined;
  #retryMs = firstRetryMs;
  #isClosed = false;

  constructor(options: PostgresListenerOptions) {
    this.#options = options;
    this.#unsubscribe = options.sessions.onUnfit(() => this.#replace());
    void this.#connect();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unsubscribe();
    clearTimeout(this.#retry);
    clearTimeout(this.#end);
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => {});
  }

  async #connect(): Promise<void> {
    const client = this.#options.createClient();
    this.#client = client;
    client.on("error", (error) => this.#lost(client, error));
    client.on("end", () => this.#lost(client, undefined));
    client.on("notification", () => this.#options.onNotify());
    let lifetimeMs: number;
    try {
      await client.connect();
      lifetimeMs = await this.#options.sessions.admit(client);
      await client.query(`listen ${client.escapeIdentifier(this.#options.channel)}`);
    } catch (error) {
      this.#lost(client, error);
      return;
    }
    if (this.#client !== client) return;
    this.#retryMs = firstRetryMs;
    this.#end = setTimeout(() => this.#replace(), lifetimeMs).unref();
    this.#options.onNotify();
  }

  /** Begins anew with another session; one that is only just connecting is left to it. */
  #replace(): void {
    const client = this.#client;
    if (this.#isClosed || client === undefined || this.#end === undefined) return;
    clearTimeout(this.#end);
    this.#end = undefined;
    void this.#connect();
    client.end().catch(() => {});
  }

  #lost(client: Client, error: unknown): void {
    if (this.#isClosed || this.#client !== client) return;
    this.#client = undefined;
    clearTimeout(this.#end);
    this.#end = undefined;
    client.end().catch(() => {});
    this.#options.log.warn(
      { err: error, retryMs: this.#retryMs },
      "lost the connection that listens for changes",
    );
    this.#retry = setTimeout(() => void this.#connect(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
  }
}
