/** What callers hear of a process that has too much to do. */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { afterAll, beforeAll, expect, it } from "vitest";
import { registerService } from "../assembly/services.ts";
import { type RunningEdge, send, sendJson, startEdge, stubServices } from "./test-support.ts";

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({
    routes: [
      { method: "POST", path: "/plain", handle: () => ({ status: 200 }) },
      { method: "POST", path: "/oauth2/token", refusals: "oauth", handle: () => ({ status: 200 }) },
    ],
    services: [...stubServices, registerService(FrontdoorAuthProviderService, {})],
    admission: {
      isOpenAt: () => false,
      enter: ({ refuse }) => refuse(),
      noteAnswered: () => {},
    },
  });
  edge.health.setServing(true);
});
afterAll(() => edge.close());

const text = "too much to do, try again in a moment";

it.each([
  ["an RPC", "/vestibule.v1.AuthService/GetCurrentUser", { code: "unavailable", message: text }],
  [
    "a method of ours that there is not",
    "/vestibule.v1.AuthService/Nothing",
    { code: "unavailable", message: text },
  ],
  ["a plain route", "/plain", { code: "unavailable", message: text }],
  ["an OAuth route", "/oauth2/token", { error: "temporarily_unavailable", error_description: text }],
  [
    "REST",
    "/frontdoor/019a0000-0000-7000-8000-000000000001/auth-providers",
    { error: "unavailable", message: text },
  ],
])("%s is refused with 503 and when to come again", async (_, path, expected) => {
  const answer = await sendJson(edge.http1, path, {});
  expect(answer.status).toBe(503);
  expect(answer.headers["retry-after"]).toBe("1");
  expect(JSON.parse(answer.body)).toMatchObject(expected);
});

it("gRPC hears it as unavailable, with when to come again", async () => {
  const client = createClient(AuthService, createGrpcTransport({ baseUrl: edge.http2 }));
  const error = await client.getCurrentUser({}).catch((err) => ConnectError.from(err));
  expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: text });
  expect((error as ConnectError).metadata.get("retry-after")).toBe("1");
});

it("health and metrics go on", async () => {
  for (const path of ["/healthz", "/ping", "/metrics"]) {
    expect((await send(edge.http1, "GET", path)).status).toBe(200);
  }
  const client = createClient(Health, createGrpcTransport({ baseUrl: edge.http2 }));
  expect((await client.check({})).status).toBe(1);
});
