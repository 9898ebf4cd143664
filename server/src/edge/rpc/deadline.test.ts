import { Code, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { registerService } from "../../assembly/services.ts";
import { type RunningEdge, startEdge } from "../test-support.ts";
import { longestDelayMs } from "./direct-wire.ts";

/** What handlers were left with, in milliseconds. */
const left: (number | undefined)[] = [];
let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({
    frontierMethods: [],
    services: [
      registerService(AuthService, {
        listAuthStrategies: (_, context) => {
          left.push(context.timeoutMs());
          return {};
        },
      }),
      registerService(FrontdoorAuthProviderService, {
        watchAuthProviders: async function* (_, context) {
          left.push(context.timeoutMs());
          yield {};
          // Timers that are over at once are over by then.
          await new Promise((resolve) => setTimeout(resolve, 20));
          context.signal.throwIfAborted();
          yield {};
        },
      }),
    ],
  });
});
afterAll(() => edge.close());

const warnings: Error[] = [];
const warned = (warning: Error) => void warnings.push(warning);
beforeEach(() => {
  left.length = 0;
  warnings.length = 0;
  process.on("warning", warned);
});
afterEach(() => {
  process.off("warning", warned);
});

/** Calls a unary and a streaming method with a deadline just as it is written here. */
async function callWith(open: (interceptors: Interceptor[]) => Transport, name: string, value: string) {
  const transport = open([
    (next) => (request) => {
      request.header.set(name, value);
      request.header.set("authorization", "Bearer good");
      return next(request);
    },
  ]);
  await createClient(AuthService, transport).listAuthStrategies({});
  let messages = 0;
  const watch = createClient(FrontdoorAuthProviderService, transport).watchAuthProviders({
    frontdoorId: "019a0000-0000-7000-8000-000000000001",
  });
  for await (const _ of watch) messages += 1;
  return messages;
}

const connect = (interceptors: Interceptor[]) =>
  createConnectTransport({ baseUrl: edge.http2, httpVersion: "2", interceptors });
const grpc = (interceptors: Interceptor[]) => createGrpcTransport({ baseUrl: edge.http2, interceptors });
const grpcWeb = (interceptors: Interceptor[]) =>
  createGrpcWebTransport({ baseUrl: edge.http1, httpVersion: "1.1", interceptors });

it.each([
  ["Connect", connect, "connect-timeout-ms", "0"],
  ["gRPC", grpc, "grpc-timeout", "0S"],
  ["gRPC, a billionth of a second", grpc, "grpc-timeout", "1n"],
] as const)("over %s a deadline that has passed begins nothing", async (_, open, name, value) => {
  for (let count = 0; count < 20; count++) {
    await expect(callWith(open, name, value)).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  }
  expect(left).toEqual([]);
});

describe.each([
  ["Connect", connect, "connect-timeout-ms", ["2147483648", "9999999999"], "2147483647"],
  ["gRPC", grpc, "grpc-timeout", ["99999999H", "2147484S", "35792M"], "2147483S"],
  ["gRPC-Web", grpcWeb, "grpc-timeout", ["99999999H"], "2147483S"],
] as const)("over %s", (_, open, name, longer, longest) => {
  it.each(longer)("a deadline of %s counts as the longest there is", async (value) => {
    expect(await callWith(open, name, value)).toBe(2);
    expect(left).toHaveLength(2);
    for (const ms of left) {
      expect(ms).toBeLessThanOrEqual(longestDelayMs);
      expect(ms).toBeGreaterThan(longestDelayMs - 60_000);
    }
    expect(warnings).toEqual([]);
  });

  it("keeps the longest there is", async () => {
    expect(await callWith(open, name, longest)).toBe(2);
    expect(warnings).toEqual([]);
  });
});
