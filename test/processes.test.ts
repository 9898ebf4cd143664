/** Several processes that serve one port under a supervisor, on either database. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { type Sample, scrape, sumOf } from "./parts/metrics.ts";
import { mixCalls } from "./parts/mixed-calls.ts";
import {
  createState,
  runVestibule,
  type ServerOptions,
  startServer,
  type TestServer,
} from "./parts/server.ts";

const processes = 3;

/** A command that keeps what follows it to the first core that this process may use. */
function toOneCore(): readonly string[] {
  const [, first = "0"] =
    /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return ["taskset", "--cpu-list", first];
}

/** What the log says so far, a value a line. Throws for a line that is not whole. */
function readLog(server: TestServer): Record<string, unknown>[] {
  const text = server.stdout();
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

const linesOf = (server: TestServer, message: string) =>
  readLog(server).filter((line) => line.message === message);

/** Ids of the processes that serve, by their numbers; those started last. */
function pidsOf(server: TestServer): Map<number, number> {
  const started = linesOf(server, "process started") as unknown as { process: number; pid: number }[];
  return new Map(started.map(({ process: number, pid }) => [number, pid]));
}

/** How long the processes may take to serve, in milliseconds: as long as one that starts alone. */
const startMs = 50_000;

async function untilAllServe(server: TestServer, count = processes): Promise<void> {
  const readUp = async () =>
    (await scrape(server)).filter(({ name }) => name === "vestibule_process_up").map(({ value }) => value);
  const up = Array.from({ length: count }, () => 1);
  await vi.waitFor(async () => expect(await readUp()).toEqual(up), { timeout: startMs, interval: 50 });
}

async function start(
  database: "sqlite" | "postgres",
  options: Pick<ServerOptions, "config" | "prefix" | "processes"> = {},
): Promise<TestServer> {
  const limits = {
    failed_credentials_per_client_per_minute: 10_000,
    failed_credentials_per_address_per_minute: 10_000,
  };
  const server = await startServer({ database, processes, config: { limits }, ...options });
  try {
    await untilAllServe(server, options.processes);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** How many requests of a path each process has answered. */
const countsOf = (samples: readonly Sample[], route: string) =>
  new Map(
    Array.from({ length: processes }, (_, index) => {
      const labels = { process: String(index + 1), route };
      return [index + 1, sumOf(samples, "vestibule_requests_total", labels)];
    }),
  );

const create = (server: TestServer, title: string) =>
  postJson(
    server,
    "/vestibule.v1.ServiceUserService/CreateServiceUser",
    { org_id: "default", body: { title } },
    basic(server),
  );

async function listTitles(server: TestServer): Promise<string[]> {
  const titles: string[] = [];
  let page_token = "";
  do {
    const message = { org_id: "default", page_size: 200, page_token };
    const { json } = await postJson(
      server,
      "/vestibule.v1.ServiceUserService/ListServiceUsers",
      message,
      basic(server),
    );
    titles.push(...json.serviceusers.map(({ title }: { title: string }) => title));
    page_token = json.nextPageToken ?? "";
  } while (page_token !== "");
  return titles;
}

describe.each(["sqlite", "postgres"] as const)("several processes on %s", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await start(database);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  it("serve one port, and each shows the metrics of all, which never go back", async () => {
    const path = "/.well-known/jwks.json";
    let last = countsOf(await scrape(server), path);
    let asked = sumOf(await scrape(server), "vestibule_requests_total", { route: path });
    await eventually(async () => {
      for (let turn = 0; turn < 20; turn += 1) expect((await send(server.url + path)).status).toBe(200);
      asked += 20;
      const samples = await scrape(server);
      const now = countsOf(samples, path);
      for (const [number, count] of now) expect(count).toBeGreaterThanOrEqual(last.get(number) ?? 0);
      last = now;
      // Each has taken its share.
      expect([...now.values()].every((count) => count > 0)).toBe(true);
    });
    const samples = await scrape(server);
    expect(sumOf(samples, "vestibule_requests_total", { route: path })).toBe(asked);
    expect(sumOf(samples, "vestibule_ready")).toBe(processes);
    expect(samples.filter(({ labels }) => labels.process === undefined)).toEqual([]);
    // One metric's lines stand together, below one HELP and one TYPE.
    const { text } = await send(`${server.url}/metrics`);
    const heads = text.split("\n").filter((line) => line.startsWith("# TYPE "));
    expect(new Set(heads).size).toBe(heads.length);
  });

  it("know at once, wherever it was done, that a credential is no more", async () => {
    const { json } = await create(server, "short-lived");
    const { id } = json.serviceuser;
    const call = (method: string, message: object) =>
      postJson(server, `/vestibule.v1.ServiceUserService/${method}`, message, basic(server));
    const made = await call("CreateServiceUserCredential", { org_id: "default", id });
    const credential = { clientId: made.json.secret.id, clientSecret: made.json.secret.secret };
    const whoami = () => postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, basic(credential));
    const all = () => Promise.all(Array.from({ length: 24 }, whoami));
    await eventually(async () => {
      for (const { status } of await all()) expect(status).toBe(200);
    });
    await call("DeleteServiceUserCredential", { org_id: "default", id, secret_id: credential.clientId });
    await eventually(async () => {
      for (const { status } of await all()) expect(status).toBe(401);
    });
  });

  it("answer on when one is killed under load, lose nothing acknowledged, and are as many again", async () => {
    const acknowledged: string[] = [];
    const failures: unknown[] = [];
    let isOver = false;
    const clients = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const title = randomUUID();
        try {
          const { status } = await create(server, title);
          if (status === 200) acknowledged.push(title);
          else failures.push(status);
        } catch (error) {
          failures.push(error);
        }
      }
    });
    for (const [number, pid] of pidsOf(server)) {
      const before = acknowledged.length;
      await eventually(() => expect(acknowledged.length).toBeGreaterThan(before + 20));
      process.kill(pid, "SIGKILL");
      const killedAt = acknowledged.length;
      // Others answer meanwhile.
      await eventually(() => expect(acknowledged.length).toBeGreaterThan(killedAt + 20));
      await eventually(() => expect(pidsOf(server).get(number)).not.toBe(pid));
      await untilAllServe(server);
    }
    isOver = true;
    await Promise.all(clients);
    const kept = new Set(await listTitles(server));
    expect(acknowledged.filter((title) => !kept.has(title))).toEqual([]);
    // Nobody refused anything: what failed was cut off with its process.
    expect(failures.filter((failure) => typeof failure === "number")).toEqual([]);
    expect(linesOf(server, "a process has ended; another is started")).toHaveLength(processes);
    const starts = (await scrape(server)).filter(({ name }) => name === "vestibule_process_starts_total");
    expect(starts.map(({ value }) => value)).toEqual(Array.from({ length: processes }, () => 2));
  }, 200_000);

  it("give each call its own answer amid cancellations, resets and deadlines, and keep nothing open", async () => {
    // Connections to the database stay for whoever comes next.
    const readHandles = async () => {
      const samples = await scrape(server);
      return sumOf(samples, "nodejs_active_handles_total") - sumOf(samples, "vestibule_database_connections");
    };
    const before = await readHandles();
    const result = await mixCalls(server, { connections: 64, count: 3_000 });
    expect(result.wrong).toEqual([]);
    expect(result.answered).toBeGreaterThan(0);
    expect(result.answered + result.late + result.refused + result.broken).toBe(3_000);
    await eventually(async () => {
      // The scrape itself is one.
      expect(sumOf(await scrape(server), "vestibule_requests_in_flight")).toBe(1);
      expect(await readHandles()).toBeLessThanOrEqual(before);
    });
  });

  it("write one log, a line at a time", async () => {
    const long = "x".repeat(480);
    await Promise.all(Array.from({ length: 600 }, (_, index) => send(`${server.url}/${long}${index}`)));
    await eventually(() => {
      const paths = readLog(server).map(({ path }) => path);
      for (let index = 0; index < 600; index += 1) expect(paths).toContain(`/${long}${index}`);
    });
  });

  it("end together on SIGTERM, with what they were doing done", async () => {
    const pids = [...pidsOf(server).values()];
    const pending = Array.from({ length: 30 }, (_, index) => create(server, `last ${index}`));
    const first = await Promise.race(pending);
    expect(first.status).toBe(200);
    expect(await Promise.all([server.stop(), ...pending.map(async (each) => (await each).status)])).toEqual([
      0,
      ...pending.map(() => 200),
    ]);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(linesOf(server, "stopped")).toHaveLength(1);
    expect(server.stderr()).toBe("");
  });
});

it("share connections that come at once as soon as they serve, on one core as well", async () => {
  const server = await start("sqlite", { processes: 2, prefix: toOneCore() });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const path = "/.well-known/jwks.json";
  const pids = [...pidsOf(server).values()];
  // All of them wait before anybody takes the first.
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  const sockets = Array.from({ length: 256 }, () => connect(server.port, "127.0.0.1"));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  for (const socket of sockets) socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const answered = sockets.map((socket) => once(socket, "data"));
  for (const pid of pids) process.kill(pid, "SIGCONT");
  for (const [answer] of await Promise.all(answered)) expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /);
  for (const socket of sockets) socket.destroy();
  const [one = 0, two = 0] = countsOf(await scrape(server), path).values();
  expect(one + two).toBe(256);
  // Half of them, more or less: the system has other things to do on that core.
  expect(Math.min(one, two)).toBeGreaterThan(256 / 3);
});

it("keep a second server off their SQLite file", async () => {
  const server = await start("sqlite");
  onTestFinished(() => server[Symbol.asyncDispose]());
  for (const args of [["serve"], ["serve", "--processes", "2"]]) {
    const { code, stderr } = await runVestibule(args, server.state);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining("another server is already running on"),
    });
  }
  expect((await send(`${server.url}/healthz`)).status).toBe(200);
});

it("keep a second server off their SQLite file until they have ended, when their supervisor was killed", async () => {
  const server = await start("sqlite");
  onTestFinished(() => server[Symbol.asyncDispose]());
  const pids = [...pidsOf(server).values()];
  // They hear of it when they go on, however long the start of another takes.
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  process.kill(server.pid, "SIGKILL");
  await eventually(() => expect(isAlive(server.pid)).toBe(false));
  const { code, stderr } = await runVestibule(["serve"], server.state);
  for (const pid of pids) process.kill(pid, "SIGCONT");
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining("another server is already running on"),
  });
  await server.ended;
  await using next = await startServer({ state: server.state });
  expect((await send(`${next.url}/healthz`)).status).toBe(200);
}, 100_000);

describe("the supervisor", () => {
  it("ends all at once at a second signal", async () => {
    const server = await start("postgres", { config: { shutdown: { grace: "10s" } } });
    onTestFinished(() => server[Symbol.asyncDispose]());
    const pids = [...pidsOf(server).values()];
    process.kill(server.pid, "SIGTERM");
    await eventually(async () => expect((await send(`${server.url}/healthz`)).status).toBe(503));
    process.kill(server.pid, "SIGTERM");
    expect(await server.ended).toBe(1);
    await eventually(() => expect(pids.filter(isAlive)).toEqual([]));
  });

  it("leaves nobody behind when it is killed itself", async () => {
    const server = await start("postgres");
    onTestFinished(() => server.state.remove());
    const pids = [...pidsOf(server).values()];
    process.kill(server.pid, "SIGKILL");
    await server.ended;
    await eventually(() => expect(pids.filter(isAlive)).toEqual([]));
    const stopping = linesOf(server, "stopping: requests in flight may finish");
    expect(stopping.map(({ signal }) => signal)).toEqual(pids.map(() => "the supervisor is gone"));
  });

  it("ends with what the first process says when that cannot serve", async () => {
    const state = await createState("postgres");
    onTestFinished(() => state.remove());
    await using other = await startServer();
    const env = { VESTIBULE_LISTEN: `127.0.0.1:${other.port}` };
    const { code, stderr } = await runVestibule(["serve", "--processes", "2"], state, { env });
    expect(code).toBe(1);
    expect(stderr).toBe(
      `vestibule: listen 127.0.0.1:${other.port}: address already in use\n` +
        "vestibule: no process serves: the first one ended as it was started\n",
    );
  });

  it.each(["0", "-1", "1.5", "257", "many", ""])("is refused to be asked for %j processes", async (count) => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const { code, stderr } = await runVestibule(["serve", `--processes=${count}`], state);
    expect(code).toBe(1);
    expect(stderr).toBe("vestibule: --processes: must be auto or a whole number from 1 to 256\n");
  });

  it("alone starts what serves beside others", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const { code, stderr } = await runVestibule(["serve", "--process", "2"], state);
    expect(code).toBe(1);
    expect(stderr).toBe("vestibule: --process is for what --processes starts\n");
  });
});
