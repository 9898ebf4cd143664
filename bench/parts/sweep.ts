/** How long anybody waits while a million rows that are over are swept out. */
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { quantile } from "./distribution.ts";
import type { LoadProcess } from "./processes.ts";
import { retentionMs, seedExpired } from "./seed-people.ts";
import { startVestibule } from "./servers.ts";
import { signIn, signInConfig, toAddress } from "./sign-in.ts";

/** The first sweep begins a minute after the start. */
const giveUpAfterSeconds = 600;

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

/** Somebody asks who they are, again and again, before and during the sweep. */
export async function measureSweep(load: LoadProcess, dataDir: string, rows: number): Promise<string[][]> {
  const first = await startVestibule({ config: signInConfig, dataDir });
  const cookie = await signIn(first, toAddress(0));
  await first.stop();
  seedExpired(dataDir, rows, Date.now());
  const server = await startVestibule({ config: signInConfig, dataDir, observed: true });
  const progress = openProgress(dataDir);
  try {
    const headers = { "content-type": "application/json", cookie };
    const asking = { method: "POST", path: "/vestibule.v1.AuthService/GetCurrentUser", headers, body: "{}" };
    const probe = { port: server.port, groups: { probe: [asking] }, pauseMs: 1 };
    await load.prepare({ kind: "latency", name: "probe", load: probe });
    await load.sample("probe", 3);
    await server.ask("pauses");
    const start = progress.place();
    const quiet = { waits: [] as number[], pauses: [] as number[] };
    const busy = { waits: [] as number[], pauses: [] as number[] };
    const startedAt = performance.now();
    while (!progress.isDone()) {
      if (performance.now() - startedAt > giveUpAfterSeconds * 1000)
        throw new Error("the sweep does not end");
      const { probe: waits = [] } = await load.sample("probe", 1);
      const phase = progress.place() === start ? quiet : busy;
      phase.waits.push(...waits);
      phase.pauses.push(...(await server.ask("pauses")));
    }
    const ms = (values: readonly number[], q: number) => `${(quantile(values, q) || 0).toFixed(1)} ms`;
    return [
      [
        `longest pause while ${(3 * rows).toLocaleString("en")} rows are swept`,
        ms(busy.pauses, 1),
        `${ms(quiet.pauses, 1)} before`,
        "",
        "≤ 20 ms",
      ],
      ["99th percentile of a request then", ms(busy.waits, 0.99), `${ms(quiet.waits, 0.99)} before`, "", ""],
    ];
  } finally {
    progress.close();
    await server.stop();
  }
}
