/**
 * The bare limit for Envoy's `Check`: a `node:http2` handler that reads the
 * message, looks its credential up in an LRU and writes an answer with as many
 * headers. It knows no frontend, no policy and no proxy, and refuses nothing.
 */
import { createServer, type ServerHttp2Stream } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  HeaderValueOption_HeaderAppendAction as Action,
  HeaderValueOptionSchema,
} from "@vestibule/proto/envoy/config/core/v3/base_pb";
import {
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
} from "@vestibule/proto/envoy/service/auth/v3/external_auth_pb";
import { LRUCache } from "lru-cache";

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

function check(message: Uint8Array): CheckResponse {
  const { attributes } = fromBinary(CheckRequestSchema, message);
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
  const message = toBinary(CheckResponseSchema, check(body.subarray(frameBytes)));
  const frame = Buffer.alloc(frameBytes + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, frameBytes);
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(frame);
}

createServer()
  .on("stream", (stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => answer(stream, Buffer.concat(chunks)));
    stream.on("error", () => {});
  })
  .listen(Number(process.env.BENCH_PORT), "127.0.0.1", () => process.stdout.write("ready\n"));
