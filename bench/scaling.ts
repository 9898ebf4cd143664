/**
 * What a call takes of everything that runs out: processor time, bytes on the
 * wire, statements, waits for the disk; and what a person takes of the disk.
 * `docs/scaling.md` reckons with these figures.
 */
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Sqlite from "better-sqlite3";
import pg from "pg";
import { startPostgres } from "../test/parts/postgres-server.ts";
import { median } from "./parts/compare.ts";
import { readCpuMicroseconds } from "./parts/compare-cost.ts";
import { toMachineHeaders } from "./parts/frontdoor.ts";
import { makeToken, startGate, toAsk } from "./parts/gate.ts";
import type { PlainLoad } from "./parts/http1-load.ts";
import { LoadProcess } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { seedPeople } from "./parts/seed-people.ts";
import { clientId, clientSecret, makeDataDir, startVestibule } from "./parts/servers.ts";
import { signIn, signInConfig, toAddress } from "./parts/sign-in.ts";

const connections = 32;
const rounds = 7;
const people = 1_000_000;

type Call = Pick<PlainLoad, "method" | "path" | "headers"> & { readonly body: string };

const json = { "content-type": "application/json" };

/** @param bytes of which the text has a third more symbols */
const newKey = (bytes: number) => randomBytes(bytes).toString("base64url");

/** A server that everything can be asked of, and the calls by their names. */
async function startAll({ observed = false, databaseUrl }: { observed?: boolean; databaseUrl?: string }) {
  const { authentication } = signInConfig;
  const config = databaseUrl
    ? {
        ...signInConfig,
        database_url: databaseUrl,
        encryption_key: newKey(32),
        authentication: {
          ...authentication,
          session: { hash_secret_key: newKey(24), block_secret_key: newKey(24) },
        },
      }
    : signInConfig;
  const gate = await startGate({ config, observed });
  const rpc = (method: string, headers: Readonly<Record<string, string>>, body: object = {}): Call => ({
    method: "POST",
    path: `/vestibule.v1.${method}`,
    headers: { ...json, ...headers },
    body: JSON.stringify(body),
  });
  const machine = await toMachineHeaders(gate.server);
  const cookie = await signIn(gate.server, toAddress(0));
  const secret = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret };
  const calls: Readonly<Record<string, Call>> = {
    "AuthToken, by a secret": rpc("AuthService/AuthToken", {}, secret),
    "AuthToken, by a session": rpc("AuthService/AuthToken", { cookie }),
    "GetCurrentUser, by a token": rpc("AuthService/GetCurrentUser", machine),
    "GetCurrentUser, by a session": rpc("AuthService/GetCurrentUser", { cookie }),
    "a check of the gate": {
      ...toAsk(gate, "nginx", { Authorization: `Bearer ${makeToken(gate.issuer)}` }),
      body: "",
    },
    CreateServiceUser: rpc("ServiceUserService/CreateServiceUser", machine, {
      org_id: "default",
      body: { title: "one of many" },
    }),
  };
  return { server: gate.server, calls };
}

/** Bytes of requests and answers over one connection, per call. */
async function countBytes(port: number, { method, path, headers, body }: Call, times = 20) {
  const lines = Object.entries({ host: `127.0.0.1:${port}`, ...headers });
  if (method !== "GET") lines.push(["content-length", String(Buffer.byteLength(body))]);
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const socket = connect(port, "127.0.0.1");
  for (let time = 0; time < times; time++) {
    const answered = untilAnswered(socket);
    socket.write(`${method} ${path} HTTP/1.1\r\n${head}\r\n${body}`);
    await answered;
  }
  const bytes = { sent: socket.bytesWritten / times, answered: socket.bytesRead / times };
  socket.destroy();
  return bytes;
}

/** Resolves once an answer with a known length is whole. */
function untilAnswered(socket: ReturnType<typeof connect>): Promise<void> {
  let text = "";
  return new Promise((resolve) => {
    const take = (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const headEnd = text.indexOf("\r\n\r\n");
      const length = Number(/content-length: *(\d+)/i.exec(text)?.[1] ?? 0);
      if (headEnd < 0 || text.length < headEnd + 4 + length) return;
      socket.off("data", take);
      resolve();
    };
    socket.on("data", take);
  });
}

/** Statements and commits per call: of one connection's calls, and of those that come together. */
async function countStatements(load: LoadProcess) {
  const { server, calls } = await startAll({ observed: true });
  try {
    const counts = new Map<string, { statements: number; alone: number; together: number }>();
    for (const [name, call] of Object.entries(calls)) {
      const per = [];
      for (const many of [1, connections]) {
        const prepared = `${name} ${many}`;
        await load.prepare({
          kind: "http1",
          name: prepared,
          load: { ...call, port: server.port, connections: many },
        });
        await load.run(prepared, 1);
        await server.ask("statements");
        const { requests } = await load.run(prepared, 3);
        const { run, commits } = await server.ask("statements");
        per.push({ statements: run / requests, commits: commits / requests });
        await load.closeLoad(prepared);
      }
      const [one, all] = per;
      counts.set(name, {
        statements: one?.statements ?? 0,
        alone: one?.commits ?? 0,
        together: all?.commits ?? 0,
      });
    }
    return counts;
  } finally {
    await server.stop();
  }
}

/** Each kind of call beside all others. */
export async function benchScaling(): Promise<Section> {
  const load = new LoadProcess();
  const counts = await countStatements(load);
  const { server, calls } = await startAll({});
  try {
    const costs = new Map<string, number[]>();
    for (const [name, call] of Object.entries(calls)) {
      await load.prepare({ kind: "http1", name, load: { ...call, port: server.port, connections } });
      await load.run(name, 2);
      costs.set(name, []);
    }
    for (let round = 0; round < rounds; round++) {
      for (const [name, seen] of costs) {
        const before = readCpuMicroseconds(server.pid);
        const { requests, failures } = await load.run(name, 1);
        if (failures > 0) throw new Error(`${name}: ${failures} requests failed`);
        seen.push((readCpuMicroseconds(server.pid) - before) / requests);
      }
    }
    const rows = [];
    for (const [name, call] of Object.entries(calls)) {
      const { sent, answered } = await countBytes(server.port, call);
      const { statements = 0, alone = 0, together = 0 } = counts.get(name) ?? {};
      rows.push([
        name,
        `${median(costs.get(name) ?? []).toFixed(0)} µs`,
        `${sent.toFixed(0)} B`,
        `${answered.toFixed(0)} B`,
        statements.toFixed(2),
        alone.toFixed(2),
        together.toFixed(3),
      ]);
    }
    return {
      title: "What a call takes",
      columns: [
        "call",
        "processor",
        "request",
        "answer",
        "statements",
        "commits, alone",
        "commits, together",
      ],
      rows,
      note: `Over HTTP/1.1 on SQLite. Processor time of all threads, ${connections} connections, medians of ${rounds} alternating windows of a second. Statements without those that begin and end transactions, of one connection's calls; each commit waits for the disk once. Together: of ${connections} connections' calls, which share commits.`,
    };
  } finally {
    await server.stop();
    load.close();
  }
}

/** What a Postgres has been taken of. */
async function readPostgres(client: pg.Client) {
  const { rows } = await client.query<{ wal: string; commits: string; pids: number[] }>(`
    select (select wal_bytes from pg_stat_wal) as wal,
      (select sum(xact_commit) from pg_stat_database) as commits,
      (select array_agg(pid) from pg_stat_activity where pid <> pg_backend_pid()) as pids`);
  const [{ wal, commits, pids } = { wal: 0, commits: 0, pids: [] }] = rows;
  const cpu = pids.reduce((sum, pid) => sum + readCpuMicroseconds(pid), 0);
  return { wal: Number(wal), commits: Number(commits), cpu };
}

/** The same calls over a Postgres that does not wait for the disk. */
export async function benchPostgres(): Promise<Section> {
  const load = new LoadProcess();
  const postgres = await startPostgres();
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  const { server, calls } = await startAll({ databaseUrl: postgres.url });
  try {
    const rows = [];
    for (const [name, call] of Object.entries(calls)) {
      await load.prepare({ kind: "http1", name, load: { ...call, port: server.port, connections } });
      await load.run(name, 2);
      const windows: { cost: number; cpu: number; commits: number; wal: number }[] = [];
      for (let round = 0; round < rounds; round++) {
        // What it tells of itself is a second old.
        await sleep(1100);
        const [before, ours] = [await readPostgres(client), readCpuMicroseconds(server.pid)];
        const { requests } = await load.run(name, 1);
        const cost = (readCpuMicroseconds(server.pid) - ours) / requests;
        await sleep(1100);
        const after = await readPostgres(client);
        const per = (key: keyof typeof before) => (after[key] - before[key]) / requests;
        windows.push({ cost, cpu: per("cpu"), commits: per("commits"), wal: per("wal") });
      }
      const middle = (key: "cost" | "cpu" | "commits" | "wal") =>
        median(windows.map((window) => window[key]));
      rows.push([
        name,
        `${middle("cost").toFixed(0)} µs`,
        `${middle("cpu").toFixed(0)} µs`,
        middle("commits").toFixed(3),
        `${middle("wal").toFixed(0)} B`,
      ]);
    }
    return {
      title: "What a call takes on Postgres",
      columns: ["call", "processor", "of Postgres", "transactions", "WAL"],
      rows,
      note: `As above, over a Postgres on the same machine that does not wait for the disk, seven windows each. Transactions, reads among them, and bytes of WAL are Postgres' own counts, what the server does besides included.`,
    };
  } finally {
    await server.stop();
    await client.end();
    await postgres.stop();
    load.close();
  }
}

/** What a million people, and what they do, take of an SQLite file. */
export async function benchSizes(): Promise<Section> {
  const dataDir = makeDataDir();
  try {
    await (await startVestibule({ dataDir })).stop();
    seedPeople(dataDir, people, Date.now());
    const database = new Sqlite(join(dataDir, "vestibule.db"), { readonly: true });
    const sizes = database
      .prepare<[], { name: string; isIndex: number; bytes: number }>(
        `select coalesce(tbl_name, stat.name) as name, type = 'index' as isIndex, pgsize as bytes
          from dbstat as stat left join sqlite_schema as made on made.name = stat.name where aggregate = true`,
      )
      .all();
    const rowsOf = (table: string) =>
      database.prepare<[], number>(`select count(*) from ${table}`).pluck().get() ?? 0;
    const tables = ["users", "sessions", "auth_flows", "rolling_counts", "audit_records"];
    const rows = tables.map((table) => {
      const bytesOf = (isIndex: number) =>
        sizes
          .filter((it) => it.name === table && it.isIndex === isIndex)
          .reduce((sum, { bytes }) => sum + bytes, 0);
      const count = rowsOf(table);
      const [own, indexes] = [bytesOf(0) / count, bytesOf(1) / count];
      const each = (bytes: number) => `${bytes.toFixed(0)} B`;
      return [table, count.toLocaleString("en"), each(own), each(indexes), each(own + indexes)];
    });
    database.close();
    return {
      title: "What a row takes",
      columns: ["table", "rows", "table, a row", "indexes, a row", "together"],
      rows,
      note: "In an SQLite file that was filled at once. Flows and counts of mailboxes live for minutes and hours, sessions for 30 days, records for 90.",
    };
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}
