/** How long anybody waits while hundreds of thousands of rows that are over are swept out. */
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { quantile } from "./distribution.ts";
import type { Pause } from "./inside.ts";
import type { LoadProcess } from "./processes.ts";
import { retentionMs, seedExpired, seedOldRecords } from "./seed-people.ts";
import { clientId, clientSecret, startVestibule, type VestibuleServer } from "./servers.ts";
import { signIn, signInConfig, toAddress } from "./sign-in.ts";

/** The first sweep begins a minute after the start. */
const giveUpAfterSeconds = 600;

/** Tokens and, of each, a record of the audit. */
const tokensPerSecond = 2_000;

/** What a minute brings at that rate is what a sweep finds, when it has a minute's rest. */
const oldRecords = 60 * tokensPerSecond;

/** Counts nothing, which would take long: only whether any row that is over is left, of any of the tables. */
function openProgress(dataDir: string) {
  const database = new Sqlite(join(dataDir, "vestibule.db"), { readonly: true });
  const oldest = [
    "select min(expires_at) as at from auth_flows",
    "select min(expires_at) as at from sessions",
    `select min(at) + ${retentionMs} as at from audit_records`,
  ].map((query) => database.prepare<[], { at: number | null }>(query));
  return {
    /** Changes as the sweep goes on. */
    place: () => oldest.map((query) => query.get()?.at ?? 0).join(),
    isDone: () => oldest.every((query) => (query.get()?.at ?? Number.POSITIVE_INFINITY) > Date.now()),
    close: () => database.close(),
  };
}

/** What was seen before the sweep began, or while it went on, in milliseconds. */
interface Phase {
  readonly waits: number[];
  readonly pauses: Pause[];
  readonly commits: number[];
}

/** Samples a prepared load until nothing that is over is left. */
async function watchSweep(
  load: LoadProcess,
  name: string,
  server: VestibuleServer,
  dataDir: string,
): Promise<{ readonly quiet: Phase; readonly busy: Phase }> {
  const quiet: Phase = { waits: [], pauses: [], commits: [] };
  const busy: Phase = { waits: [], pauses: [], commits: [] };
  const progress = openProgress(dataDir);
  try {
    await load.sample(name, 3);
    await server.ask("pauses");
    const start = progress.place();
    const startedAt = performance.now();
    while (!progress.isDone()) {
      if (performance.now() - startedAt > giveUpAfterSeconds * 1000)
        throw new Error("the sweep does not end");
      const waits = Object.values(await load.sample(name, 1)).flat();
      const phase = progress.place() === start ? quiet : busy;
      phase.waits.push(...waits);
      const { pauses, longestCommitMs } = await server.ask("pauses");
      phase.pauses.push(...pauses);
      phase.commits.push(longestCommitMs);
    }
    return { quiet, busy };
  } finally {
    progress.close();
    await load.closeLoad(name);
  }
}

function toRows(what: string, { quiet, busy }: { readonly quiet: Phase; readonly busy: Phase }): string[][] {
  const toRow = (name: string, read: (phase: Phase) => readonly number[], q: number, aim = "") => {
    const [then, before] = [busy, quiet].map((phase) => `${(quantile(read(phase), q) || 0).toFixed(1)} ms`);
    return [name, then ?? "", `${before} before`, "", aim];
  };
  return [
    toRow(`longest pause ${what}`, ({ pauses }) => pauses.map(({ allMs }) => allMs), 1, "≤ 20 ms"),
    toRow("without what the disk took", ({ pauses }) => pauses.map(({ busyMs }) => busyMs), 1, "≤ 20 ms"),
    toRow("longest commit", ({ commits }) => commits, 1),
    toRow("99th percentile of a request then", ({ waits }) => waits, 0.99),
  ];
}

/** Somebody asks who they are, again and again, before and during the sweep. */
export async function measureSweep(load: LoadProcess, dataDir: string, rows: number): Promise<string[][]> {
  const first = await startVestibule({ config: signInConfig, dataDir });
  const cookie = await signIn(first, toAddress(0));
  await first.stop();
  seedExpired(dataDir, rows, Date.now());
  const server = await startVestibule({ config: signInConfig, dataDir, observed: true });
  try {
    const headers = { "content-type": "application/json", cookie };
    const asking = { method: "POST", path: "/vestibule.v1.AuthService/GetCurrentUser", headers, body: "{}" };
    const probe = { port: server.port, groups: { probe: [asking] }, pauseMs: 1 };
    await load.prepare({ kind: "latency", name: "probe", load: probe });
    const seen = await watchSweep(load, "probe", server, dataDir);
    return toRows(`while ${(3 * rows).toLocaleString("en")} rows are swept`, seen);
  } finally {
    await server.stop();
  }
}

/** Tokens are issued at a rate, and old records of as many are removed meanwhile. */
export async function measureRetention(load: LoadProcess, dataDir: string): Promise<string[][]> {
  seedOldRecords(dataDir, oldRecords, Date.now());
  const server = await startVestibule({ config: signInConfig, dataDir, observed: true });
  try {
    const message = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret };
    await load.prepare({
      kind: "paced",
      name: "tokens",
      load: {
        port: server.port,
        method: "POST",
        path: "/vestibule.v1.AuthService/AuthToken",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(message),
        connections: 32,
        perSecond: tokensPerSecond,
      },
    });
    const seen = await watchSweep(load, "tokens", server, dataDir);
    const rate = tokensPerSecond.toLocaleString("en");
    return toRows(`at ${rate} tokens a second, old audit records removed`, seen);
  } finally {
    await server.stop();
  }
}
