/**
 * What has to be remembered of a file of any size while it is read: texts under
 * keys, in a table that SQLite keeps on disk for nobody else, and that is gone
 * with the process. A million of them take no more memory than a thousand.
 */
import Sqlite from "better-sqlite3";

/** @see the head of this file */
export class Scratch {
  readonly #database: Sqlite.Database;
  readonly #find: Sqlite.Statement<[string], string>;
  readonly #insert: Sqlite.Statement<[string, string]>;

  constructor() {
    // Without a name it is a file that has none.
    this.#database = new Sqlite("");
    this.#database.pragma("journal_mode = off");
    this.#database.pragma("synchronous = off");
    this.#database.exec("create table known (key text primary key, value text) without rowid");
    // Never committed: it is nobody's afterwards.
    this.#database.exec("begin");
    this.#find = this.#database.prepare<[string], string>("select value from known where key = ?").pluck();
    this.#insert = this.#database.prepare("insert or ignore into known values (?, ?)");
  }

  find(key: string): string | undefined {
    return this.#find.get(key);
  }

  /** Keeps a value; false where the key has one already, which stays. */
  add(key: string, value: string): boolean {
    return this.#insert.run(key, value).changes > 0;
  }

  close(): void {
    this.#database.close();
  }
}
