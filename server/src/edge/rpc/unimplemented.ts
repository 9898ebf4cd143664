/**
 * Calls to methods that do not exist, answered in the protocol they were made
 * in: a gRPC client handed a bare 404 sees a broken server, not a missing
 * method.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { endStreamFlag, endStreamToJson, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findHeader, type NodeRequest, type NodeResponse } from "../../http/node-http.ts";
import { DomainError } from "../../lib/errors.ts";
import { toConnectError } from "../errors/errors.ts";

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

/**
 * Answers `unimplemented` in the caller's protocol: gRPC, gRPC-Web, Connect
 * streaming, else Connect unary. Where there is no such service either, nobody of
 * ours says so, and to Connect that is 404
 * (https://connectrpc.com/docs/protocol#http-to-error-code).
 */
export function sendUnimplemented(request: NodeRequest, response: NodeResponse, hasService: boolean): void {
  const refusal = new DomainError("NOT_IMPLEMENTED");
  const error = hasService ? toConnectError(refusal) : new ConnectError(refusal.message, Code.Unimplemented);
  const contentType = findHeader(request, "content-type") ?? "";
  if (grpcContentType.test(contentType)) {
    sendTrailersOnly(response, contentType, error);
  } else if (connectStreamContentType.test(contentType)) {
    sendEndOfStream(response, contentType, error);
  } else {
    sendUnary(response, error, hasService ? 501 : 404);
  }
}

/** Status in the headers of an empty answer: "Trailers-Only" of the gRPC protocol. */
function sendTrailersOnly(response: NodeResponse, contentType: string, error: ConnectError): void {
  response.statusCode = 200;
  response.setHeader("content-type", contentType);
  response.setHeader("grpc-status", String(Code.Unimplemented));
  response.setHeader("grpc-message", encodeURIComponent(error.rawMessage));
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
