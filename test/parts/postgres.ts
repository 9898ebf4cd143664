/** Postgres for tests: one server for the run, a database for whoever asks. */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import pg from "pg";
import { inject } from "vitest";

export interface TestDatabase {
  readonly url: string;
  /** Removes it, with whatever is still connected. */
  drop(): Promise<void>;
}

/**
 * Address of the run's server, as superuser: `POSTGRES_URL`, or one of our own,
 * started now if this is the first call of the run.
 *
 * @throws Error when it cannot be started. A test that needs it fails then.
 */
export async function postgresUrl(): Promise<string> {
  const reply = JSON.parse(await text(connect(inject("postgresSocket")))) as { url?: string; error?: string };
  if (reply.url === undefined) throw new Error(`Postgres is needed and not there: ${reply.error}`);
  return reply.url;
}

/** Makes an empty Postgres database. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = await postgresUrl();
  const name = `test_${randomBytes(8).toString("hex")}`;
  await runOnServer(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => runOnServer(server, `drop database if exists ${name} with (force)`) };
}

async function runOnServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
