/** Fills the database of a stopped server, past the server, with rows made of their numbers. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import Sqlite from "better-sqlite3";

/** A text of 43 symbols that nobody guesses, as long as 256 bits in base64url. */
export const secret = "substr(hex(randomblob(22)), 1, 43)";

/** A UUIDv7 out of a row's number. @param kind one hexadecimal digit that keeps tables apart */
export function id(kind: string): string {
  return `printf('${toId(kind, "%012x")}', i)`;
}

/** The same id, of a row whose number is known here. */
export function idOf(kind: string, row: number): string {
  return toId(kind, row.toString(16).padStart(12, "0"));
}

function toId(kind: string, digits: string): string {
  return `01900000-0000-7000-${kind}000-${digits}`;
}

/** Runs inserts that read `numbers`, one column `i` from 0, as fast as the disk allows. */
export function fill(dataDir: string, rows: number, inserts: readonly string[]): void {
  const database = new Sqlite(join(dataDir, "vestibule.db"));
  database.pragma("journal_mode = off");
  database.pragma("synchronous = off");
  database.pragma("cache_size = -1000000");
  database.exec(`create temp table numbers (i integer primary key);
    insert into numbers with recursive counting(i) as (
      select 0 union all select i + 1 from counting where i < ${rows - 1}) select i from counting;`);
  for (const insert of inserts) database.exec(insert);
  database.pragma("journal_mode = wal");
  database.pragma("wal_checkpoint(truncate)");
  database.close();
  // Or the system goes on writing it while somebody else's waits for the disk are measured.
  execFileSync("sync");
}
