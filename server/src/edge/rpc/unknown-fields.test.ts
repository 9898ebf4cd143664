/** Who may be newer than the schema, and who has slipped: by every way that JSON comes. */
import { gzipSync } from "node:zlib";
import { createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningEdge, send, startEdge } from "../test-support.ts";

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge.close());

const own = "/vestibule.v1.AuthService/AuthToken";
const alias = "/raystack.frontier.v1beta1.FrontierService/AuthToken";
const health = "/grpc.health.v1.Health/Check";
const json = { "content-type": "application/json" };
const body = '{"clientSecret":"vsts_x","clientid":"a"}';
const query = `?encoding=json&message=${encodeURIComponent('{"orgid":"a"}')}`;
const frame = (text: string) =>
  Buffer.concat([Buffer.from([0, 0, 0, 0, Buffer.byteLength(text)]), Buffer.from(text)]);

describe("JSON by hand", () => {
  it.each([
    ["directly", json, body],
    ["by the adapter, compressed", { ...json, "content-encoding": "gzip" }, gzipSync(body)],
    ["by the adapter, with a character set", { "content-type": "application/json;charset=utf-8" }, body],
  ])("is refused %s", async (_, headers, sent) => {
    const { status, body: answered } = await send(edge.http1, "POST", own, headers, sent);
    expect(status).toBe(400);
    expect(JSON.parse(answered)).toMatchObject({
      code: "invalid_argument",
      message: "clientid: is not expected; did you mean client_id?",
      details: [
        { debug: { reason: "INVALID_REQUEST" } },
        { debug: { fieldViolations: [{ field: "clientid" }] } },
      ],
    });
  });

  it("is refused in an address", async () => {
    const path = "/vestibule.v1.AuthService/ListAuthStrategies";
    expect((await send(edge.http1, "GET", path + query)).body).toContain("orgid: is not expected");
    expect((await send(edge.http1, "GET", `${path}${query}&connect=v1`)).status).toBe(200);
  });

  it("is taken under Frontier's name and of services that are not ours, as ever", async () => {
    expect((await send(edge.http1, "POST", alias, json, body)).status).toBe(200);
    expect((await send(edge.http1, "POST", health, json, '{"servcie":""}')).status).toBe(200);
  });
});

describe("what may be newer than the schema", () => {
  it.each([
    ["directly", json, body],
    ["by the adapter", { ...json, "content-encoding": "gzip" }, gzipSync(body)],
  ])("is taken of a client that says its protocol's version, %s", async (_, headers, sent) => {
    const versioned = { ...headers, "connect-protocol-version": "1" };
    const answered = await send(edge.http1, "POST", own, versioned, sent);
    expect(JSON.parse(answered.body)).toMatchObject({ accessToken: "vsts_x" });
  });

  it("is taken by gRPC-Web in JSON", async () => {
    const type = { "content-type": "application/grpc-web+json" };
    const { body: answered } = await send(edge.http1, "POST", own, type, frame(body));
    expect(answered).toContain("grpc-status: 0");
  });

  it.each([
    ["Connect", () => createConnectTransport({ baseUrl: edge.http1, httpVersion: "1.1" })],
    ["gRPC", () => createGrpcTransport({ baseUrl: edge.http2 })],
    ["gRPC-Web", () => createGrpcWebTransport({ baseUrl: edge.http1, httpVersion: "1.1" })],
  ])("is dropped of a generated client: %s", async (_, open) => {
    const $unknown = [{ no: 900, wireType: 0, data: new Uint8Array([1]) }];
    const client = createClient(AuthService, open());
    const answer = client.authToken({ clientSecret: "vsts_x", $unknown } as object);
    await expect(answer).resolves.toMatchObject({ accessToken: "vsts_x" });
  });
});
