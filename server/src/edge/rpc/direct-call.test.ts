/**
 * The direct way and the adapter are held against each other on raw requests:
 * both must answer them alike, byte for byte. A request that names an encoding,
 * be it `identity`, is the adapter's.
 */
import { once } from "node:events";
import { request as http1Request } from "node:http";
import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { AuthService, AuthTokenRequestSchema } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { registerService } from "../../assembly/services.ts";
import { CallContext } from "../calls/unary-call.ts";
import { type RunningEdge, sendJson, startEdge } from "../test-support.ts";

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({ directCalls: true });
});
afterAll(() => edge.close());

interface Answered {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** What differs for reasons of its own. */
const unstable = ["date", "x-request-id", "connection", "keep-alive", "transfer-encoding"];

function stable(headers: Readonly<Record<string | symbol, unknown>>): Record<string, unknown> {
  const kept = Object.entries(headers).filter(([name]) => !unstable.includes(name) && name !== ":status");
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

type Send = (path: string, headers: Record<string, string>, body: Uint8Array) => Promise<Answered>;

const overHttp1: Send = async (path, headers, body) => {
  const request = http1Request(edge.http1 + path, { method: "POST", headers });
  request.end(body);
  const [response] = await once(request, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return {
    status: response.statusCode,
    headers: stable(response.headers),
    trailers: {},
    body: Buffer.concat(chunks).toString("latin1"),
  };
};

const overHttp2: Send = async (path, headers, body) => {
  const session = connect(edge.http2);
  const stream = session.request({ ":method": "POST", ":path": path, ...headers });
  stream.end(body);
  let trailers = {};
  stream.on("trailers", (received) => (trailers = stable(received)));
  const [received] = await once(stream, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  session.close();
  return {
    status: received[":status"],
    headers: stable(received),
    trailers,
    body: Buffer.concat(chunks).toString("latin1"),
  };
};

const path = "/vestibule.v1.AuthService/AuthToken";
const message = (fields: object) => toBinary(AuthTokenRequestSchema, create(AuthTokenRequestSchema, fields));
const text = (value: string) => Buffer.from(value);

function frame(body: Uint8Array, { flags = 0, length = body.length } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, body]);
}

const json = "application/json";
const proto = "application/proto";
const grpc = "application/grpc";
/** The longest that the rules allow, so that the answer is large enough to be compressed. */
const longest = "x".repeat(1024);
const large = text(`{"clientSecret":"${longest}"}`);

type Case = readonly [what: string, type: string, body: Uint8Array, headers?: Record<string, string>];

const requests: readonly Case[] = [
  ["a good one", json, text('{"clientSecret":"vsts_x"}')],
  ["fields as the schema spells them", json, text('{"client_secret":"vsts_x"}')],
  ["unknown fields", json, text('{"client_secret":"vsts_x","z":1,"clientid":"a"}')],
  ["unknown fields of a client of its own", json, text('{"z":1}'), { "connect-protocol-version": "1" }],
  ["a named character set", `${json}; charset=utf-8`, text('{"clientSecret":"é"}')],
  ["a character set in quotes", `${json} ; charset="UTF-8"`, text('{"clientSecret":"é"}')],
  ["a character set that is none of JSON's", `${json}; charset="utf-16"`, text("{}")],
  ["no JSON", json, text("{")],
  ["no UTF-8", json, Buffer.from([0x7b, 0xff, 0x7d])],
  ["no body", json, text("")],
  ["the wrong type", json, text('{"clientSecret":1}')],
  ["the wrong types, and a field twice", json, text('{"client_secret":1,"clientSecret":[],"assertion":{}}')],
  ["a key twice", json, text('{"clientSecret":"a","clientSecret":"b"}')],
  ["no object", json, text('["vsts_x"]')],
  ["a rule broken", json, text(`{"assertion":"${"x".repeat(20_000)}"}`)],
  ["a refusal with a time to try again", json, text('{"grantType":"limited"}')],
  ["a failure inside", json, text('{"grantType":"broken"}')],
  ["one over the limit", json, Buffer.alloc(1024 * 1024 + 1, "x")],
  ["a time limit that cannot be read", json, text("{}"), { "connect-timeout-ms": "soon" }],
  ["a time limit that passes", json, text('{"grantType":"hang"}'), { "connect-timeout-ms": "20" }],
  ["a good one, binary", proto, message({ clientSecret: "vsts_x" })],
  ["an empty one, binary", proto, text("")],
  ["no message, binary", proto, Buffer.from([0xff, 0xff])],
  ["a refusal, binary", proto, message({ grantType: "disabled" })],
  ["a large answer for one who takes gzip", json, large, { "accept-encoding": "gzip, br" }],
  ["a large answer for one who does not", json, large],
];

const takesGzip = { "grpc-accept-encoding": "identity,deflate,gzip" };

const grpcRequests: readonly Case[] = [
  ["a good one", grpc, frame(message({ clientSecret: "vsts_x" }))],
  ["the type in full", `${grpc}+proto`, frame(message({ clientSecret: "vsts_x" }))],
  ["an empty message", grpc, frame(text(""))],
  ["no message at all", grpc, text("")],
  ["two messages", grpc, Buffer.concat([frame(text("")), frame(text(""))])],
  ["half a prefix", grpc, Buffer.from([0, 0])],
  ["a length beyond the end", grpc, frame(message({ clientSecret: "x" }), { length: 400 })],
  ["a compressed one that names no compression", grpc, frame(text("x"), { flags: 1 })],
  ["no message inside", grpc, frame(Buffer.from([0xff, 0xff]))],
  ["a refusal", grpc, frame(message({ grantType: "disabled" }))],
  ["a refusal with a time to try again", grpc, frame(message({ grantType: "limited" }))],
  ["a failure inside", grpc, frame(message({ grantType: "broken" }))],
  ["a large answer for one who takes gzip", grpc, frame(message({ clientSecret: longest })), takesGzip],
  ["a small answer for one who takes gzip", grpc, frame(message({ clientSecret: "x" })), takesGzip],
  ["a refusal with a header", grpc, frame(message({ grantType: "noted" }))],
  ["a refusal for one who takes gzip", grpc, frame(message({ grantType: "disabled" })), takesGzip],
  ["a large answer for one who does not", grpc, frame(message({ clientSecret: longest }))],
  ["a time limit that passes", grpc, frame(message({ grantType: "hang" })), { "grpc-timeout": "20m" }],
  ["a time limit that cannot be read", grpc, frame(text("")), { "grpc-timeout": "soon" }],
];

describe("direct calls answer as the adapter does", () => {
  const toCell =
    (over: string, send: Send) =>
    ([what, type, body, headers = {}]: Case) => ({ over, send, what, type, body, headers });
  const cells = [
    ...requests.map(toCell("HTTP/1.1", overHttp1)),
    ...requests.map(toCell("HTTP/2", overHttp2)),
    ...grpcRequests.map(toCell("gRPC", overHttp2)),
  ];

  it.each(cells)("$over: $what", async ({ send, type, body, headers }) => {
    const encoding = type.startsWith(grpc) ? "grpc-encoding" : "content-encoding";
    const direct = await send(path, { "content-type": type, ...headers }, body);
    const adapted = await send(path, { "content-type": type, ...headers, [encoding]: "identity" }, body);
    expect(direct).toEqual(adapted);
  });

  it.each([{}, { "grpc-encoding": "identity" }])(
    "a gRPC refusal is one block, unless the handler has headers: %j",
    async (encoding) => {
      const refuse = (grantType: string) =>
        overHttp2(path, { "content-type": grpc, ...encoding }, frame(message({ grantType })));
      expect(await refuse("disabled")).toMatchObject({
        headers: { "grpc-status": "7" },
        trailers: {},
        body: "",
      });
      const noted = await refuse("noted");
      expect(noted).toMatchObject({ headers: { "x-note": "disabled" }, trailers: { "grpc-status": "7" } });
      expect(noted.headers).not.toHaveProperty("grpc-status");
    },
  );

  it.each([true, false])("leaves no call to the adapter, or all: direct calls %j", async (directCalls) => {
    const seen: boolean[] = [];
    const listAuthStrategies = (_: unknown, context: HandlerContext) => {
      seen.push(context instanceof CallContext);
      return {};
    };
    const services = [registerService(AuthService, { listAuthStrategies })];
    const { http1, close } = await startEdge({ directCalls, frontierMethods: [], services });
    const answered = await sendJson(http1, "/vestibule.v1.AuthService/ListAuthStrategies", {});
    await close();
    expect(answered).toMatchObject({ status: 200, body: "{}" });
    expect(seen).toEqual([directCalls]);
  });

  it("leaves nothing of a request behind on its connection", async () => {
    const refused = await overHttp1(path, { "content-type": json }, Buffer.alloc(1024 * 1024 + 1, "x"));
    expect(refused.status).toBe(413);
    expect((await overHttp1(path, { "content-type": json }, text("{}"))).status).toBe(200);
  });
});
