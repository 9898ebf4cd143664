/**
 * Sixteen writers on a Postgres that becomes read-only again and again, while
 * its address leads to another one that is not: how long until all of them
 * write there, and whether anything that was acknowledged is missing.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { OpenDatabase } from "../../server/src/db/kysely-database.ts";
import { migrate } from "../../server/src/db/migrate.ts";
import { openDatabase } from "../../server/src/db/open-database.ts";
import { DomainError } from "../../server/src/lib/errors.ts";
import { silentLog } from "../../server/src/lib/log.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { startPostgres } from "../parts/postgres-server.ts";
import { startRelay } from "../parts/relay.ts";

const writerCount = 16;
const longestRecoveryMs = 2_000;

/** Runs statements one by one, and answers the rows of the last. */
async function administer(url: string, ...statements: string[]): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let rows: unknown[] = [];
  for (const statement of statements) ({ rows } = await client.query(statement));
  await client.end();
  return rows;
}

const setReadOnly = (url: string, value: "on" | "off") =>
  administer(
    url,
    "set default_transaction_read_only = off",
    `alter system set default_transaction_read_only = ${value}`,
    "select pg_reload_conf()",
  );

class Writers {
  written = 0;
  refused = 0;
  lastRefusedAtMs = 0;
  readonly #running: Promise<unknown>;
  #isOver = false;

  constructor(database: OpenDatabase) {
    this.#running = Promise.all(
      Array.from({ length: writerCount }, (_, writer) => this.#write(database, writer)),
    );
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #write(database: OpenDatabase, writer: number): Promise<void> {
    for (let count = 0; !this.#isOver; count += 1) {
      const values = { jti: `${writer} ${count}`, expires_at: 1 };
      try {
        await database.transaction((tx) => tx.insertInto("revoked_tokens").values(values).execute());
        this.written += 1;
      } catch (error) {
        if (!(error instanceof DomainError) || error.kind !== "unavailable") throw error;
        this.refused += 1;
        this.lastRefusedAtMs = performance.now();
        await sleep(5);
      }
    }
  }
}

async function run({ quick, check }: PartContext): Promise<string> {
  const rounds = quick ? 3 : 20;
  const servers = await Promise.all([startPostgres(), startPostgres()]);
  const [first, second] = servers.map(({ url }) => new URL(url)) as [URL, URL];
  await administer(second.href, `alter role postgres password '${first.password}'`);
  second.password = first.password;
  for (const { href: url } of [first, second]) {
    const database = await openDatabase({ url, log: silentLog });
    await migrate(database);
    await database.close();
  }
  const relay = await startRelay(Number(first.port));
  const database = await openDatabase({
    url: Object.assign(new URL(first), { port: String(relay.port) }).href,
    log: silentLog,
  });
  const writers = new Writers(database);
  const recoveriesMs: number[] = [];
  let [present, next] = [first, second];
  for (let round = 0; round < rounds; round += 1) {
    await check(`demotion ${round + 1}`, async () => {
      await sleep(500);
      await setReadOnly(next.href, "off");
      await setReadOnly(present.href, "on");
      await sleep(500);
      const ledAtMs = performance.now();
      const { written } = writers;
      relay.leadTo(Number(next.port));
      await sleep(longestRecoveryMs * 1.5);
      const recoveryMs = Math.max(0, writers.lastRefusedAtMs - ledAtMs);
      recoveriesMs.push(recoveryMs);
      [present, next] = [next, present];
      assert.ok(writers.written > written + writerCount, "nothing is written");
      assert.ok(recoveryMs < longestRecoveryMs, `refused for ${Math.round(recoveryMs)} ms more`);
    });
  }
  await writers.stop();
  await database.close();
  await check("nothing acknowledged is missing", async () => {
    const kept = await Promise.all(
      [first, second].map(({ href }) => administer(href, "select jti from revoked_tokens")),
    );
    assert.equal(kept.flat().length, writers.written);
  });
  relay.close();
  await Promise.all(servers.map((server) => server.stop()));
  const longest = Math.round(Math.max(...recoveriesMs));
  return `${rounds} demotions under ${writerCount} writers, refused for ${longest} ms at most after the address led on; ${writers.written} written, ${writers.refused} refused`;
}

export default { needs: [], run } satisfies Part;
