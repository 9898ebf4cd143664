/**
 * What has to be remembered of a file of any size while it is read: texts under
 * keys, in a table that SQLite keeps on disk for nobody else, and that is gone
 * with the process. What millions of them take of memory is bounded.
 */
import { hash } from "node:crypto";
import Sqlite from "better-sqlite3";

/** How much is kept in memory, in KiB: the keys of a million people, whose order is nobody's. */
const cacheKib = 64 * 1024;

/** @see the head of this file */
export class Scratch {
  readonly #database: Sqlite.Database;
  readonly #find: Sqlite.Statement<[Buffer], string>;
  readonly #insert: Sqlite.Statement<[Buffer, string]>;

  constructor() {
    // Without a name it is a file that has none.
    this.#database = new Sqlite("");
    this.#database.pragma("journal_mode = off");
    this.#database.pragma("synchronous = off");
    this.#database.pragma(`cache_size = -${cacheKib}`);
    this.#database.exec("create table known (key blob primary key, value text) without rowid");
    // Never committed: it is nobody's afterwards.
    this.#database.exec("begin");
    this.#find = this.#database.prepare<[Buffer], string>("select value from known where key = ?").pluck();
    this.#insert = this.#database.prepare("insert or ignore into known values (?, ?)");
  }

  find(key: string): string | undefined {
    return this.#find.get(shorten(key));
  }

  /** Keeps a value; false where the key has one already, which stays. */
  add(key: string, value: string): boolean {
    return this.#insert.run(shorten(key), value).changes > 0;
  }

  close(): void {
    this.#database.close();
  }
}

/** As much of a key's hash as nobody finds two keys for: 128 bits. */
function shorten(key: string): Buffer {
  return hash("sha256", key, "buffer").subarray(0, 16);
}
