/** The log of the built server: one line a request, whatever becomes of it. */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { basic, postJson, send } from "./parts/http.ts";
import { openTransport, refusalOf } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const page = readFileSync(join(import.meta.dirname, "../docs/observability.md"), "utf8");
const [, logs = ""] = /^## Logs$(.*?)^## /ms.exec(page) ?? [];
const documented = [...logs.matchAll(/^\| (`.*?`) \|/gm)].flatMap(
  ([, names = ""]) => names.match(/\w+/g) ?? [],
);

/** Of a server that shares its machine with other tests. */
const patiently = { timeout: 15_000 };

type Line = Readonly<Record<string, unknown>>;

const linesOf = (server: TestServer): Line[] =>
  server
    .stdout()
    .split("\n")
    .filter((line) => line.includes('"message":"request"'))
    .map((line) => JSON.parse(line));

/** Sends bytes, and what comes of it until the connection is over. */
function sendRaw(server: TestServer, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1");
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(received));
    socket.write(bytes);
  });
}

describe("every request is one line", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ config: { log: { level: "debug" }, limits: { body_bytes: 2048 } } });
    // Those of the start asked whether it was ready.
    await send(`${server.url}/healthz`, { headers: { "x-request-id": "begin" } });
    await untilLogged("begin");
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const untilLogged = (id: string) =>
    vi.waitFor(() => expect(linesOf(server).map(({ requestId }) => requestId)).toContain(id), patiently);

  /** The lines that `act` leaves, once there are any and a later request has had its own. */
  async function linesBy(act: () => Promise<unknown>): Promise<Line[]> {
    const before = linesOf(server).length;
    await act();
    await vi.waitFor(() => expect(linesOf(server).length).toBeGreaterThan(before), patiently);
    const last = `last-${before}`;
    await send(`${server.url}/healthz`, { headers: { "x-request-id": last } });
    await untilLogged(last);
    return linesOf(server)
      .slice(before)
      .filter(({ requestId }) => requestId !== last);
  }

  const get = (path: string, headers = {}) => send(`${server.url}${path}`, { headers });
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const raw = (head: string, body = "") => sendRaw(server, `${head}\r\nHost: a\r\n${body}`);

  it.each<[string, () => Promise<unknown>, object]>([
    ["a page", () => get("/login"), { path: "/login", status: 303, code: "ok" }],
    ["nothing", () => get("/nowhere?a=b"), { path: "/nowhere", status: 404, code: "not_found" }],
    ["a method it has not", () => send(`${server.url}/healthz`, { method: "PUT" }), { status: 405 }],
    [
      "a call",
      () => postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, basic(server)),
      {
        status: 200,
        code: "ok",
        credentialKind: "client_secret",
        principal: expect.stringMatching(/^serviceuser:/),
      },
    ],
    [
      "a refused call",
      () => postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, { authorization: "Bearer x" }),
      { status: 401, code: "unauthenticated", reason: "NOT_AUTHENTICATED", credentialKind: "opaque_token" },
    ],
    [
      "REST",
      () => get("/frontdoor/019a0000-0000-7000-8000-000000000001/auth-providers"),
      { status: 401, route: "/frontdoor/{frontdoor_id}/auth-providers" },
    ],
    [
      "too large a body",
      () => send(`${server.url}/oauth2/token`, { headers: form, body: "a".repeat(2049) }),
      { path: "/oauth2/token", status: 413, code: "resource_exhausted", reason: "REQUEST_TOO_LARGE" },
    ],
    [
      "too large a body that is announced and never sent",
      () => raw("POST /oauth2/token HTTP/1.1\r\nConnection: close", "Content-Length: 99999\r\n\r\n"),
      { path: "/oauth2/token", status: 413 },
    ],
    ["what is no HTTP", () => raw("hello"), { status: 400, detail: "HPE_INVALID_METHOD" }],
    ["no host", () => sendRaw(server, "GET / HTTP/1.1\r\n\r\n"), { status: 400, detail: "NO_HOST" }],
    [
      "too large a header",
      () => raw("GET / HTTP/1.1", `X: ${"x".repeat(20_000)}\r\n\r\n`),
      { status: 431, code: "client_error", client: "127.0.0.1", http: "1.1" },
    ],
    [
      "a body of broken chunks",
      () => raw("POST /oauth2/token HTTP/1.1", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
      { path: "/oauth2/token", code: "canceled" },
    ],
  ])("%s", async (_, act, expected) => {
    expect(await linesBy(act)).toMatchObject([{ level: "info", ...expected }]);
  });

  it.each(["gRPC", "Connect JSON"] as const)("a stream by %s that is left", async (protocol) => {
    const leave = async () => {
      using opened = openTransport(server.url, protocol, "h2c");
      const leaving = new AbortController();
      const watched = createClient(Health, opened.transport).watch({}, { signal: leaving.signal });
      const watch = async () => {
        for await (const _ of watched) leaving.abort();
      };
      await refusalOf(watch());
    };
    expect(await linesBy(leave)).toMatchObject([{ path: "/grpc.health.v1.Health/Watch", code: "canceled" }]);
  });

  it("with no field but those of the page", () => {
    const fields = new Set(linesOf(server).flatMap((line) => Object.keys(line)));
    expect(documented).toEqual(expect.arrayContaining([...fields]));
    expect(documented.filter((name) => !fields.has(name))).toEqual(["trace_id", "span_id"]);
  });
});

it("leaves requests out from level warn on", async () => {
  await using server = await startServer({ config: { log: { level: "warn" } } });
  await send(`${server.url}/nowhere`);
  await sendRaw(server, "hello\r\n\r\n");
  expect(await server.stop()).toBe(0);
  expect(server.stdout()).not.toContain('"request"');
});

it("is a line for people too", async () => {
  await using server = await startServer({ config: { log: { format: "pretty" } } });
  await send(`${server.url}/nowhere`, { headers: { "x-request-id": "people-1" } });
  expect(await server.stop()).toBe(0);
  const lines = server
    .stdout()
    .split("\n")
    .filter((line) => line.includes("people-1"));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/INFO.*request.*"path":"\/nowhere".*"status":404/);
});
