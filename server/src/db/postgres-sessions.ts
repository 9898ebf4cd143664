/** Fitness of sessions with Postgres: after a failover the old ones are not used again. */
import type { Client, ClientBase, QueryConfig } from "pg";
import { DomainError } from "../lib/errors.ts";
import { continueOrderStatement } from "./continued-order.ts";
import { isSessionUnfit } from "./errors.ts";
import { migrationTable } from "./schema.ts";

/** How long a session may live, in milliseconds; each draws its own end from the last quarter. */
const longestLifetimeMs = 3_600_000;

/** For how long after a session was refused no other is asked for, in milliseconds: a sign-in is work for both sides. */
const refusedForMs = 100;

/** What a session says of itself when it begins. */
interface Particulars {
  /** Schema that our tables are found in, null where they are not found. */
  readonly home: string | null;
  readonly takesWrites: boolean;
}

const particulars = `select
  case when to_regclass(quote_ident(current_schema()) || '.${migrationTable}') is not null
    then current_schema() end as home,
  not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as "takesWrites"`;

/** Settings whose change the server reports to a session that is idle too, as far as it knows to (Postgres 14, 18). */
const telling = new Set(["default_transaction_read_only", "in_hot_standby", "search_path"]);

/** The times of the sessions that a pool has. */
export interface PostgresSessionsOptions {
  /** After how many milliseconds a server that says nothing is given up. */
  readonly timeoutMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly lifetimeMs?: number | undefined;
  /** Bounds what a session may take; to be run as each begins. */
  readonly limitStatement: string;
}

interface Session {
  readonly generation: number;
  readonly endsAtMs: number;
}

/**
 * Tells which sessions with Postgres may be used: a session can be alive and
 * unfit. A new one must take writes (as `target_session_attrs=read-write` has
 * it in libpq) and find our tables where the first one did. Once one of them
 * turns out otherwise, all that were begun before are done with: the server
 * behind the address may not be the one it was, and a session that only reads
 * would never notice.
 */
export class PostgresSessions {
  readonly #options: PostgresSessionsOptions;
  readonly #lifetimeMs: number;
  readonly #sessions = new WeakMap<ClientBase, Session>();
  readonly #listeners = new Set<() => void>();
  #generation = 0;
  #home: string | undefined;
  #refused: { readonly error: DomainError; readonly untilMs: number } | undefined;

  constructor(options: PostgresSessionsOptions) {
    this.#options = options;
    this.#lifetimeMs = options.lifetimeMs ?? longestLifetimeMs;
  }

  /**
   * Looks at a session that has just begun.
   *
   * @returns how long it may live, in milliseconds.
   * @throws DomainError UNAVAILABLE when it is unfit.
   */
  async admit(client: ClientBase): Promise<number> {
    const generation = this.#generation;
    const ask = <R extends object>(text: string) =>
      client.query<R>({ text, query_timeout: this.#options.timeoutMs } as QueryConfig);
    const lifetimeMs = this.#lifetimeMs * (0.75 + 0.25 * this.#options.random());
    this.#sessions.set(client, { generation, endsAtMs: this.#options.monotonicMs() + lifetimeMs });
    this.#follow(client);
    await ask(this.#options.limitStatement);
    this.#check((await ask<Particulars>(particulars)).rows[0]);
    await ask(continueOrderStatement);
    return lifetimeMs;
  }

  /** Why no session need be asked for just now, if that is so. */
  get refusal(): DomainError | undefined {
    const { error, untilMs = 0 } = this.#refused ?? {};
    return this.#options.monotonicMs() < untilMs ? error : undefined;
  }

  /** Whether an admitted session may be used once more. */
  isFit(client: ClientBase): boolean {
    const session = this.#sessions.get(client);
    return session?.generation === this.#generation && this.#options.monotonicMs() < session.endsAtMs;
  }

  /** Takes note of what a session failed with: if it is unfit, so are all that are as old. */
  noteFailure(client: ClientBase, error: unknown): void {
    if (isSessionUnfit(error)) this.#endGenerationOf(client);
  }

  /** Calls the listener whenever the sessions there are have become unfit. Returns what ends that. */
  onUnfit(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #check(found: Particulars | undefined): void {
    if (!found?.takesWrites) throw this.#refuse("the server takes no writes");
    if (found.home === null && this.#home === undefined) return;
    this.#home ??= found.home ?? undefined;
    if (found.home !== this.#home) throw this.#refuse("the tables are not found by the search_path");
  }

  #refuse(text: string): DomainError {
    const error = new DomainError("UNAVAILABLE", { detail: `database: ${text}` });
    this.#refused = { error, untilMs: this.#options.monotonicMs() + refusedForMs };
    return error;
  }

  #follow(client: ClientBase): void {
    const { connection } = client as Client & { readonly connection: NodeJS.EventEmitter };
    connection.on("parameterStatus", ({ parameterName }: { readonly parameterName: string }) => {
      if (telling.has(parameterName)) this.#endGenerationOf(client);
    });
  }

  /** A session of an earlier generation tells nothing about those that came after it. */
  #endGenerationOf(client: ClientBase): void {
    if (this.#sessions.get(client)?.generation !== this.#generation) return;
    this.#generation += 1;
    for (const listener of this.#listeners) listener();
  }
}
