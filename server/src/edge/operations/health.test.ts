import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "@vestibule/proto/grpc/health/v1/health_pb";
import { describe, expect, it } from "vitest";
import type { FunctionRoute, PlainRequest } from "../../http/plain-route.ts";
import { silentLog } from "../../lib/log.ts";
import { createTranslator } from "../errors/translate.ts";
import { createHealth, createHealthRoutes, createHealthService } from "./health.ts";

function setUp() {
  const health = createHealth();
  const { service, implementation } = createHealthService(health, ["vestibule.v1.AuthService"]);
  const translator = createTranslator({ log: silentLog, bodyBytes: 1024 });
  const transport = createRouterTransport((router) => router.service(service, implementation), {
    router: { interceptors: [translator.interceptor] },
  });
  return { health, client: createClient(Health, transport) };
}

describe("createHealthService", () => {
  it("follows the switch, for the server and for each service", async () => {
    const { health, client } = setUp();
    for (const service of ["", "vestibule.v1.AuthService"]) {
      health.setServing(false);
      expect((await client.check({ service })).status).toBe(Status.NOT_SERVING);
      health.setServing(true);
      expect((await client.check({ service })).status).toBe(Status.SERVING);
    }
  });

  it("does not know other services", async () => {
    const { client } = setUp();
    await expect(client.check({ service: "nobody.Here" })).rejects.toMatchObject({ code: Code.NotFound });
  });

  it("lists all of them", async () => {
    const { client } = setUp();
    const { statuses } = await client.list({});
    expect(Object.keys(statuses)).toEqual(["", "grpc.health.v1.Health", "vestibule.v1.AuthService"]);
  });

  it("tells a watcher each change, and ends after the drain began", async () => {
    const { health, client } = setUp();
    const seen: Status[] = [];
    for await (const { status } of client.watch({})) {
      seen.push(status);
      health.setServing(seen.length < 2);
    }
    expect(seen).toEqual([Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]);
  });

  it("keeps the watcher of an unknown service, until it leaves", async () => {
    const { client } = setUp();
    const leave = new AbortController();
    const seen: Status[] = [];
    const watching = (async () => {
      for await (const { status } of client.watch({ service: "nobody.Here" }, { signal: leave.signal })) {
        seen.push(status);
        leave.abort();
      }
    })();
    await expect(watching).rejects.toMatchObject({ code: Code.Canceled });
    expect(seen).toEqual([Status.SERVICE_UNKNOWN]);
  });
});

describe("createHealthRoutes", () => {
  it("answers 503 until ready, then 200, on both paths", async () => {
    const health = createHealth();
    const routes = createHealthRoutes(health) as FunctionRoute[];
    expect(routes.map(({ path }) => path)).toEqual(["/healthz", "/ping"]);
    const ask = () => Promise.all(routes.map(({ handle }) => handle({} as PlainRequest)));
    for (const answer of await ask())
      expect(answer).toMatchObject({ status: 503, body: { status: "NOT_SERVING" } });
    health.setServing(true);
    for (const answer of await ask())
      expect(answer).toMatchObject({ status: 200, body: { status: "SERVING" } });
  });
});
