/** Signals of the built server, and how it ends. */
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { createClient } from "@connectrpc/connect";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { expect, it } from "vitest";
import { basic, postJson, send } from "./parts/http.ts";
import { startRelay } from "./parts/relay.ts";
import { openTransport } from "./parts/rpc.ts";
import { createState, startServer } from "./parts/server.ts";

/** The longest that stopping may take, and what a busy machine may add, in milliseconds. */
const stopMs = 25_000 + 3_000;

it("goes on after SIGHUP, and says that it means nothing", async () => {
  await using server = await startServer();
  process.kill(server.pid, "SIGHUP");
  await expect.poll(() => server.stdout()).toContain("SIGHUP changes nothing");
  expect((await send(`${server.url}/healthz`)).status).toBe(200);
  expect(await server.stop()).toBe(0);
});

it("on SIGTERM says so at once, and serves on until the grace is over", async () => {
  await using server = await startServer({ config: { shutdown: { grace: "3s" } } });
  const client = createClient(Health, openTransport(server.url, "gRPC", "h2c").transport);
  expect((await client.check({})).status).toBe(1);
  process.kill(server.pid, "SIGTERM");
  await expect.poll(async () => (await send(`${server.url}/healthz`)).status).toBe(503);
  const toldAtMs = performance.now();
  const again = createClient(Health, openTransport(server.url, "gRPC", "h2c").transport);
  expect((await again.check({})).status).toBe(2);
  const token = await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(server));
  expect(token.status).toBe(200);
  expect((await fetch(`${server.url}/.well-known/jwks.json`)).headers.get("connection")).toBe("close");
  const session = connectHttp2(server.url);
  const told = once(session, "goaway");
  await once(session.request({ ":path": "/ping" }).resume(), "response");
  expect((await told)[1]).toBe(2 ** 31 - 1);
  expect(await server.ended).toBe(0);
  expect(performance.now() - toldAtMs).toBeGreaterThan(1_500);
});

it("while Postgres is silent ends in time, with 1 and what was given up", async () => {
  const state = await createState("postgres");
  const url = new URL(state.databaseUrl ?? "");
  const relay = await startRelay(Number(url.port));
  url.port = String(relay.port);
  await using server = await startServer({ state: { ...state, databaseUrl: url.href } });
  try {
    expect((await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(server))).status).toBe(
      200,
    );
    relay.stall();
    const create = { org_id: "default", body: { title: "m" } };
    const answers = Array.from({ length: 2 }, () =>
      postJson(server, "/vestibule.v1.ServiceUserService/CreateServiceUser", create, basic(server)),
    );
    // A token's audit record waits to be written, whoever asks.
    await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(server));
    const toldAtMs = performance.now();
    process.kill(server.pid, "SIGTERM");
    expect(await server.ended).toBe(1);
    expect(performance.now() - toldAtMs).toBeLessThan(stopMs);
    for (const answer of answers) expect((await answer).status).toBe(503);
    expect(server.stdout()).toContain('"step":"audit records","message":"stopping: given up"');
    expect(server.stderr()).toMatch(/stopped without having finished: .*audit records/);
  } finally {
    // Before the server removes the database: `drop database` waits for what has not signed in.
    relay.close();
  }
});
