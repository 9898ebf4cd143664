/**
 * Clients that have proven themselves from where they come, for all processes.
 *
 * Noting one is a look into memory; the table is told behind the request's
 * back, within a fraction of a second, and asked only about an address that
 * has used up its failures, once a second at most. A database that cannot be
 * asked knows nobody: what this process saw itself still counts.
 */
import type { Database } from "../db/database.ts";
import { WriteBehind } from "../db/write-behind.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { createLru } from "../lib/lru.ts";
import { findKnownClients, type KnownClient, upsertKnownClients } from "./store.ts";

/** Where good clients are remembered. */
export interface KnownClientsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** How long what is to be written waits for more, in milliseconds. */
  readonly flushAfterMs?: number;
}

/** How many blocks are remembered. */
const rememberedBlocks = 1000;

/** How many clients of one block are asked for. */
const clientsPerBlock = 1000;

/** A client that goes on coming is written this often, in milliseconds: well within the day it is known for. */
const writtenForMs = 6 * 3600 * 1000;

/** For how long an answer of the table is good, in milliseconds. */
const askedForMs = 1000;

/** @see the head of this file */
export class KnownClients {
  readonly #options: KnownClientsOptions;
  readonly #own: WriteBehind<KnownClient>;
  readonly #asked = createLru<string, { readonly atMs: number; readonly ids: Promise<ReadonlySet<string>> }>(
    rememberedBlocks,
  );

  constructor(options: KnownClientsOptions) {
    this.#options = options;
    this.#own = new WriteBehind({
      ...options,
      what: "clients that are known to be good",
      keyOf: ({ block, clientId }) => `${block} ${clientId}`,
      everyMs: writtenForMs,
      write: upsertKnownClients,
    });
  }

  /** Notes that a client has proven itself. */
  note(client: KnownClient): void {
    this.#own.note(client);
  }

  /** Whether a client has proven itself from there, to whichever process. Never rejects. */
  async isKnown(client: KnownClient): Promise<boolean> {
    return this.#own.has(client) || (await this.#ask(client.block)).has(client.clientId);
  }

  /** Writes what waits. Never rejects: what cannot be written waits for the next. */
  async flush(): Promise<void> {
    await this.#own.flush();
  }

  #ask(block: string): Promise<ReadonlySet<string>> {
    const nowMs = this.#options.clock.now().getTime();
    const known = this.#asked.get(block);
    if (known !== undefined && Math.abs(nowMs - known.atMs) < askedForMs) return known.ids;
    const ids = findKnownClients(this.#options.database.reader, block, clientsPerBlock).then(
      (found) => new Set(found),
      () => new Set<string>(),
    );
    this.#asked.set(block, { atMs: nowMs, ids });
    return ids;
  }
}
