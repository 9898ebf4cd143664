import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HealthCheckResponseSchema } from "@vestibule/proto/grpc/health/v1/health_pb";
import {
  AuthTokenRequestSchema,
  AuthTokenResponseSchema,
} from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningEdge, send, startEdge } from "../test-support.ts";

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge.close());

const authToken = "/vestibule.v1.AuthService/AuthToken";
const type = "application/grpc-web-text";

function frame(fields: { clientSecret?: string; grantType?: string }): Buffer {
  const message = toBinary(AuthTokenRequestSchema, create(AuthTokenRequestSchema, fields));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Each part by itself, with its padding. */
function inParts(bytes: Buffer, size: number): string {
  const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
  return parts.map((part) => part.toString("base64")).join("");
}

/** The frames of an answer, by whether they are trailers. */
function readFrames(body: string): { messages: Buffer[]; trailers: string } {
  const bytes = Buffer.concat(body.split(/(?<==)(?!=)/).map((part) => Buffer.from(part, "base64")));
  const messages: Buffer[] = [];
  let trailers = "";
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    const data = bytes.subarray(at + 5, end);
    if (bytes[at] === 0x80) trailers = data.toString();
    else messages.push(data);
    at = end;
  }
  return { messages, trailers };
}

async function call(path: string, body: string | Iterable<Buffer>, contentType = type) {
  const answer = await send(edge.http1, "POST", path, { "content-type": contentType }, body);
  return { ...answer, ...readFrames(answer.body) };
}

describe("a call in base64", () => {
  const asked = frame({ clientSecret: "vsts_text" });
  const whole = asked.toString("base64");
  const bodies: [what: string, body: string | Iterable<Buffer>][] = [
    ["whole", whole],
    ["without padding", whole.replace(/=+$/, "")],
    ["in parts of a byte", inParts(asked, 1)],
    ["in parts of five bytes", inParts(asked, 5)],
    ["in parts, the last without padding", inParts(asked, 4).replace(/=+$/, "")],
    ["cut anywhere on its way", [...whole].map((one) => Buffer.from(one))],
  ];

  it.each(bodies)("is answered in base64: %s", async (_, body) => {
    expect(asked.length % 3).not.toBe(0);
    const { status, headers, messages, trailers } = await call(authToken, body);
    expect({ status, type: headers["content-type"] }).toEqual({ status: 200, type: `${type}+proto` });
    expect(trailers).toContain("grpc-status: 0\r\n");
    expect(messages.map((bytes) => fromBinary(AuthTokenResponseSchema, bytes).accessToken)).toEqual([
      "vsts_text",
    ]);
  });

  it("is answered by the type in full as well", async () => {
    expect((await call(authToken, whole, `${type}+proto`)).messages).toHaveLength(1);
  });

  it("is refused in base64", async () => {
    const { trailers } = await call(authToken, frame({ grantType: "disabled" }).toString("base64"));
    expect(trailers).toContain("grpc-status: 7\r\n");
    expect(trailers).toContain("grpc-message: not authorized\r\n");
  });

  it.each(["A", "AAAA=", "AA=A", "AAA*", "====", "AAA-", "AAAA AAAA", "AAAAA"])(
    "is refused when it is none: %s",
    async (body) => {
      const { trailers } = await call(authToken, body);
      expect(trailers).toContain("grpc-status: 3\r\n");
      expect(trailers).toContain("request body is not valid base64");
    },
  );

  it("is bounded by what it says, not by how", async () => {
    const most = 1024 * 1024;
    const large = (length: number) =>
      call(authToken, frame({ clientSecret: "x".repeat(length) }).toString("base64"));
    expect((await large(most)).trailers).toContain("grpc-status: 8\r\n");
    expect((await large(most - 100)).trailers).toContain("client_secret: ");
  });
});

it("streams in base64, each message when it is there", async () => {
  edge.health.setServing(true);
  const path = "/grpc.health.v1.Health/Watch";
  const answer = await fetch(edge.http1 + path, {
    method: "POST",
    headers: { "content-type": type },
    body: Buffer.alloc(5).toString("base64"),
  });
  let body = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer.body ?? []) {
    if (body === "") {
      body += decoder.decode(chunk);
      const [first] = readFrames(body).messages;
      expect(fromBinary(HealthCheckResponseSchema, first ?? Buffer.of(1)).status).toBe(1);
      edge.health.setServing(false);
    } else body += decoder.decode(chunk);
  }
  const { messages, trailers } = readFrames(body);
  expect(messages.map((bytes) => fromBinary(HealthCheckResponseSchema, bytes).status)).toEqual([1, 2]);
  expect(trailers).toContain("grpc-status: 0\r\n");
});
