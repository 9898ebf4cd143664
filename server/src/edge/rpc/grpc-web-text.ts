/**
 * gRPC-Web in base64, which clients choose that cannot read bytes as they come
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md): the library
 * speaks the binary form alone, so bodies are turned into it and back.
 */

import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { invalidRequest } from "../../lib/invalid-request.ts";

const textType = /^application\/grpc-web-text(\+proto)?$/i;
const binaryType = "application/grpc-web";

/** Whether a request has its body in base64. */
export function isGrpcWebText({ header }: UniversalServerRequest): boolean {
  return textType.test(header.get("content-type") ?? "");
}

/** The same request in bytes. A body that is no base64 is INVALID_REQUEST where it is read. */
export function toBinaryRequest(request: UniversalServerRequest): UniversalServerRequest {
  const header = new Headers(request.header);
  header.set("content-type", binaryType);
  const { body } = request;
  return { ...request, header, body: isStream(body) ? decode(body) : body };
}

function isStream(body: UniversalServerRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

/** The same answer in base64: each chunk by itself, padded, so that a client need not wait for the next. */
export function toTextAnswer(answer: UniversalServerResponse): UniversalServerResponse {
  const { body } = answer;
  if (!(answer.header?.get("content-type") ?? "").startsWith(binaryType) || body === undefined) return answer;
  const header = new Headers(answer.header);
  header.set("content-type", "application/grpc-web-text+proto");
  return { ...answer, header, body: encode(body) };
}

async function* encode(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(Buffer.from(chunk).toString("base64"));
}

/** Four characters each time, two or three of which before padding: those end a part, and another may follow. */
const quanta = /^(?:[A-Za-z0-9+/]{2}(?:==|[A-Za-z0-9+/](?:=|[A-Za-z0-9+/])))*$/;

/** As it comes, wherever it was cut; what is last need not be padded. */
async function* decode(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest = "";
  for await (const chunk of chunks) {
    const text = rest + Buffer.from(chunk).toString("latin1");
    const end = text.length - (text.length % 4);
    rest = text.slice(end);
    if (end > 0) yield decodeQuanta(text.slice(0, end));
  }
  if (rest !== "") yield decodeQuanta(rest.padEnd(4, "="));
}

function decodeQuanta(text: string): Buffer {
  if (!quanta.test(text)) throw notBase64();
  // Node stops at the first padding.
  const parts = text.match(/[^=]+/g) ?? [];
  return Buffer.concat(parts.map((part) => Buffer.from(part, "base64")));
}

/** As the library has what it refuses itself. */
function notBase64(): ConnectError {
  const refusal = invalidRequest("request body is not valid base64");
  return new ConnectError(refusal.message, Code.InvalidArgument, undefined, undefined, refusal);
}
