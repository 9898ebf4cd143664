/** Guards a running server against an SQLite file that was moved, removed or replaced under it. */
import { realpathSync, statSync } from "node:fs";
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

/** How often it is looked, besides at every commit, in milliseconds. */
const lookEveryMs = 400;

/** What makes a file this very one, under whatever name. */
function toIdentity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev} ${ino}`;
  } catch {
    return undefined;
  }
}

/**
 * Watches whether an SQLite file is still what its name leads to. A file that
 * was removed, moved or replaced goes on being read and written by who has it
 * open, and all of that is lost with the process: so it is neither read nor
 * written, and nothing acknowledged, until it is back in its place. The same
 * goes for its log (`-wal`) and the log's index (`-shm`).
 */
export class FilePresence {
  readonly #path: string;
  readonly #log: Log;
  readonly #identities: readonly (readonly [path: string, identity: string])[];
  readonly #listeners = new Set<(isThere: boolean) => void>();
  readonly #timer: NodeJS.Timeout;
  #isThere = true;

  /** @param path of a file that is open, and has been read from. */
  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
    const real = realpathSync(path);
    // By its given name too: a symbolic link may come to lead elsewhere.
    const paths = [path, `${real}-wal`, `${real}-shm`];
    this.#identities = paths.flatMap((each) => {
      const identity = toIdentity(each);
      return identity === undefined ? [] : [[each, identity] as const];
    });
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref();
  }

  /** As it was at the last look. */
  get isThere(): boolean {
    return this.#isThere;
  }

  /** Looks now. */
  look(): boolean {
    const missing = this.#identities.find(([path, identity]) => toIdentity(path) !== identity)?.[0];
    const isThere = missing === undefined;
    if (isThere === this.#isThere) return isThere;
    this.#isThere = isThere;
    if (isThere) this.#log.info({ path: this.#path }, "the database file is back");
    else
      this.#log.error(
        { path: missing },
        "the database file is gone or another one: nothing is read or written",
      );
    for (const listener of this.#listeners) listener(isThere);
    return isThere;
  }

  /** @throws DomainError UNAVAILABLE when it was not there at the last look. */
  require(): void {
    if (!this.#isThere) {
      throw new DomainError("UNAVAILABLE", { detail: "database: the file is gone or another one" });
    }
  }

  /** Calls the listener whenever it goes or comes back. Returns what ends that. */
  subscribe(listener: (isThere: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
