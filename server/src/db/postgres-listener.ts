import type { Client, ClientConfig } from "pg";
import type { Log } from "../lib/log.ts";

/** First and longest pause before a lost connection is tried again, in milliseconds. */
const firstRetryMs = 100;
const longestRetryMs = 2000;

export interface PostgresListenerOptions {
  /** Makes a client that is not connected yet. */
  readonly createClient: (config?: ClientConfig) => Client;
  readonly channel: string;
  /** Called for each notification, and after each connect: some may have been missed. */
  readonly onNotify: () => void;
  readonly log: Log;
}

/** Listens on a channel with a connection of its own, and connects again whenever that is lost. */
export class PostgresListener {
  readonly #options: PostgresListenerOptions;
  #client: Client | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = firstRetryMs;
  #isClosed = false;

  constructor(options: PostgresListenerOptions) {
    this.#options = options;
    void this.#connect();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
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
    try {
      await client.connect();
      await client.query(`listen ${client.escapeIdentifier(this.#options.channel)}`);
    } catch (error) {
      this.#lost(client, error);
      return;
    }
    if (this.#client !== client) return;
    this.#retryMs = firstRetryMs;
    this.#options.onNotify();
  }

  #lost(client: Client, error: unknown): void {
    if (this.#isClosed || this.#client !== client) return;
    this.#client = undefined;
    client.end().catch(() => {});
    this.#options.log.warn(
      { err: error, retryMs: this.#retryMs },
      "lost the connection that listens for changes",
    );
    this.#retry = setTimeout(() => void this.#connect(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
  }
}
