/** Traces as a collector gets them: of the built server, over every protocol, from a real OTLP endpoint. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { tracingVariables } from "../server/src/config/read-tracing.ts";
import { type CollectedSpan, type Collector, startCollector } from "./parts/collector.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { openTransport, refusalOf } from "./parts/rpc.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";

const page = readFileSync(join(import.meta.dirname, "../docs/observability.md"), "utf8");

/** Of a server that shares its machine with other tests. */
const patiently = { timeout: 15_000 };

/** Traces that a test need not wait for. */
const soon = { OTEL_BSP_SCHEDULE_DELAY: "20" };

const traceOf = (digit: string) => ({ traceId: digit.repeat(32), spanId: digit.repeat(16) });
const traceparentOf = ({ traceId, spanId }: { traceId: string; spanId: string }, flags: string) =>
  `00-${traceId}-${spanId}-${flags}`;

/** The access line of a request id. */
async function lineOf(server: TestServer, requestId: string): Promise<Record<string, unknown>> {
  const find = () =>
    server
      .stdout()
      .split("\n")
      .filter((line) => line.includes(requestId) && line.includes('"message":"request"'));
  await expect.poll(find, patiently).toHaveLength(1);
  return JSON.parse(find()[0] ?? "{}");
}

const below = (collector: Collector, parent: CollectedSpan) =>
  collector.spans.filter(({ parentSpanId }) => parentSpanId === parent.spanId);

describe.each(["sqlite", "postgres"] as const)("a server on %s that is asked for traces", (database) => {
  let collector: Collector;
  let server: TestServer;
  const named = (name: string) => (span: CollectedSpan) => span.name === name;

  beforeAll(async () => {
    collector = await startCollector();
    server = await startServer({
      database,
      env: {
        ...soon,
        OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/otlp/`,
        OTEL_EXPORTER_OTLP_HEADERS: "x-api-key=col%2Clector,x-tenant=a",
        OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=staging,service.name=ignored",
        OTEL_SERVICE_NAME: "vestibule-test",
      },
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await collector?.[Symbol.asyncDispose]();
  });

  it("sends a span for a call by each protocol, with its database work below", async () => {
    for (const [protocol, wire, rpcSystem, version] of [
      ["Connect JSON", "HTTP/1.1", "connectrpc", "1.1"],
      ["Connect binary", "h2c", "connectrpc", "2"],
      ["gRPC", "h2c", "grpc", "2"],
      ["gRPC-Web", "HTTP/1.1", "grpc", "1.1"],
    ] as const) {
      using opened = openTransport(server.url, protocol, wire);
      const client = createClient(ServiceUserService, opened.transport);
      const requestId = `${protocol}-${version}`.replaceAll(" ", "-");
      const headers = { ...basic(server), "x-request-id": requestId };
      await client.createServiceUser({ orgId: "default", body: { title: protocol } }, { headers });
      const line = await lineOf(server, requestId);
      const span = await collector.find(({ spanId }) => spanId === line.span_id);
      expect(span, protocol).toMatchObject({
        traceId: line.trace_id,
        parentSpanId: "",
        name: "vestibule.v1.ServiceUserService/CreateServiceUser",
        kind: "server",
        isError: false,
        links: [],
        attributes: {
          "http.request.method": "POST",
          "http.route": "/vestibule.v1.ServiceUserService/CreateServiceUser",
          "url.path": "/vestibule.v1.ServiceUserService/CreateServiceUser",
          "http.response.status_code": 200,
          "network.protocol.version": version,
          "rpc.system.name": rpcSystem,
          "rpc.method": "vestibule.v1.ServiceUserService/CreateServiceUser",
          "vestibule.code": "ok",
          "vestibule.credential_kind": "client_secret",
        },
        resource: {
          "service.name": "vestibule-test",
          "service.version": expect.stringMatching(/^\d/),
          "service.instance.id": expect.any(String),
          "deployment.environment.name": "staging",
          "telemetry.sdk.name": "opentelemetry",
        },
      });
      expect(span.attributes["rpc.status_code"], protocol).toBe(rpcSystem === "grpc" ? "OK" : undefined);
      const transaction = below(collector, span).find(named("TRANSACTION"));
      expect(transaction, protocol).toMatchObject({
        traceId: span.traceId,
        kind: "client",
        attributes: { "db.system.name": database === "sqlite" ? "sqlite" : "postgresql" },
      });
      if (transaction === undefined) return;
      const insert = below(collector, transaction).find(named("INSERT service_users"));
      expect(insert?.attributes).toEqual({
        "db.system.name": database === "sqlite" ? "sqlite" : "postgresql",
        "db.operation.name": "INSERT",
        "db.collection.name": "service_users",
      });
      expect(insert?.durationMs).toBeLessThanOrEqual(transaction.durationMs);
    }
  });

  it("sends a span for REST, an OAuth route, a stream that is left and a path that nobody knows", async () => {
    const spanOf = async (requestId: string) => {
      const line = await lineOf(server, requestId);
      return collector.find(({ spanId }) => spanId === line.span_id);
    };
    const ask = (path: string, requestId: string, headers = {}) =>
      send(`${server.url}${path}`, { headers: { "x-request-id": requestId, ...headers } });

    const id = "019a0000-0000-7000-8000-000000000001";
    await ask(`/frontdoor/${id}/auth-providers?size=5`, "rest-1");
    expect(await spanOf("rest-1")).toMatchObject({
      name: "GET /frontdoor/{frontdoor_id}/auth-providers",
      isError: false,
      attributes: {
        "http.request.method": "GET",
        "http.route": "/frontdoor/{frontdoor_id}/auth-providers",
        "url.path": `/frontdoor/${id}/auth-providers`,
        "http.response.status_code": 401,
        "vestibule.code": "unauthenticated",
        "vestibule.reason": "NOT_AUTHENTICATED",
      },
    });

    await send(`${server.url}/oauth2/token`, {
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "x-request-id": "oauth-1",
        ...basic(server),
      },
      body: "grant_type=client_credentials",
    });
    expect(await spanOf("oauth-1")).toMatchObject({
      name: "POST /oauth2/token",
      attributes: { "http.route": "/oauth2/token", "vestibule.credential_kind": "client_secret" },
    });

    await ask("/nowhere/at/all?code=1", "nowhere-1");
    const nowhere = await spanOf("nowhere-1");
    expect(nowhere.name).toBe("GET");
    expect(nowhere.attributes).not.toHaveProperty("url.path");
    expect(nowhere.attributes).not.toHaveProperty("http.route");

    using opened = openTransport(server.url, "gRPC", "h2c");
    const auth = createClient(AuthService, opened.transport);
    await refusalOf(auth.getCurrentUser({}, { headers: { "x-request-id": "grpc-refused" } }));
    expect(await spanOf("grpc-refused")).toMatchObject({
      isError: false,
      attributes: { "rpc.status_code": "UNAUTHENTICATED", "http.response.status_code": 200 },
    });

    const leaving = new AbortController();
    const health = createClient(Health, opened.transport);
    const headers = { "x-request-id": "left" };
    const leave = async () => {
      for await (const _ of health.watch({}, { headers, signal: leaving.signal })) leaving.abort();
    };
    await refusalOf(leave());
    expect(await spanOf("left")).toMatchObject({
      name: "grpc.health.v1.Health/Watch",
      isError: false,
      attributes: { "vestibule.code": "canceled", "rpc.status_code": "CANCELLED" },
    });
  });

  it("begins a trace of its own for a stranger, whatever they sent, and names theirs", async () => {
    const theirs = traceOf("a");
    for (const flags of ["00", "01"]) {
      const requestId = `stranger-${flags}`;
      await send(`${server.url}/healthz`, {
        headers: {
          traceparent: traceparentOf(theirs, flags),
          tracestate: "vendor=secret",
          "x-request-id": requestId,
        },
      });
      const line = await lineOf(server, requestId);
      const span = await collector.find(({ spanId }) => spanId === line.span_id);
      expect(span).toMatchObject({ parentSpanId: "", links: [theirs.traceId] });
      expect(span.traceId).not.toBe(theirs.traceId);
    }
    for (const traceparent of ["", "00-0-0-01", traceparentOf(traceOf("0"), "01"), "x".repeat(10_000)]) {
      await send(`${server.url}/healthz`, { headers: { traceparent, "x-request-id": "malformed" } });
      const span = await collector.find(({ links, name }) => links.length === 0 && name === "GET /healthz");
      expect(span.parentSpanId).toBe("");
    }
  });

  it("sends to the path that belongs to traces, with the configured headers, compressed", () => {
    const [first] = collector.requests;
    expect(first?.path).toBe("/otlp/v1/traces");
    expect(first?.headers).toMatchObject({
      "x-api-key": "col,lector",
      "x-tenant": "a",
      "content-type": "application/x-protobuf",
      "content-encoding": "gzip",
      "user-agent": expect.stringContaining("vestibule/"),
    });
    expect(server.stdout()).toContain('"message":"traces are on"');
    expect(server.stdout()).not.toContain("col,lector");
  });

  it("records nothing of what no request asked for", () => {
    const known = new Set(collector.spans.map(({ spanId }) => spanId));
    const orphans = collector.spans.filter(
      ({ kind, parentSpanId }) => kind !== "server" && !known.has(parentSpanId),
    );
    expect(orphans).toEqual([]);
  });
});

describe("what leaves the process", () => {
  it("is below the request that wanted it, by host alone, and is told of no trace", async () => {
    const heard: IncomingHttpHeaders[] = [];
    const issuer = createServer(({ headers }, response) => {
      heard.push(headers);
      const at = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
      const document = {
        issuer: at,
        authorization_endpoint: `${at}/authorize`,
        token_endpoint: `${at}/token`,
        jwks_uri: `${at}/jwks`,
      };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(document));
    }).listen(0, "127.0.0.1");
    await once(issuer, "listening");
    onTestFinished(() => void issuer.close());
    const { port } = issuer.address() as AddressInfo;
    await using collector = await startCollector();
    const provider = {
      issuer_url: `http://127.0.0.1:${port}`,
      client_id: "a",
      client_secret: "hunter2-hunter2",
    };
    await using server = await startServer({
      config: { authentication: { oidc_config: { corp: provider } } },
      env: { ...soon, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    });
    const begin = async (message: object, requestId: string) => {
      const path = "/vestibule.v1.AuthService/Authenticate";
      const answer = await postJson(server, path, message, { "x-request-id": requestId });
      expect(answer.status, answer.text).toBe(200);
      const line = await lineOf(server, requestId);
      return collector.find(({ spanId }) => spanId === line.span_id);
    };

    const toCorp = await begin({ strategy_name: "corp" }, "by-corp");
    const fetched = await collector.find(({ attributes }) => attributes["server.port"] === port);
    expect(fetched).toMatchObject({
      traceId: toCorp.traceId,
      name: "GET",
      kind: "client",
      attributes: {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200,
      },
    });
    expect(Object.keys(fetched.attributes)).toHaveLength(4);
    expect(heard.length).toBeGreaterThan(0);
    for (const headers of heard) expect(headers).not.toHaveProperty("traceparent");

    const byMail = await begin({ strategy_name: "mailotp", email: "ada@example.com" }, "by-mail");
    const mailed = await collector.find(({ name }) => name === "send mail");
    expect(mailed).toMatchObject({ traceId: byMail.traceId, parentSpanId: byMail.spanId, kind: "client" });
    expect(Buffer.concat(collector.bodies).includes("ada@example.com")).toBe(false);
  });
});

describe("a trusted proxy's trace", () => {
  it("is continued, and kept only if the proxy keeps it", async () => {
    await using collector = await startCollector();
    await using server = await startServer({
      config: { trusted_proxies: ["127.0.0.1"] },
      env: { ...soon, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/as/it/is` },
    });
    const [kept, dropped] = [traceOf("b"), traceOf("c")];
    const ask = (traceparent: string, requestId: string) =>
      postJson(
        server,
        "/vestibule.v1.AuthService/AuthToken",
        {},
        {
          ...basic(server),
          traceparent,
          "x-request-id": requestId,
        },
      );
    await ask(traceparentOf(dropped, "00"), "dropped");
    await ask(traceparentOf(kept, "01"), "kept");
    const span = await collector.find(({ traceId, kind }) => traceId === kept.traceId && kind === "server");
    expect(span).toMatchObject({ parentSpanId: kept.spanId, links: [] });
    expect((await lineOf(server, "dropped")).trace_id).toBe(dropped.traceId);
    expect(collector.spans.filter(({ traceId }) => traceId === dropped.traceId)).toEqual([]);
    expect(collector.requests[0]?.path).toBe("/as/it/is");
  });
});

describe("the sampler", () => {
  it.each([
    ["always_off", "127.0.0.1"],
    ["parentbased_always_off", "10.0.0.0/8"],
  ])("%s records nothing though a caller asks for it", async (sampler, trusted) => {
    await using collector = await startCollector();
    await using server = await startServer({
      config: { trusted_proxies: [trusted] },
      env: { ...soon, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_TRACES_SAMPLER: sampler },
    });
    const headers = { traceparent: traceparentOf(traceOf("d"), "01") };
    expect((await send(`${server.url}/healthz`, { headers })).status).toBe(200);
    expect(await server.stop()).toBe(0);
    expect(collector.spans).toEqual([]);
  });
});

describe("a collector that is gone", () => {
  it("holds up no request, is told of once, and the server stops in time", async () => {
    const port = await findFreePort();
    await using server = await startServer({
      env: {
        ...soon,
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
        OTEL_EXPORTER_OTLP_TIMEOUT: "300",
        OTEL_BSP_MAX_QUEUE_SIZE: "8",
      },
    });
    for (let index = 0; index < 40; index++) {
      expect((await send(`${server.url}/healthz`)).status).toBe(200);
    }
    await expect.poll(() => server.stdout(), patiently).toContain("spans cannot be exported");
    const { text } = await send(`${server.url}/metrics`);
    expect(text).toMatch(/vestibule_trace_spans_total\{result="lost"\} [1-9]/);
    expect(text).toMatch(/vestibule_trace_spans_waiting [0-8]\n/);
    // Back: what comes from now on arrives.
    await using collector = await startCollector({ port });
    await expect
      .poll(async () => {
        await send(`${server.url}/healthz`);
        return collector.spans.length;
      }, patiently)
      .toBeGreaterThan(0);
    await expect.poll(() => server.stdout(), patiently).toContain("spans are exported again");
    const warnings = server.stdout().split("spans cannot be exported").length - 1;
    expect(warnings).toBe(1);
    expect(await server.stop()).toBe(0);
  });

  it("does not keep a server that is told to stop", async () => {
    await using server = await startServer({
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await findFreePort()}` },
    });
    await send(`${server.url}/healthz`);
    const askedAt = performance.now();
    expect(await server.stop()).toBe(0);
    // Its ten seconds of tries are not waited for: three are, and a little for the process.
    expect(performance.now() - askedAt).toBeLessThan(9_000);
  });
});

describe("stopping", () => {
  it("sends what waits, to where the page's command says", async () => {
    await using collector = await startCollector();
    const command = /^```sh\n(\w+)=http:\/\/127\.0\.0\.1:4318 npm start$/m.exec(page);
    const [, variable = ""] = command ?? [];
    await using server = await startServer({
      env: { [variable]: collector.url, OTEL_BSP_SCHEDULE_DELAY: "600000" },
    });
    await send(`${server.url}/healthz`, { headers: { "x-request-id": "last" } });
    const line = await lineOf(server, "last");
    expect(await server.stop()).toBe(0);
    expect(collector.spans.map(({ spanId }) => spanId)).toContain(line.span_id);
  });
});

describe("without its variables", () => {
  it.each([
    ["none at all", {}],
    ["the SDK disabled", { OTEL_SDK_DISABLED: "true", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }],
    ["no exporter of traces", { OTEL_TRACES_EXPORTER: "none", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }],
  ])("with %s, nothing is recorded, sent or logged", async (_, env) => {
    await using collector = await startCollector();
    const endpoint = Object.keys(env).length > 0 ? { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } : {};
    await using server = await startServer({ env: { ...soon, ...endpoint, ...env } });
    await send(`${server.url}/healthz`, { headers: { "x-request-id": "plain" } });
    expect(await lineOf(server, "plain")).not.toHaveProperty("trace_id");
    expect((await send(`${server.url}/metrics`)).text).not.toContain("trace_spans");
    expect(await server.stop()).toBe(0);
    expect(collector.requests).toEqual([]);
    expect(server.stdout()).not.toContain("traces are on");
  });
});

it("is no part of what a server evaluates that was not asked for it", () => {
  const built = readFileSync(join(import.meta.dirname, "../server/dist/bundle/main.js"), "utf8");
  const [, evaluate = ""] = /\.then\(\(\)\s*=>\s*\((init_tracing\d*)\(\)/.exec(built) ?? [];
  expect(built.split(`${evaluate}()`)).toHaveLength(2);
  for (const part of ["BatchSpanProcessor", "OTLPTraceExporter", "SpanOutlet"]) {
    // Such a class is made where its module is evaluated.
    expect(built).toMatch(new RegExp(`[;,{}\\s]${part}=class`));
    expect(built).not.toMatch(new RegExp(`class ${part}[ {]`));
  }
});

it("has a page that names every variable that is read", () => {
  const table = page.split("\n").filter((line) => line.startsWith("| `OTEL_"));
  const named = table.flatMap((line) => (line.split("|")[1] ?? "").match(/OTEL_\w+/g) ?? []);
  expect(named.toSorted()).toEqual(Object.keys(tracingVariables).toSorted());
});

it("prints spans as lines of the log when they are asked for on the console", async () => {
  await using server = await startServer({ env: { ...soon, OTEL_TRACES_EXPORTER: "console" } });
  await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, basic(server));
  const spans = () =>
    server
      .stdout()
      .split("\n")
      .filter((line) => line.includes('"message":"span"'))
      .map((line) => JSON.parse(line));
  await expect.poll(spans, patiently).toContainEqual(
    expect.objectContaining({
      name: "vestibule.v1.AuthService/GetCurrentUser",
      kind: "server",
      isError: false,
    }),
  );
});

it("refuses what it cannot do, and names the variable", async () => {
  await expect(
    startServer({
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4317", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
    }),
  ).rejects.toThrow(/the server ended with 1:.*OTEL_EXPORTER_OTLP_PROTOCOL: must be http\/protobuf/s);
});
