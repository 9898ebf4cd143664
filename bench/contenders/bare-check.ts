/**
 * The bare limits for Envoy's `Check`: a method that looks the credential of its
 * message up in an LRU and answers with as many headers. It knows no frontend, no
 * policy and no proxy, and refuses nothing. `BENCH_STACK` says what serves it:
 * `http2` a handler of `node:http2` that does no more than read and write the
 * messages, `connect` the adapter of connect-node, `own` what serves our gate.
 */
import { createServer, type ServerHttp2Stream } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  HeaderValueOption_HeaderAppendAction as Action,
  HeaderValueOptionSchema,
} from "@vestibule/proto/envoy/config/core/v3/base_pb";
import {
  Authorization,
  type CheckRequest,
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
} from "@vestibule/proto/envoy/service/auth/v3/external_auth_pb";
import { LRUCache } from "lru-cache";
import { registerService } from "../../server/src/assembly/services.ts";
import { Admission } from "../../server/src/edge/admission.ts";
import { createHealth } from "../../server/src/edge/operations/health.ts";
import { createMetrics } from "../../server/src/edge/operations/metrics.ts";
import { createEdge } from "../../server/src/edge/router.ts";
import { systemClock, systemMonotonicMs } from "../../server/src/lib/clock.ts";
import { createJsonLog } from "../../server/src/lib/pino-log.ts";
import { listen } from "../../server/src/listener/listener.ts";

const judged = new LRUCache<string, readonly (readonly [name: string, value: string])[]>({ max: 65_536 });
/** As long as a signed assertion, and as an id. */
const [assertion, id] = ["a".repeat(600), "i".repeat(36)];
const frameBytes = 5;

function judge(credential: string) {
  const known = judged.get(credential);
  if (known !== undefined) return known;
  const headers = [
    ["x-vestibule-subject", `${id}:ada`],
    ["x-vestibule-email", "ada@example.com"],
    ["x-vestibule-name", "Ada"],
    ["x-vestibule-provider", id],
    ["x-vestibule-groups", "dev,ops"],
    ["x-vestibule-assertion", assertion],
  ] as const;
  judged.set(credential, headers);
  return headers;
}

function check({ attributes }: CheckRequest): CheckResponse {
  const identity = judge(attributes?.request?.http?.headers.authorization ?? "");
  const headers = identity.map(([key, value]) =>
    create(HeaderValueOptionSchema, {
      header: { key, value },
      append: false,
      appendAction: Action.OVERWRITE_IF_EXISTS_OR_ADD,
    }),
  );
  const headersToRemove = ["x-vestibule-proxy-token", "x-vestibule-organizations", "authorization"];
  return create(CheckResponseSchema, {
    status: { code: 0 },
    httpResponse: { case: "okResponse", value: { headers, headersToRemove } },
  });
}

function answer(stream: ServerHttp2Stream, body: Buffer): void {
  const message = toBinary(
    CheckResponseSchema,
    check(fromBinary(CheckRequestSchema, body.subarray(frameBytes))),
  );
  const frame = Buffer.alloc(frameBytes + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, frameBytes);
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(frame);
}

const port = Number(process.env.BENCH_PORT);
const host = "127.0.0.1";
const onListening = () => process.stdout.write("ready\n");

function serveByHttp2(): void {
  createServer()
    .on("stream", (stream) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => answer(stream, Buffer.concat(chunks)));
      stream.on("error", () => {});
    })
    .listen(port, host, onListening);
}

function serveByConnect(): void {
  const routes = (router: ConnectRouter) => router.service(Authorization, { check });
  createServer(connectNodeAdapter({ routes })).listen(port, host, onListening);
}

/** With all that every request goes through, its line of the log too. */
async function serveByOwn(): Promise<void> {
  const log = createJsonLog("info", { write: () => {} });
  const admission = new Admission({ monotonicMs: systemMonotonicMs });
  const edge = createEdge({
    routes: [],
    prefixRoutes: [],
    services: [registerService(Authorization, { check })],
    frontierMethods: [],
    principals: { authenticate: async () => undefined },
    health: createHealth(),
    admission,
    metrics: createMetrics(),
    log,
    clock: systemClock,
    publicOrigin: "http://localhost",
    allowedOrigins: [],
    cookieCrossesSites: false,
    strictTransport: false,
    trustedProxies: [],
    limits: { bodyBytes: 4 * 1024 * 1024, requestSeconds: 30 },
    directCalls: true,
  });
  await listen({ host, port, handler: edge.handle, onConnection: () => admission.noteConnection(), log });
  await edge.warmUp();
  onListening();
}

const stacks: Readonly<Record<string, () => void | Promise<void>>> = {
  http2: serveByHttp2,
  connect: serveByConnect,
  own: serveByOwn,
};
await stacks[process.env.BENCH_STACK ?? ""]?.();
