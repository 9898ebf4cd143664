/** Postgres for tests: one server for the run, a database for whoever asks. */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import pg from "pg";
import { inject } from "vitest";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

export interface TestDatabase {
  readonly url: string;
  /** Removes it, with whatever is still connected. */
  drop(): Promise<void>;
}

let own: Promise<PostgresServer> | undefined;

/**
 * Address of the run's server, as superuser: `POSTGRES_URL`, or one of our own,
 * started now if this is the first call of the run. Outside of vitest the run
 * is this process, which calls {@link stopOwnPostgres} before it ends.
 *
 * @throws Error when it cannot be started. A test that needs it fails then.
 */
async function postgresUrl(): Promise<string> {
  if (process.env.VITEST === undefined) {
    if (process.env.POSTGRES_URL) return process.env.POSTGRES_URL;
    own ??= startPostgres();
    return (await own).url;
  }
  const reply = JSON.parse(await text(connect(inject("postgresSocket")))) as { url?: string; error?: string };
  if (reply.url === undefined) throw new Error(`Postgres is needed and not there: ${reply.error}`);
  return reply.url;
}

/** Ends the server that {@link postgresUrl} started in this process, if it did. */
export async function stopOwnPostgres(): Promise<void> {
  const started = await own?.catch(() => undefined);
  await started?.stop();
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
