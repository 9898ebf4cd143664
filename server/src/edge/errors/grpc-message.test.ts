import { once } from "node:events";
import { connect } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningEdge, send, startEdge } from "../test-support.ts";
import { encodeGrpcMessage } from "./grpc-message.ts";

describe("encodeGrpcMessage", () => {
  it.each([
    ['id: must be a UUID, not "x" (~!@#$^&*)', 'id: must be a UUID, not "x" (~!@#$^&*)'],
    ["50 % off", "50 %25 off"],
    ["%41", "%2541"],
    ["bücher 𝄞", "b%C3%BCcher %F0%9D%84%9E"],
    ["a\r\nb\u007f\u0000", "a%0D%0Ab%7F%00"],
    ["\ud800", "%EF%BF%BD"],
    ["", ""],
  ])("%j is %j", (text, encoded) => {
    expect(encodeGrpcMessage(text)).toBe(encoded);
    expect(decodeURIComponent(encoded)).toBe(text.toWellFormed());
  });
});

describe("every way to a refusal has it like that", () => {
  let edge: RunningEdge;
  beforeAll(async () => {
    edge = await startEdge();
  });
  afterAll(() => edge.close());

  /** A message of a grant type that is too long: the refusal names the field. */
  const field = Buffer.concat([Buffer.from([0x0a, 0xe9, 0x07]), Buffer.alloc(1001, "x")]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(field.length, 1);
  const body = Buffer.concat([prefix, field]);
  const path = "/vestibule.v1.AuthService/AuthToken";
  const message = /^grant_type: [^%]+$/;

  async function overGrpc(headers: Record<string, string>): Promise<unknown> {
    const session = connect(edge.http2);
    const stream = session.request({ ":method": "POST", ":path": path, te: "trailers", ...headers });
    stream.end(body);
    let said: unknown;
    stream.on("trailers", (trailers) => (said = trailers["grpc-message"]));
    const [received] = await once(stream, "response");
    stream.resume();
    await once(stream, "close");
    session.close();
    return said ?? received["grpc-message"];
  }

  it("gRPC, directly and by the adapter", async () => {
    expect(await overGrpc({ "content-type": "application/grpc" })).toMatch(message);
    expect(await overGrpc({ "content-type": "application/grpc", "grpc-encoding": "identity" })).toMatch(
      message,
    );
  });

  it("gRPC-Web", async () => {
    const headers = { "content-type": "application/grpc-web" };
    const { body: answered } = await send(edge.http1, "POST", path, headers, body);
    expect(/grpc-message: (.*)\r\n/.exec(answered)?.[1]).toMatch(message);
  });

  it("a method that there is not", async () => {
    const headers = { "content-type": "application/grpc-web" };
    const { headers: answered } = await send(edge.http1, "POST", "/vestibule.v1.No/Such", headers, body);
    expect(answered["grpc-message"]).toBe("unimplemented");
  });
});
