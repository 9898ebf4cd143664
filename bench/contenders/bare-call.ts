/**
 * The bare limits for an almost empty call, `ListAuthStrategies`: handlers of `node:http` and `node:http2` that do what the protocol
 * asks of them (method, media type and deadline are looked at, the message is
 * read and written as its schema has it) and nothing else. Neither has a log, an
 * id, a limit or a check. With `BENCH_STACK=connect` both ports are served by the
 * adapter of connect-node, with `BENCH_PROCESSES` by as many, which accept from one
 * socket as ours do.
 */
import cluster from "node:cluster";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { create, fromBinary, fromJson, toBinary, toJsonString } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  AuthService,
  type ListAuthStrategiesRequest,
  ListAuthStrategiesRequestSchema,
  type ListAuthStrategiesResponse,
  ListAuthStrategiesResponseSchema,
} from "@vestibule/proto/vestibule/v1/auth_service_pb";

const path = "/vestibule.v1.AuthService/ListAuthStrategies";
const frameBytes = 5;
/** As our server answers that has no settings. */
const names = ["mailotp", "maillink", "passkey"];

function list(_request: ListAuthStrategiesRequest): ListAuthStrategiesResponse {
  return create(ListAuthStrategiesResponseSchema, { strategies: names.map((name) => ({ name })) });
}

function serveHttp(request: IncomingMessage, response: ServerResponse): void {
  const { method, url, headers } = request;
  const timeoutMs = Number(headers["connect-timeout-ms"] ?? 0);
  if (method !== "POST" || url !== path || headers["content-type"] !== "application/json" || timeoutMs < 0) {
    response.writeHead(404).end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const message = fromJson(ListAuthStrategiesRequestSchema, JSON.parse(Buffer.concat(chunks).toString()));
    const answer = toJsonString(ListAuthStrategiesResponseSchema, list(message));
    response.setHeader("content-type", "application/json");
    response.setHeader("content-length", Buffer.byteLength(answer));
    response.end(answer);
  });
}

function serveStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.on("error", () => {});
  const timeout = headers["grpc-timeout"];
  if (headers[":path"] !== path || headers["content-type"] !== "application/grpc" || timeout === "") {
    stream.respond({ ":status": 200, "grpc-status": "12" }, { endStream: true });
    return;
  }
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("end", () => {
    const asked = fromBinary(ListAuthStrategiesRequestSchema, Buffer.concat(chunks).subarray(frameBytes));
    const message = toBinary(ListAuthStrategiesResponseSchema, list(asked));
    const frame = Buffer.alloc(frameBytes + message.length);
    frame.writeUInt32BE(message.length, 1);
    frame.set(message, frameBytes);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(frame);
  });
}

const routes = (router: ConnectRouter) => router.service(AuthService, { listAuthStrategies: list });
const processes = Number(process.env.BENCH_PROCESSES ?? 1);
const isAdapter = process.env.BENCH_STACK === "connect";
const adapter = connectNodeAdapter({ routes });
const http2Server = isAdapter ? createHttp2Server(adapter) : createHttp2Server().on("stream", serveStream);

function serve(onListening = () => {}): void {
  createServer(isAdapter ? adapter : serveHttp).listen(Number(process.env.BENCH_PORT), "127.0.0.1", () => {
    http2Server.listen(Number(process.env.BENCH_H2_PORT), "127.0.0.1", onListening);
  });
}

const noteReady = () => void process.stdout.write("ready\n");
if (cluster.isWorker) serve();
else if (processes === 1) serve(noteReady);
else {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const ports = 2;
  let listening = 0;
  cluster.on("listening", () => {
    listening += 1;
    if (listening === ports * processes) noteReady();
  });
  for (let forked = 0; forked < processes; forked++) cluster.fork();
}
