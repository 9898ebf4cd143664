/**
 * How unary calls of the plain kind look on the wire: one whole message in, one
 * out, nothing of the request compressed. Reading and writing only; see
 * `direct-call.ts`.
 */
import type { Http2ServerResponse, OutgoingHttpHeaders } from "node:http2";
import type { JsonWriteOptions } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { mergeNonProtocolHeaders } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  errorToJson,
  parseTimeout as parseConnectTimeout,
  trailerMux,
} from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpcTimeout, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { compressionGzip } from "@connectrpc/connect-node";
import { sendText, toHeadText } from "../../http/head-text.ts";
import { findHeader, type NodeRequest, type NodeResponse } from "../../http/node-http.ts";
import { sendWhole } from "../../http/plain-route.ts";
import { encodeGrpcMessage } from "../errors/grpc-message.ts";

/** One protocol. */
export interface Wire {
  readonly name: "connect" | "grpc";
  readonly isBinary: boolean;
  /** The bytes around a message, on top of its own. */
  readonly framing: number;
  /** The caller's own limit of time, in milliseconds; `malformed` for one that cannot be read. */
  readTimeout(request: NodeRequest): number | undefined | "malformed";
  /** The message's bytes; undefined for a body that is not exactly one plain message. */
  unframe(body: Buffer): Buffer | undefined;
  send(response: NodeResponse, message: string | Uint8Array, answer: Answer): void | Promise<void>;
  refuse(response: NodeResponse, error: ConnectError, answer: Answer, refusal: RefusalOptions): void;
}

/** What a handler left beside its message. Undefined where it never asked for them. */
export interface Answer {
  readonly request: NodeRequest;
  readonly requestId: string;
  readonly header: Headers | undefined;
  readonly trailer: Headers | undefined;
}

/** What a refusal says on the wire beside its error. */
export interface RefusalOptions {
  readonly jsonOptions: Partial<JsonWriteOptions>;
  /** In place of the status that the code stands for. */
  readonly httpStatus: number | undefined;
}

/** The wire of a request; undefined when it is not of the plain kind. */
export function findWire(request: NodeRequest, response: NodeResponse): Wire | undefined {
  const { headers } = request;
  if (request.method !== "POST" || "content-encoding" in headers || "grpc-encoding" in headers)
    return undefined;
  switch (headers["content-type"]) {
    case "application/json":
    case "application/json; charset=utf-8":
      return connectJson;
    case "application/proto":
      return connectBinary;
    case "application/grpc":
    case "application/grpc+proto":
      return "stream" in response ? grpc : undefined;
    default:
      return undefined;
  }
}

/** From this size on an answer is compressed for callers that take it so; the library's own bound. */
const compressedFromBytes = 1024;

/** https://connectrpc.com/docs/protocol#unary-rpcs */
function createConnectWire(isBinary: boolean): Wire {
  const type = isBinary ? "application/proto" : "application/json";
  const typeText = toHeadText(["content-type", type]);

  /** @param own headers, names and values by turns */
  function write(
    response: NodeResponse,
    status: number,
    own: readonly string[],
    answer: Answer,
    body: string | Uint8Array,
  ) {
    const head = ["x-request-id", answer.requestId, ...own];
    const headers = withTrailer(answer);
    if (headers !== undefined) for (const [name, value] of headers) head.push(name, value);
    sendWhole(response, status, head, body);
  }

  return {
    name: "connect",
    isBinary,
    framing: 0,
    readTimeout: (request) => readTimeout(request, "connect-timeout-ms", parseConnectTimeout),
    unframe: (body) => body,
    send(response, message, answer) {
      const own = ["content-type", type];
      const bytes = typeof message === "string" ? Buffer.byteLength(message) : message.length;
      if (bytes < compressedFromBytes || !takesGzip(answer.request, "accept-encoding")) {
        // An id of ours, or one that was found to be one.
        const text = `${typeText}x-request-id: ${answer.requestId}\r\n`;
        const isBare = answer.header === undefined && answer.trailer === undefined;
        if (isBare && sendText(response, text, message, bytes)) return;
        return write(response, 200, own, answer, message);
      }
      return compressionGzip.compress(Buffer.from(message)).then((compressed) => {
        write(response, 200, [...own, "content-encoding", compressionGzip.name], answer, compressed);
      });
    },
    refuse(response, error, answer, { httpStatus, jsonOptions }) {
      const header = new Headers(answer.header);
      mergeNonProtocolHeaders(header, error.metadata);
      const status = httpStatus ?? codeToHttpStatus(error.code);
      const own = ["content-type", "application/json"];
      const body = JSON.stringify(errorToJson(error, jsonOptions));
      write(response, status, own, { ...answer, header }, body);
    },
  };
}

function withTrailer({ header, trailer }: Answer): Headers | undefined {
  return trailer === undefined ? header : trailerMux(header ?? new Headers(), trailer);
}

function takesGzip(request: NodeRequest, name: "accept-encoding" | "grpc-accept-encoding"): boolean {
  const accepted = findHeader(request, name);
  return accepted?.split(",").some((name) => name.trim() === compressionGzip.name) ?? false;
}

const connectJson = createConnectWire(false);
const connectBinary = createConnectWire(true);

/** Flags and length (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). */
const grpcPrefixBytes = 5;
const compressedFlag = 1;

const grpc: Wire = {
  name: "grpc",
  isBinary: true,
  framing: grpcPrefixBytes,
  readTimeout: (request) => readTimeout(request, "grpc-timeout", parseGrpcTimeout),
  unframe(body) {
    const isOneMessage =
      body.length >= grpcPrefixBytes &&
      body[0] === 0 &&
      body.readUInt32BE(1) === body.length - grpcPrefixBytes;
    return isOneMessage ? body.subarray(grpcPrefixBytes) : undefined;
  },
  send(response, message, answer) {
    const bytes = typeof message === "string" ? Buffer.from(message) : message;
    const fields = toFields(answer.trailer);
    fields["grpc-status"] = "0";
    if (bytes.length < compressedFromBytes || !takesGzip(answer.request, "grpc-accept-encoding")) {
      return endGrpc(response, answer, frame(0, bytes), fields);
    }
    return compressionGzip.compress(bytes).then((compressed) => {
      endGrpc(response, answer, frame(compressedFlag, compressed), fields);
    });
  },
  refuse(response, error, answer) {
    const status = setTrailerStatus(new Headers(answer.trailer), error);
    status.set("grpc-message", encodeGrpcMessage(error.rawMessage));
    endGrpc(response, answer, undefined, toFields(status));
  },
};

function frame(flags: number, bytes: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(grpcPrefixBytes + bytes.length);
  framed[0] = flags;
  framed.writeUInt32BE(bytes.length, 1);
  framed.set(bytes, grpcPrefixBytes);
  return framed;
}

/**
 * By the stream itself: Node's layer that makes it look like HTTP/1.1 would cost a call a tenth more.
 * Without a body and headers of the handler's, all goes in one block; see {@link respondTrailersOnly}.
 */
function endGrpc(
  response: NodeResponse,
  { request, requestId, header }: Answer,
  body: Buffer | undefined,
  trailer: Record<string, string>,
): void {
  const { stream } = response as Http2ServerResponse;
  setHeaders(response, header);
  // A copy already, and nobody else's.
  const fields: OutgoingHttpHeaders = response.getHeaders();
  fields[":status"] = 200;
  fields["x-request-id"] = requestId;
  fields["content-type"] = "application/grpc+proto";
  // As the adapter does, whether or not a message is compressed: its flag says that.
  if (takesGzip(request, "grpc-accept-encoding")) fields["grpc-encoding"] = compressionGzip.name;
  if (body === undefined && !hasOwnHeaders(header)) {
    respondTrailersOnly(response, fields, trailer);
    return;
  }
  // That layer's own listener sends them when the body is out.
  response.addTrailers(trailer);
  stream.respond(fields, { waitForTrailers: true });
  stream.end(body);
}

/** Whether a handler has said something beside its message. gRPC's own servers send that as headers, whatever comes after. */
export function hasOwnHeaders(headers: Headers | undefined): boolean {
  return [...(headers?.keys() ?? [])].some((name) => !/^(content-type|grpc-.*)$/.test(name));
}

/**
 * Ends a gRPC answer that has no message, with these headers. Clients
 * take a call whose headers came by themselves for one that has begun, and do not
 * make it again whatever their policy of retries says
 * (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
 */
export function respondTrailersOnly(
  response: NodeResponse,
  headers: OutgoingHttpHeaders,
  trailer: Record<string, string>,
): void {
  const { stream } = response as Http2ServerResponse;
  stream.respond({ ...headers, ...trailer, ":status": 200 }, { endStream: true });
}

/** As Node takes them. */
export function toFields(headers: Headers | undefined): Record<string, string> {
  return headers === undefined ? {} : Object.fromEntries(headers);
}

/** Sets headers beside those that are set already. */
export function setHeaders(response: NodeResponse, headers: Headers | undefined): void {
  if (headers === undefined) return;
  // One by one: a header that was set along the way, such as Vary, stands beside the handler's.
  for (const [name, value] of headers) response.appendHeader(name, value);
}

/**
 * Writes the character set as both ways of answering look for it: a parameter's
 * value may stand in quotes, and spaces around its semicolon (RFC 9110 §8.3.1).
 */
export function plainCharset({ headers }: NodeRequest): void {
  const type = headers["content-type"];
  if (!type?.includes(";")) return;
  const quoted = /^(application\/[a-z+-]+)\s*;\s*charset=(?:"utf-?8"|utf-?8)\s*$/i.exec(type);
  if (quoted !== null) headers["content-type"] = `${quoted[1]}; charset=utf-8`;
}

type ParseTimeout = typeof parseConnectTimeout;

function readTimeout(
  request: NodeRequest,
  name: string,
  parse: ParseTimeout,
): ReturnType<Wire["readTimeout"]> {
  const sent = findHeader(request, name);
  if (sent === undefined) return undefined;
  const { timeoutMs, error } = parse(sent, longestDelayMs);
  return error === undefined ? timeoutMs : "malformed";
}

/** The longest delay of Node's timers, in milliseconds: about 24 days. They take a longer one for none at all. */
export const longestDelayMs: number = 2 ** 31 - 1;

/** How each protocol reads its deadline, and how it writes the longest there is. */
const deadlines = [
  { name: "connect-timeout-ms", parse: parseConnectTimeout, longest: `${longestDelayMs}` },
  { name: "grpc-timeout", parse: parseGrpcTimeout, longest: `${Math.floor(longestDelayMs / 1000)}S` },
] as const;

/**
 * Shortens a caller's deadline to what a timer can hold, for all who read it
 * later: both protocols allow more (ten digits of milliseconds, and eight of
 * hours), which would be over at once. One that cannot be read stays as it is.
 */
export function boundDeadline({ headers }: NodeRequest): void {
  for (const { name, parse, longest } of deadlines) {
    const sent = headers[name];
    if (typeof sent !== "string") continue;
    const { timeoutMs } = parse(sent, longestDelayMs);
    if (timeoutMs !== undefined && timeoutMs > longestDelayMs) headers[name] = longest;
  }
}
