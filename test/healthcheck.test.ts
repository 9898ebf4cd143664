/** `vestibule healthcheck` beside servers on every kind of address, and beside none. */
import { once } from "node:events";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { send, tlsEnvironment } from "./parts/http.ts";
import { createState, findFreePort, runVestibule, type ServerState, startServer } from "./parts/server.ts";

/** How long the command takes at most with a server that does not answer, and what a busy machine may add. */
const longestMs = 3_000 + 10_000;

let state: ServerState;
beforeAll(async () => {
  state = await createState("sqlite");
});
afterAll(() => state.remove());

/** Asks as a supervisor would, with the settings of a server. It has an answer of one line. */
async function check(env: Readonly<Record<string, string>>) {
  const dataDir = join(state.dataDir, "none");
  const beganAtMs = performance.now();
  const { code, stdout, stderr } = await runVestibule(["healthcheck"], state, {
    env: { VESTIBULE_DATA_DIR: dataDir, ...env },
  });
  expect(performance.now() - beganAtMs).toBeLessThan(longestMs);
  // No database is looked for, let alone made.
  expect(existsSync(dataDir)).toBe(false);
  const lines = `${stdout}${stderr}`.trimEnd().split("\n");
  expect(lines).toHaveLength(1);
  return { code, line: lines[0] };
}

const listenAt = (address: string) => ({
  VESTIBULE_LISTEN: address,
  VESTIBULE_PUBLIC_URL: "http://a.example",
});

it.each([
  ["127.0.0.1", "127.0.0.1", {}],
  ["0.0.0.0", "127.0.0.1", {}],
  ["localhost", "localhost", {}],
  ["127.0.0.1", "127.0.0.1", tlsEnvironment],
])("finds who listens on %s, at %s", async (host, at, tls) => {
  const port = await findFreePort();
  const env = { ...listenAt(`${host}:${port}`), ...tls };
  if (tls === tlsEnvironment) env.VESTIBULE_PUBLIC_URL = "https://a.example";
  await using _ = await startServer({ port, env });
  expect(await check(env)).toEqual({ code: 0, line: `serving at ${at}:${port}` });
});

/** Who listens there and is no server of ours. */
async function startStranger(server: Server, host: string): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, host);
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

it("finds who listens on all addresses, also of a machine that lacks either kind", async () => {
  const answer = (host: string) =>
    startStranger(
      createHttpServer((_, response) => response.end('{"status":"SERVING"}')),
      host,
    );
  const port = await answer("127.0.0.1");
  expect(await check(listenAt(`[::]:${port}`))).toEqual({ code: 0, line: `serving at 127.0.0.1:${port}` });
  const all = await answer("::");
  expect(await check(listenAt(`[::]:${all}`))).toMatchObject({
    code: 0,
    line: expect.stringMatching(/^serving/),
  });
});

it("is told by a server that stops, and by its absence after that", async () => {
  const server = await startServer({ config: { shutdown: { grace: "10s" } } });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const env = listenAt(`127.0.0.1:${server.port}`);
  expect(await check(env)).toMatchObject({ code: 0 });
  process.kill(server.pid, "SIGTERM");
  await eventually(async () => expect((await send(`${server.url}/healthz`)).status).toBe(503));
  expect(await check(env)).toEqual({
    code: 1,
    line: `vestibule: not serving: 127.0.0.1:${server.port}: it is starting or stopping, or lacks its database`,
  });
  await server.kill();
  expect(await check(env)).toEqual({
    code: 1,
    line: `vestibule: not serving: 127.0.0.1:${server.port}: nobody listens there`,
  });
});

it("is told by a server whose database has gone", async () => {
  await using server = await startServer();
  const env = listenAt(`127.0.0.1:${server.port}`);
  const file = join(server.state.dataDir, "vestibule.db");
  renameSync(file, `${file}.away`);
  await eventually(async () => expect((await send(`${server.url}/healthz`)).status).toBe(503));
  expect(await check(env)).toMatchObject({ code: 1, line: expect.stringContaining("lacks its database") });
  renameSync(`${file}.away`, file);
  await eventually(async () => expect((await send(`${server.url}/healthz`)).status).toBe(200));
  expect(await check(env)).toMatchObject({ code: 0 });
});

it.each<[string, Server, RegExp]>([
  ["says nothing", createServer(() => {}), /: no answer in 3 seconds$/],
  ["speaks something else", createServer((socket) => socket.end("220 mail\r\n")), /: speaks no HTTP$/],
  ["hangs up", createServer((socket) => socket.destroy()), /: the connection was cut$/],
  [
    "answers everything",
    createHttpServer((_, response) => response.end("<html>".repeat(10_000))),
    /: answers 200, as another program$/,
  ],
  [
    "sends without end",
    createHttpServer((request, response) => {
      const sending = setInterval(() => response.write("x".repeat(10_000)), 1);
      request.socket.on("close", () => clearInterval(sending));
    }),
    /: no answer in 3 seconds$/,
  ],
  [
    "is busy",
    createHttpServer((_, response) => response.writeHead(503).end("{}")),
    /: answers 503, as another program$/,
  ],
])("says no of somebody else who %s", async (_, stranger, expected) => {
  const port = await startStranger(stranger, "127.0.0.1");
  expect(await check(listenAt(`127.0.0.1:${port}`))).toEqual({
    code: 1,
    line: expect.stringMatching(expected),
  });
});

it("says no where the settings do not say where", async () => {
  expect(await check(listenAt("127.0.0.1:0"))).toEqual({
    code: 1,
    line: "vestibule: not serving: not known where: listen has port 0, which the system chooses",
  });
  const file = join(state.dataDir, "wrong.yaml");
  writeFileSync(file, "listen: 7400\ndata_dri: x\nlog: { level: loud }\n");
  expect(await check({ VESTIBULE_CONFIG: file })).toEqual({
    code: 1,
    line: expect.stringMatching(
      /^vestibule: not serving: not known where: the configuration cannot be used: .+, and \d+ more \(vestibule doctor\)$/,
    ),
  });
  expect(await check({ VESTIBULE_CONFIG: join(state.dataDir, "missing.yaml") })).toMatchObject({ code: 1 });
  const { code, stderr } = await runVestibule(["healthcheck", "twice"], state);
  expect({ code, stderr }).toEqual({ code: 1, stderr: "vestibule: healthcheck takes no arguments\n" });
});

it("loads no more of the server than its settings", () => {
  const sources = join(import.meta.dirname, "../server/src");
  const reached = new Set<string>();
  const visit = (file: string) => {
    if (reached.has(file)) return;
    reached.add(file);
    const text = readFileSync(file, "utf8");
    const imports = text.matchAll(/^(?:import|export) (?!type )[^;]*?"(\.[^"]+)";$/gm);
    for (const [, path = ""] of imports) visit(join(dirname(file), path));
  };
  visit(join(sources, "check.ts"));
  const rooms = [...reached].map((file) => file.slice(sources.length + 1).replace(/\/.*/, ""));
  expect([...new Set(rooms)].toSorted()).toEqual([
    "check.ts",
    "command-line.ts",
    "commands",
    "config",
    "http",
    "lib",
  ]);
});
