/** `better-auth` doing the same job: whose session is this cookie's, on better-sqlite3. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BetterAuthOptions, betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import Sqlite from "better-sqlite3";

const port = Number(process.env.BENCH_PORT);
const folder = mkdtempSync(join(tmpdir(), "vestibule-bench-"));
const database = new Sqlite(join(folder, "better-auth.db"));
database.pragma("journal_mode = wal");

const options = {
  baseURL: `http://127.0.0.1:${port}`,
  secret: process.env.BENCH_SECRET ?? "",
  database,
  emailAndPassword: { enabled: true },
  // Its own window of a hundred requests; ours has no limit on good credentials either.
  rateLimit: { enabled: false },
  logger: { disabled: true },
  telemetry: { enabled: false },
} satisfies BetterAuthOptions;

const { runMigrations } = await getMigrations(options);
await runMigrations();
createServer(toNodeHandler(betterAuth(options))).listen(port, "127.0.0.1", () => {
  process.stdout.write("ready\n");
});
process.once("SIGTERM", () => {
  database.close();
  rmSync(folder, { recursive: true });
  process.exit(0);
});
