/** Fills a stopped server's database with people, past the server: a million sign-ins would take an hour. */
import { rmSync } from "node:fs";
import { fill, id, secret } from "./fill-database.ts";
import { makeDataDir, startVestibule } from "./servers.ts";
import { signInConfig } from "./sign-in.ts";

const hourMs = 3_600_000;

/** How long the audit is kept where nobody says otherwise. */
export const retentionMs = 90 * 24 * hourMs;

/** Makes a database, fills it with people while nobody uses it, and hands it to a measurement. */
export async function withPeople<T>(people: number, use: (dataDir: string) => Promise<T>): Promise<T> {
  const dataDir = makeDataDir();
  try {
    await (await startVestibule({ dataDir })).stop();
    seedPeople(dataDir, people, Date.now());
    return await use(dataDir);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/**
 * People, each with a session, an unfinished flow, and what a finished one
 * leaves behind: records in the audit and a count of the mailbox.
 */
export function seedPeople(dataDir: string, people: number, now: number): void {
  fill(dataDir, people, [
    `insert into users (id, name, title, email, email_proven, passkey_handle, metadata, avatar, state, created_at,
      updated_at) select ${id("8")}, 'person-' || i, '', ${address}, 1, ${secret}, '{}', '', 'enabled',
      ${now - hourMs}, ${now - hourMs} from numbers`,
    sessions("a", id("8"), now - hourMs, `${now + 100 * hourMs} + i`),
    flows("b", now - hourMs, `${now + 100 * hourMs} + i`),
    `insert into rolling_counts select ${secret}, '[]', ${now + hourMs} - i % 60000 from numbers`,
    ...["user.create", "session.create"].map((action) => records("c", action, now - hourMs)),
  ]);
}

/** Sessions of one person and flows, all of them over, and records of the audit that are kept no longer. */
export function seedExpired(dataDir: string, rows: number, now: number): void {
  fill(dataDir, rows, [
    sessions("e", "(select id from users limit 1)", now - 100 * hourMs, `${now - 50 * hourMs} + i`),
    flows("f", now - 100 * hourMs, `${now - 50 * hourMs} + i`),
    records("9", "session.create", now - retentionMs - 50 * hourMs),
  ]);
}

/** Records of the audit that are kept no longer. */
export function seedOldRecords(dataDir: string, rows: number, now: number): void {
  fill(dataDir, rows, [records("7", "session.create", now - retentionMs - 50 * hourMs)]);
}

const address = `printf('person-%07d@${signInConfig.authentication.test_users.domain}', i)`;

function sessions(kind: string, userId: string, createdAt: number, expiresAt: string): string {
  return `insert into sessions (id, secret_hash, companion_hash, user_id, strategy, operating_system, browser,
      ip_address, city, country, latitude, longitude, created_at, authenticated_at, updated_at, expires_at)
    select ${id(kind)}, ${secret}, ${secret}, ${userId}, 'mailotp', 'Linux', 'Firefox', '127.0.0.1', '', '', '', '',
      ${createdAt}, ${createdAt}, ${createdAt}, ${expiresAt} from numbers`;
}

function records(kind: string, action: string, from: number): string {
  return `insert into audit_records (id, at, request_id, actor_type, actor_id, credential_kind, credential_id, action,
      target_type, target_id, result, client_address, user_agent, details)
    select ${id(kind)}, ${from} + i, ${id("d")}, 'user', ${id("8")}, 'session', ${id("a")}, '${action}', 'session',
      ${id("a")}, 'success', '127.0.0.1', 'Mozilla/5.0', '{"strategy":"mailotp"}' from numbers`;
}

function flows(kind: string, createdAt: number, expiresAt: string): string {
  return `insert into auth_flows select ${id(kind)}, ${secret}, 'mailotp', ${secret}, hex(randomblob(120)),
    ${address}, 'http://localhost/auth/callback', null, null, 0, ${createdAt}, ${expiresAt} from numbers`;
}
