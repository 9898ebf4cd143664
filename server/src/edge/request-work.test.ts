import { once } from "node:events";
import { connect, constants, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import { createEdge } from "./router.ts";
import { registerService } from "./services.ts";
import { createOptions } from "./test-support.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()?.();
});

/** An edge whose handlers work until they are told, and what it says of each request's work. */
async function start() {
  const { promise: told, resolve: finish } = Promise.withResolvers<void>();
  const states: ("worked on" | "done")[] = [];
  const { handle } = createEdge(
    createOptions({
      frontierMethods: [],
      routes: [{ method: "POST", path: "/plain", handle: () => told.then(() => ({ status: 204 })) }],
      services: [
        registerService(AuthService, {
          authToken: () => told.then(() => ({})),
          getCurrentUser: () => told.then(() => ({})),
        }),
        registerService(FrontdoorAuthProviderService, {
          watchAuthProviders: async function* () {
            await told;
            yield {};
          },
        }),
      ],
    }),
  );
  const server = createServer(async (request, response) => {
    const at = states.push("worked on") - 1;
    await handle(request, response);
    states[at] = "done";
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  cleanups.push(
    () => session.destroy(),
    () => server.close(),
  );
  const send = (path: string, headers: Record<string, string>, body: string | Buffer) => {
    const stream = session.request({ ":method": "POST", ":path": path, ...headers }).on("error", () => {});
    stream.end(body);
    return stream;
  };
  const turn = () => new Promise((resolve) => session.ping(resolve));
  return { send, turn, states, finish };
}

const json = { "content-type": "application/json" };
const gzip = { ...json, "content-encoding": "identity" };

describe("a request is worked on", () => {
  it.each([
    ["by a direct call", "/vestibule.v1.AuthService/AuthToken", json, "{}"],
    ["by the adapter", "/vestibule.v1.AuthService/AuthToken", gzip, "{}"],
    ["by REST", "/v1beta1/users/self", { ":method": "GET", authorization: "Bearer good" }, ""],
    ["by a plain route", "/plain", {}, "x"],
  ])("until its work is over, %s, though its caller has gone", async (_, path, headers, body) => {
    const { send, turn, states, finish } = await start();
    const stream = send(path, headers, body);
    await eventually(() => expect(states).toEqual(["worked on"]));
    await turn();
    stream.close(constants.NGHTTP2_CANCEL);
    await turn();
    await turn();
    expect(states).toEqual(["worked on"]);
    finish();
    await eventually(() => expect(states).toEqual(["done"]));
  });

  it.each([
    ["a direct call", json],
    ["the adapter", gzip],
  ])("by %s until its work is over, though it was answered", async (_, headers) => {
    const { send, turn, states, finish } = await start();
    const stream = send(
      "/vestibule.v1.AuthService/AuthToken",
      { ...headers, "connect-timeout-ms": "1" },
      "{}",
    );
    const [answer] = await once(stream, "response");
    expect(answer).toMatchObject({ ":status": 504 });
    await turn();
    expect(states).toEqual(["worked on"]);
    finish();
    await eventually(() => expect(states).toEqual(["done"]));
  });

  it("until it has become a stream, though that has nothing to send yet", async () => {
    const { send, states, finish } = await start();
    const body = Buffer.from('\0\0\0\0\x46{"frontdoorId":"019a0000-0000-7000-8000-000000000001"}'.padEnd(75));
    const stream = send(
      "/vestibule.v1.FrontdoorAuthProviderService/WatchAuthProviders",
      { "content-type": "application/connect+json", authorization: "Bearer good" },
      body,
    );
    await eventually(() => expect(states).toEqual(["done"]));
    expect(stream.closed).toBe(false);
    finish();
    const [chunk] = await once(stream, "data");
    expect(chunk[0]).toBe(0);
  });
});
