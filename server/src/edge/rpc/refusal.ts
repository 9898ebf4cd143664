/**
 * Calls that are refused before they are any method's, answered in the protocol
 * they were made in: a gRPC client handed a bare 404 sees a broken server, not a
 * missing method.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { endStreamFlag, endStreamToJson, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findHeader, type NodeRequest, type NodeResponse } from "../../http/node-http.ts";
import type { DomainError } from "../../lib/errors.ts";
import type { RequestInfo } from "../../lib/request.ts";
import { toConnectError, toHttpStatus } from "../errors/errors.ts";
import { encodeGrpcMessage } from "../errors/grpc-message.ts";

const grpcContentType = /^application\/grpc(?:-web)?(?:-text)?(?:\+(?:proto|json))?(?:\s*;|$)/i;
const connectStreamContentType = /^application\/connect\+(?:proto|json)(?:\s*;|$)/i;

/** Whether only an RPC client sends such a request, whatever its path. */
export function isRpcRequest(request: NodeRequest): boolean {
  const contentType = findHeader(request, "content-type") ?? "";
  return (
    grpcContentType.test(contentType) ||
    connectStreamContentType.test(contentType) ||
    findHeader(request, "connect-protocol-version") !== undefined
  );
}

/** Refuses a call in its protocol: gRPC, gRPC-Web, Connect streaming, else Connect unary. Notes it. */
export function sendRpcRefusal(
  request: NodeRequest,
  response: NodeResponse,
  info: RequestInfo,
  refusal: DomainError,
): void {
  info.outcome.reason = refusal.reason;
  const error = toConnectError(refusal);
  send(request, response, info, refusal, error, toHttpStatus(refusal));
}

/**
 * Refuses a call to a service that there is not: nobody of ours says so, and to
 * Connect that is 404 (https://connectrpc.com/docs/protocol#http-to-error-code).
 */
export function sendUnknownService(
  request: NodeRequest,
  response: NodeResponse,
  info: RequestInfo,
  refusal: DomainError,
): void {
  send(request, response, info, refusal, new ConnectError(refusal.message, Code.Unimplemented), 404);
}

function send(
  request: NodeRequest,
  response: NodeResponse,
  info: RequestInfo,
  refusal: DomainError,
  error: ConnectError,
  status: number,
): void {
  info.outcome.code = refusal.kind;
  const contentType = findHeader(request, "content-type") ?? "";
  error.metadata.forEach((value, name) => void response.setHeader(name, value));
  if (grpcContentType.test(contentType)) {
    sendTrailersOnly(response, contentType, error);
  } else if (connectStreamContentType.test(contentType)) {
    sendEndOfStream(response, contentType, error);
  } else {
    sendUnary(response, error, status);
  }
}

/** Status in the headers of an empty answer: "Trailers-Only" of the gRPC protocol. */
function sendTrailersOnly(response: NodeResponse, contentType: string, error: ConnectError): void {
  response.statusCode = 200;
  response.setHeader("content-type", contentType);
  response.setHeader("grpc-status", String(error.code));
  response.setHeader("grpc-message", encodeGrpcMessage(error.rawMessage));
  response.end();
}

function sendEndOfStream(response: NodeResponse, contentType: string, error: ConnectError): void {
  const end = JSON.stringify(endStreamToJson(new Headers(), error, undefined));
  response.statusCode = 200;
  response.setHeader("content-type", contentType);
  response.end(encodeEnvelope(endStreamFlag, new TextEncoder().encode(end)));
}

function sendUnary(response: NodeResponse, error: ConnectError, status: number): void {
  const body = errorToJsonBytes(error, undefined);
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", body.byteLength);
  response.end(body);
}
