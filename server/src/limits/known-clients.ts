/**
 * Clients that have proven themselves from where they come, for all processes.
 *
 * Noting one is a look into memory; the table is told behind the request's
 * back, within a fraction of a second, and asked only about an address that
 * has used up its failures, once a second at most. A database that cannot be
 * asked knows nobody: what this process saw itself still counts.
 */
import type { Database } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { createLru } from "../lib/lru.ts";
import { findKnownClients, type KnownClient, upsertKnownClients } from "./known-client-store.ts";

export interface KnownClientsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** How long what is to be written waits for more, in milliseconds. */
  readonly writeAfterMs?: number;
}

/** How many clients and blocks are remembered. */
const rememberedClients = 20_000;
const rememberedBlocks = 1000;

/** How many clients of one block are asked for. */
const clientsPerBlock = 1000;

/** How many wait to be written at most: while the database is away those beyond it are known here alone. */
const maxPending = 5000;

/** A client that goes on coming is written this often, in milliseconds: well within the day it is known for. */
const writtenForMs = 6 * 3600 * 1000;

/** For how long an answer of the table is good, in milliseconds. */
const askedForMs = 1000;

/** @see the head of this file */
export class KnownClients {
  readonly #options: KnownClientsOptions;
  /** When it was last noted to be written, in milliseconds since the epoch. */
  readonly #own = createLru<string, number>(rememberedClients);
  readonly #asked = createLru<string, { readonly atMs: number; readonly ids: Promise<ReadonlySet<string>> }>(
    rememberedBlocks,
  );
  #pending = new Map<string, KnownClient>();
  #timer: NodeJS.Timeout | undefined;
  #isFailing = false;

  constructor(options: KnownClientsOptions) {
    this.#options = options;
  }

  /** Notes that a client has proven itself. */
  note(client: KnownClient): void {
    const key = toKey(client);
    const nowMs = this.#options.clock.now().getTime();
    const notedAtMs = this.#own.get(key);
    if (notedAtMs !== undefined && Math.abs(nowMs - notedAtMs) < writtenForMs) return;
    this.#own.set(key, nowMs);
    if (this.#pending.size >= maxPending) return;
    this.#pending.set(key, client);
    this.#timer ??= setTimeout(() => void this.flush(), this.#options.writeAfterMs ?? 250).unref();
  }

  /** Whether a client has proven itself from there, to whichever process. Never rejects. */
  async isKnown(client: KnownClient): Promise<boolean> {
    if (this.#own.get(toKey(client)) !== undefined) return true;
    return (await this.#ask(client.block)).has(client.clientId);
  }

  /** Writes what waits. Never rejects: what cannot be written waits for the next. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { database, clock, log } = this.#options;
    const taken = this.#pending;
    if (taken.size === 0) return;
    this.#pending = new Map();
    try {
      await database.transaction((tx) => upsertKnownClients(tx, [...taken.values()], clock.now()));
      this.#isFailing = false;
    } catch (err) {
      this.#pending = new Map([...taken, ...this.#pending]);
      if (!this.#isFailing) log.warn({ err }, "clients that are known to be good cannot be shared");
      this.#isFailing = true;
    }
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

function toKey({ block, clientId }: KnownClient): string {
  return `${block} ${clientId}`;
}
