/**
 * Access tokens that were revoked before their time.
 *
 * A token says by itself when it ends; ending it sooner takes a row with its
 * `jti`, kept until then. Every process holds all such rows in memory, so that
 * a request costs one look-up in a set: filled at start, kept by the change
 * feed. Where memory cannot vouch for a token (the feed is not confirmed, the
 * set is not filled yet, or there are more rows than it holds) the row is read,
 * and a database that cannot be read refuses.
 */
import type { ChangeFeed } from "../changes/feed.ts";
import type { Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { RevokedToken } from "./revocation-store.ts";

/** Reads and writes the rows. */
export interface RevocationStore {
  insert(tx: Tx, token: RevokedToken): Promise<void>;
  isRevoked(jti: string): Promise<boolean>;
  findAll(now: Date, limit: number): Promise<RevokedToken[]>;
}

export interface RevocationsOptions {
  readonly feed: Pick<ChangeFeed, "append" | "isConfirmed" | "subscribe">;
  readonly store: RevocationStore;
  readonly clock: Clock;
  /** Longest life of a token, in seconds: a revocation heard of from another process is kept as long. */
  readonly longestTokenSeconds: number;
  /** Leeway in reading `exp`, in seconds: a revocation outlives its token by as much. */
  readonly clockSkewSeconds: number;
  /** How many revocations are held in memory at most. */
  readonly maxEntries?: number;
}

const defaultMaxEntries = 100_000;

/** @see {@link RevocationsOptions} */
export class Revocations {
  readonly #feed: RevocationsOptions["feed"];
  readonly #store: RevocationStore;
  readonly #clock: Clock;
  readonly #longestMs: number;
  readonly #skewMs: number;
  readonly #maxEntries: number;
  /** `jti` → when the entry may go, in milliseconds since the epoch. */
  readonly #entries = new Map<string, number>();
  /** Whether every row is in memory. */
  #isComplete = false;
  /** Whether there were more rows than may be held, when last looked. */
  #isTooMany = false;
  #load: Promise<void> | undefined;
  /** Counts resets: what was read before one says nothing after it. */
  #resets = 0;

  constructor(options: RevocationsOptions) {
    this.#feed = options.feed;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#skewMs = options.clockSkewSeconds * 1000;
    this.#longestMs = options.longestTokenSeconds * 1000 + this.#skewMs;
    this.#maxEntries = options.maxEntries ?? defaultMaxEntries;
    options.feed.subscribe({
      onChange: ({ topic, subject }) => {
        if (topic === "token") this.#keep(subject, this.#clock.now().getTime() + this.#longestMs);
      },
      onReset: () => {
        this.#isComplete = false;
        this.#resets++;
      },
    });
  }

  /** How many revocations are in memory. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Whether a token was revoked; at once, unless the row must be read.
   *
   * @throws DomainError UNAVAILABLE when it must and cannot.
   */
  isRevoked(jti: string): boolean | Promise<boolean> {
    if (this.#entries.has(jti)) return true;
    if (this.#isComplete && this.#feed.isConfirmed()) return false;
    void this.fill();
    return this.#store.isRevoked(jti);
  }

  /** Revokes a token with `tx`: from its commit here, within a second everywhere. */
  async revoke(tx: Tx, token: { readonly jti: string; readonly expiresAt: Date }): Promise<void> {
    const expiresAt = new Date(token.expiresAt.getTime() + this.#skewMs);
    await this.#store.insert(tx, { jti: token.jti, expiresAt });
    await this.#feed.append(tx, { topic: "token", subject: token.jti });
  }

  /**
   * Reads what is not in memory yet. Never rejects: until it has succeeded,
   * rows are read one by one.
   */
  async fill(): Promise<void> {
    if (this.#isComplete || this.#isTooMany) return;
    this.#load ??= this.#readAll().finally(() => {
      this.#load = undefined;
    });
    await this.#load;
  }

  /** Drops what has expired. Call it now and then. */
  async prune(): Promise<void> {
    const now = this.#clock.now().getTime();
    for (const [jti, until] of this.#entries) if (until <= now) this.#entries.delete(jti);
    this.#isTooMany = false;
    await this.fill();
  }

  async #readAll(): Promise<void> {
    const resets = this.#resets;
    const read = this.#store.findAll(this.#clock.now(), this.#maxEntries + 1);
    const rows = await read.catch(() => undefined);
    if (rows === undefined || resets !== this.#resets) return;
    this.#isComplete = true;
    for (const { jti, expiresAt } of rows) this.#keep(jti, expiresAt.getTime());
  }

  #keep(jti: string, until: number): void {
    if (this.#entries.has(jti) || this.#entries.size < this.#maxEntries) {
      this.#entries.set(jti, until);
    } else {
      this.#isComplete = false;
      this.#isTooMany = true;
    }
  }
}
