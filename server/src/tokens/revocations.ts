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

/** Where revoked tokens are kept, and how processes hear of them. */
export interface RevocationsOptions {
  readonly feed: Pick<ChangeFeed, "append" | "isConfirmed" | "subscribe">;
  readonly store: RevocationStore;
  readonly clock: Clock;
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
  readonly #skewMs: number;
  readonly #maxEntries: number;
  /**
   * `jti` → when the entry may go, in milliseconds since the epoch; undefined
   * while only its change was heard of, which does not say. How long a token
   * lives is a setting, so no guess would do: it may have been longer once, and
   * a token that is forgotten too soon is good again.
   */
  readonly #entries = new Map<string, number | undefined>();
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
    this.#maxEntries = options.maxEntries ?? defaultMaxEntries;
    options.feed.subscribe({
      onChange: ({ topic, subject }) => {
        if (topic === "token") this.#keep(subject, undefined);
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
    this.#load ??= this.#readAll()
      .then(() => {})
      .finally(() => {
        this.#load = undefined;
      });
    await this.#load;
  }

  /** Drops what has expired. Call it now and then. */
  async prune(): Promise<void> {
    const now = this.#clock.now().getTime();
    const untimed: string[] = [];
    for (const [jti, until] of this.#entries) {
      if (until === undefined) untimed.push(jti);
      else if (until <= now) this.#entries.delete(jti);
    }
    this.#isTooMany = false;
    if (untimed.length === 0) return await this.fill();
    // A read of its own: one in progress may have begun before some of them were heard of.
    if (!(await this.#readAll())) return;
    for (const jti of untimed) if (this.#entries.get(jti) === undefined) this.#entries.delete(jti);
  }

  /** Answers whether what was read still holds. */
  async #readAll(): Promise<boolean> {
    const resets = this.#resets;
    const read = this.#store.findAll(this.#clock.now(), this.#maxEntries + 1);
    const rows = await read.catch(() => undefined);
    if (rows === undefined || resets !== this.#resets) return false;
    this.#isComplete = true;
    for (const { jti, expiresAt } of rows) this.#keep(jti, expiresAt.getTime());
    return true;
  }

  #keep(jti: string, until: number | undefined): void {
    if (this.#entries.has(jti) || this.#entries.size < this.#maxEntries) {
      this.#entries.set(jti, until ?? this.#entries.get(jti));
    } else {
      this.#isComplete = false;
      this.#isTooMany = true;
    }
  }
}
