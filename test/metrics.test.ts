/** Metrics as Prometheus gets them: of the built server, after calls of every kind. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { basic, postJson, send } from "./parts/http.ts";
import { type Sample, scrape, sumOf } from "./parts/metrics.ts";
import { openTransport, protocols, refusalOf } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const getCurrentUser = "/vestibule.v1.AuthService/GetCurrentUser";
const alias = "/raystack.frontier.v1beta1.FrontierService/GetCurrentUser";
const page = readFileSync(join(import.meta.dirname, "../docs/observability.md"), "utf8");

/** Of a server that shares its machine with other tests. */
const patiently = { timeout: 15_000 };

/** Metric → its labels, as the page's table has them. */
const documented = new Map(
  [...page.matchAll(/^\| `(vestibule_\w+)` \|(.*?)\|/gm)].map(([, name = "", labels = ""]) => [
    name,
    labels.match(/\w+/g) ?? [],
  ]),
);

/** Name and labels of our own metrics, as they are shown; a histogram by its own name. */
function shapesOf(samples: readonly Sample[]): Map<string, string[]> {
  const own = samples.filter(({ name }) => name.startsWith("vestibule_"));
  return new Map(
    own.map(({ name, labels }) => [
      name.replace(/_(bucket|sum|count)$/, ""),
      Object.keys(labels).filter((label) => label !== "le"),
    ]),
  );
}

describe.each(["sqlite", "postgres"] as const)("a server on %s", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({
      database,
      config: {
        limits: {
          failed_credentials_per_client_per_minute: 3,
          mails_per_mailbox_per_hour: 1,
          wrong_codes_per_mailbox_per_hour: 1,
        },
      },
    });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  /** By how much a count of requests grows by what is done; waits until it has. */
  async function growthOf(labels: Sample["labels"], act: () => Promise<unknown>): Promise<void> {
    const count = async () => sumOf(await scrape(server), "vestibule_requests_total", labels);
    const before = await count();
    await act();
    await expect.poll(count, { message: JSON.stringify(labels), ...patiently }).toBe(before + 1);
  }

  it("counts calls by method, code and kind of credential, over every protocol", async () => {
    const [token] = await Promise.all([
      postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(server)).then(
        ({ json }) => json.accessToken,
      ),
    ]);
    for (const protocol of protocols) {
      using opened = openTransport(server.url, protocol, "h2c");
      const auth = createClient(AuthService, opened.transport);
      const route = getCurrentUser;
      await growthOf({ route, code: "ok", credential: "client_secret" }, () =>
        auth.getCurrentUser({}, { headers: basic(server) }),
      );
      await growthOf({ route, code: "ok", credential: "access_token" }, () =>
        auth.getCurrentUser({}, { headers: { authorization: `Bearer ${token}` } }),
      );
      await growthOf({ route, code: "unauthenticated", credential: "opaque_token" }, () =>
        refusalOf(auth.getCurrentUser({}, { headers: { authorization: "Bearer nobody" } })),
      );
      await growthOf({ route, code: "unauthenticated", credential: "none" }, () =>
        refusalOf(auth.getCurrentUser({})),
      );
    }
  });

  it("counts what comes by other ways just so", async () => {
    await growthOf({ route: alias, code: "ok", credential: "client_secret" }, () =>
      postJson(server, alias, {}, basic(server)),
    );
    await growthOf({ route: "/v1beta1/users/self", code: "ok", credential: "client_secret" }, () =>
      send(`${server.url}/v1beta1/users/self`, { headers: basic(server) }),
    );
    const frontdoor = "/frontdoor/019a0000-0000-7000-8000-000000000001/auth-providers";
    const template = "/frontdoor/{frontdoor_id}/auth-providers";
    await growthOf({ route: template, code: "unauthenticated", credential: "none" }, () =>
      send(`${server.url}${frontdoor}`),
    );
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const ask = (headers: Record<string, string>) =>
      send(`${server.url}/oauth2/token`, {
        headers: { ...form, ...headers },
        body: "grant_type=client_credentials",
      });
    await growthOf({ route: "/oauth2/token", code: "ok", credential: "client_secret" }, () =>
      ask(basic(server)),
    );
    await growthOf({ route: "/oauth2/token", code: "unauthenticated", credential: "client_secret" }, () =>
      ask(basic({ clientId: server.clientId.replace(/.$/, "x"), clientSecret: "wrong" })),
    );
    await growthOf({ route: "/login", code: "ok", credential: "none" }, () => send(`${server.url}/login`));
    await growthOf({ route: "other", code: "not_found", credential: "none" }, () =>
      send(`${server.url}/nowhere`),
    );
  });

  it("counts a stream once it is over, and among what is in flight until then", async () => {
    using opened = openTransport(server.url, "gRPC", "h2c");
    const health = createClient(Health, opened.transport);
    const leaving = new AbortController();
    await growthOf({ route: "/grpc.health.v1.Health/Watch", code: "canceled" }, async () => {
      const watch = async () => {
        for await (const _ of health.watch({}, { signal: leaving.signal })) {
          expect(sumOf(await scrape(server), "vestibule_requests_in_flight")).toBe(2);
          leaving.abort();
        }
      };
      await refusalOf(watch());
    });
  });

  it("has labels of closed sets alone, whatever is sent", async () => {
    for (const path of ["/%00", "/vestibule.v1.AuthService/Nope", "/frontdoor/x/y/z", "/a?route=b"]) {
      await send(`${server.url}${path}`, { headers: { authorization: "Digest x", cookie: "sid=x" } });
      await postJson(server, path, {}, { authorization: `Bearer ${"x".repeat(100)}` });
    }
    await send(`${server.url}${getCurrentUser}`, { method: "PURGE" });
    await send(`${server.url}${getCurrentUser}`, { headers: { "content-type": "text/x" }, body: "x" });
    const samples = (await scrape(server)).filter(({ name }) => name === "vestibule_requests_total");
    const setOf = (label: string) => [...new Set(samples.map(({ labels }) => labels[label]))].toSorted();
    const kinds = ["access_token", "client_secret", "key_pair", "none", "opaque_token", "session"];
    expect(kinds).toEqual(expect.arrayContaining(setOf("credential")));
    const codes = [
      "canceled",
      "client_error",
      "invalid_argument",
      "not_found",
      "ok",
      "server_error",
      "unauthenticated",
      "unimplemented",
    ];
    expect(codes).toEqual(expect.arrayContaining(setOf("code")));
    expect(setOf("route").join(" ")).not.toMatch(/Nope|%00|route=|\/x\/y/);
  });

  it("tells of the database, the feed, the keys and what waits", async () => {
    const samples = await scrape(server);
    const value = (name: string, labels = {}) => sumOf(samples, `vestibule_${name}`, labels);
    expect(value("ready")).toBe(1);
    expect(value("build_info", { database })).toBe(1);
    const committed = value("database_transactions_total", { result: "committed" });
    expect(committed).toBeGreaterThan(3);
    expect(value("database_transactions_total", { result: "unavailable" })).toBe(0);
    expect(value("database_transaction_duration_seconds_count")).toBeGreaterThanOrEqual(committed);
    if (database === "sqlite") {
      expect(value("database_commits_total")).toBeGreaterThan(0);
    } else {
      expect(value("database_connections")).toBeGreaterThan(0);
    }
    expect(value("database_waiting")).toBeLessThan(10);
    expect(value("change_feed_age_seconds")).toBeLessThan(2);
    expect(value("audit_records_lost_total")).toBe(0);
    expect(value("mail_available")).toBe(1);
    const nowSeconds = Date.now() / 1000;
    expect(value("signing_key_since_timestamp_seconds")).toBeLessThanOrEqual(nowSeconds);
    expect(value("signing_key_rotation_timestamp_seconds")).toBeGreaterThan(nowSeconds + 29 * 86_400);
    expect(value("cache_entries", { cache: "credentials" })).toBeGreaterThan(0);
    expect(value("cache_loads_total", { cache: "credentials" })).toBeGreaterThan(0);
  });

  it("counts refusals by a limit, silent ones too", async () => {
    const limited = async (limit: string) =>
      sumOf(await scrape(server), "vestibule_limit_refusals_total", { limit });
    expect(await limited("client_failures")).toBe(0);
    const bad = basic({ clientId: "019a0000-0000-7000-8000-00000000000a", clientSecret: "wrong" });
    for (let index = 0; index < 5; index++) await postJson(server, getCurrentUser, {}, bad);
    expect(await limited("client_failures")).toBe(2);

    expect(await limited("mailbox_mails")).toBe(0);
    const mails = async () => sumOf(await scrape(server), "vestibule_mails_total", { result: "accepted" });
    for (let index = 0; index < 3; index++) {
      const message = { strategy_name: "mailotp", email: "ada@example.com" };
      const { status } = await postJson(server, "/vestibule.v1.AuthService/Authenticate", message);
      expect(status).toBe(200);
    }
    await expect.poll(mails, patiently).toBe(1);
    // What is mailed is decided after the answer.
    await expect.poll(() => limited("mailbox_mails"), patiently).toBe(2);
    expect(await limited("address_mails")).toBe(0);
  });

  it("shows nothing but what the page says, and with its labels", async () => {
    const shapes = shapesOf(await scrape(server));
    const shown = [...shapes].map(([name, labels]) => [name, labels.toSorted()]);
    expect(shown).toEqual(shown.map(([name = ""]) => [name, documented.get(String(name))?.toSorted()]));
    const missing = [...documented.keys()].filter((name) => !shapes.has(name)).toSorted();
    const other =
      database === "sqlite" ? "vestibule_database_connections" : "vestibule_database_commits_total";
    expect(missing).toEqual(
      [
        other,
        "vestibule_mail_server_refusal",
        "vestibule_trace_spans_total",
        "vestibule_trace_spans_waiting",
      ].toSorted(),
    );
  });
});

it("counts fetches by how they ended", async () => {
  const site = createServer((_, response) => void response.writeHead(503).end()).listen(0, "127.0.0.1");
  await once(site, "listening");
  onTestFinished(() => void site.close());
  const { port } = site.address() as AddressInfo;
  const provider = (at: string) => ({ issuer_url: at, client_id: "a", client_secret: "b" });
  const oidc_config = { down: provider(`http://127.0.0.1:${port}`), gone: provider("http://127.0.0.1:9") };
  await using server = await startServer({ config: { authentication: { oidc_config } } });
  const begin = (strategy_name: string) =>
    postJson(server, "/vestibule.v1.AuthService/Authenticate", { strategy_name });
  const ended = async (result: string) => sumOf(await scrape(server), "vestibule_fetches_total", { result });
  expect((await begin("down")).status).toBe(503);
  expect(await ended("5xx")).toBe(1);
  expect((await begin("gone")).status).toBe(503);
  expect(await ended("connection")).toBe(1);
  expect(await ended("2xx")).toBe(0);
});

it("is not ready any more while it ends", async () => {
  await using server = await startServer();
  using opened = openTransport(server.url, "gRPC", "h2c");
  const health = createClient(Health, opened.transport);
  const seen: number[] = [];
  for await (const { status } of health.watch({})) {
    seen.push(status);
    if (seen.length === 1) process.kill(server.pid, "SIGTERM");
  }
  expect(seen).toEqual([1, 2]);
  expect(await server.ended).toBe(0);
});
