/** Envoy's `Check` by gRPC, at our gate and at its limits. */
import { create, toBinary } from "@bufbuild/protobuf";
import { CheckRequestSchema } from "@vestibule/proto/envoy/service/auth/v3/external_auth_pb";
import { compare, type Result } from "./compare.ts";
import { type BenchGate, hostname, makeToken, target } from "./gate.ts";
import type { LoadProcess } from "./processes.ts";
import { startContender } from "./servers.ts";

/** What serves the limits, by its name in the table. */
const stacks = {
  http2: "bare node:http2 with an LRU",
  connect: "the same method on connect-node",
  own: "the same method on our own stack",
} as const;

/** What our gate manages, and each limit. */
export async function compareCheck(
  load: LoadProcess,
  gate: BenchGate,
): Promise<{ ours: Result; limits: readonly Result[] }> {
  await using contenders = new AsyncDisposableStack();
  const prepare = (name: string, port: number) => {
    const grpc = {
      port,
      path: "/envoy.service.auth.v3.Authorization/Check",
      headers: { "x-vestibule-proxy-token": gate.proxyToken },
      message: makeMessage(gate),
      connections: 4,
      streams: 16,
    };
    return load.prepare({ kind: "grpc", name, load: grpc });
  };
  await prepare("check ours", gate.server.port);
  for (const [stack, name] of Object.entries(stacks)) {
    const contender = await startContender("bare-check", { BENCH_STACK: stack });
    contenders.defer(() => contender.stop());
    await prepare(name, contender.port);
  }
  const [ours, ...limits] = await compare(load, ["check ours", ...Object.values(stacks)]);
  if (ours === undefined) throw new Error("nothing measured");
  return { ours, limits };
}

/** What Envoy says of a visitor's request, in base64. */
function makeMessage({ frontdoorId, issuer }: BenchGate): string {
  const headers = {
    ":authority": hostname,
    ":method": "GET",
    ":path": target,
    ":scheme": "https",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    accept: "application/json",
    "accept-language": "en",
    "accept-encoding": "gzip, deflate, br",
    cookie: "theme=dark; lang=en",
    authorization: `Bearer ${makeToken(issuer)}`,
    "x-forwarded-for": "192.0.2.7",
    "x-forwarded-proto": "https",
    "x-request-id": "0f5b9c1a-7d3e-48f2-a6c4-e1b2d3f40596",
  };
  const http = { method: "GET", path: target, host: hostname, scheme: "https", protocol: "HTTP/2", headers };
  const message = create(CheckRequestSchema, {
    attributes: {
      source: { address: { address: { case: "socketAddress", value: { address: "192.0.2.7" } } } },
      request: { http },
      contextExtensions: { frontdoor_id: frontdoorId },
    },
  });
  return Buffer.from(toBinary(CheckRequestSchema, message)).toString("base64");
}
