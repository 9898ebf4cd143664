/** Fills a stopped server's database with people, past the server: a million sign-ins would take an hour. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { signInConfig } from "./sign-in.ts";

const hourMs = 3_600_000;

/**
 * People, each with a session, an unfinished flow, and what a finished one
 * leaves behind: records in the audit and a count of the mailbox.
 */
export function seedPeople(dataDir: string, people: number, now: number): void {
  fill(dataDir, people, [
    `insert into users select ${id("8")}, 'person-' || i, '', ${address}, 1, ${secret}, '{}', '', 'enabled',
      ${now - hourMs}, ${now - hourMs} from numbers`,
    sessions("a", id("8"), now - hourMs, `${now + 100 * hourMs} + i`),
    flows("b", now - hourMs, `${now + 100 * hourMs} + i`),
    `insert into rolling_counts select ${secret}, '[]', ${now + 100 * hourMs} + i from numbers`,
    ...["user.create", "session.create"].map(
      (action) => `insert into audit_records
        (id, at, request_id, actor_type, actor_id, credential_kind, credential_id, action, target_type,
          target_id, result, client_address, user_agent, details)
        select ${id("c")}, ${now - hourMs} + i, ${id("d")}, 'user', ${id("8")}, 'session', ${id("a")},
          '${action}', 'session', ${id("a")}, 'success', '127.0.0.1', 'Mozilla/5.0', '{"strategy":"mailotp"}'
        from numbers`,
    ),
  ]);
}

/** Sessions of one person and flows, all of them over. */
export function seedExpired(dataDir: string, rows: number, now: number): void {
  fill(dataDir, rows, [
    sessions("e", "(select id from users limit 1)", now - 100 * hourMs, `${now - 50 * hourMs} + i`),
    flows("f", now - 100 * hourMs, `${now - 50 * hourMs} + i`),
  ]);
}

/** A text of 43 symbols that nobody guesses, as long as 256 bits in base64url. */
const secret = "substr(hex(randomblob(22)), 1, 43)";

const address = `printf('person-%07d@${signInConfig.authentication.test_users.domain}', i)`;

/** A UUIDv7 out of a row's number. @param kind one hexadecimal digit that keeps tables apart */
function id(kind: string): string {
  return `printf('01900000-0000-7000-${kind}000-%012x', i)`;
}

function sessions(kind: string, userId: string, createdAt: number, expiresAt: string): string {
  return `insert into sessions select ${id(kind)}, ${secret}, ${userId}, 'mailotp', 'Linux', 'Firefox',
    '127.0.0.1', '', '', '', '', ${createdAt}, ${createdAt}, ${expiresAt} from numbers`;
}

function flows(kind: string, createdAt: number, expiresAt: string): string {
  return `insert into auth_flows select ${id(kind)}, ${secret}, 'mailotp', ${secret}, hex(randomblob(120)),
    ${address}, 'http://localhost/auth/callback', null, null, 0, ${createdAt}, ${expiresAt} from numbers`;
}

/** Runs inserts that read `numbers`, one column `i` from 0, as fast as the disk allows. */
function fill(dataDir: string, rows: number, inserts: readonly string[]): void {
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
