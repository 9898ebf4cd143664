/**
 * The bridge between Node's HTTP servers and RPC handlers, in the three
 * protocols that share a path: Connect, gRPC and gRPC-Web.
 */
import {
  type ConnectRouterOptions,
  createConnectRouter,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import type {
  UniversalHandler,
  UniversalServerRequest,
  UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import { compressionGzip, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Log } from "../lib/log.ts";
import { type RequestInfo, requestInfoKey } from "../lib/request.ts";
import { createCallSignal } from "./call-signal.ts";
import type { Translator } from "./interceptors/translate.ts";
import { canceled } from "./library-errors.ts";
import { type NodeRequest, type NodeResponse, toWebHeaders } from "./node-http.ts";
import type { ServiceRegistration } from "./services.ts";
import { untilAborted } from "./until-aborted.ts";

/** What building RPC handlers takes. */
export interface RpcOptions {
  readonly translator: Translator;
  /** Those below the translator, outermost first. */
  readonly interceptors: readonly Interceptor[];
  /** Limit of a message after decompression. */
  readonly bodyBytes: number;
  /** JSON answers spell fields as the schema does (`access_token`), not in lowerCamelCase. */
  readonly protoFieldNames?: boolean;
  /** Aborts the calls that are still running when the process must end. */
  readonly shutdownSignal?: AbortSignal;
}

/** Handlers of all methods of the services, by path. */
export function createRpcHandlers(
  registrations: readonly ServiceRegistration[],
  options: RpcOptions,
): Map<string, UniversalHandler> {
  const routerOptions: ConnectRouterOptions = {
    readMaxBytes: options.bodyBytes,
    acceptCompression: [compressionGzip],
    interceptors: [options.translator.interceptor, ...options.interceptors],
    requestGate: options.translator.gate,
    jsonOptions: { useProtoFieldName: options.protoFieldNames ?? false },
    ...(options.shutdownSignal !== undefined && { shutdownSignal: options.shutdownSignal }),
  };
  const router = createConnectRouter(routerOptions);
  for (const { service, implementation } of registrations) {
    router.service(service, implementation);
  }
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

/** What serving one call takes. */
export interface ServeOptions {
  readonly publicOrigin: string;
  /** Longest time a unary call may take, in seconds. Streams are not limited. */
  readonly requestSeconds: number;
  readonly log: Log;
}

/** Answers a request by the handler of its method. Never rejects. */
export async function serveRpc(
  handler: UniversalHandler,
  request: NodeRequest,
  response: NodeResponse,
  info: RequestInfo,
  options: ServeOptions,
): Promise<void> {
  const isUnary = handler.method.methodKind === "unary";
  const call = createCallSignal(response, isUnary ? options.requestSeconds : undefined);
  try {
    const answer = await handler(toUniversalRequest(request, info, call.signal, options.publicOrigin));
    call.clearDeadline();
    await universalResponseToNodeResponse(toAnswer(answer, info, handler), response);
  } catch (error) {
    call.clearDeadline();
    if (call.signal.aborted || response.destroyed) return;
    options.log.error({ requestId: info.requestId, err: error }, "answer could not be sent");
    response.destroy();
  }
}

function toUniversalRequest(
  request: NodeRequest,
  info: RequestInfo,
  signal: AbortSignal,
  origin: string,
): UniversalServerRequest {
  return {
    httpVersion: request.httpVersion,
    method: request.method ?? "",
    // Matched as a path before, so it parses as one; the host is never taken from the request.
    url: origin + (request.url ?? "").replace(/^https?:\/\/[^/?#]*/i, ""),
    header: toWebHeaders(request),
    body: readChunks(request, signal),
    signal,
    contextValues: createContextValues().set(requestInfoKey, info),
  };
}

/**
 * The body as it comes. Stopping early leaves the connection whole and drops
 * the rest, so that a refusal can still be answered on it; a broken connection
 * ends as canceled.
 */
async function* readChunks(request: NodeRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const chunks = request.iterator({ destroyOnReturn: false });
  try {
    for (;;) {
      const result = await untilAborted(chunks.next(), signal).catch(() => {
        throw signal.aborted ? signal.reason : canceled();
      });
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    // Not awaited: a stalled body would hold up the answer.
    Promise.resolve(chunks.return?.()).then(() => request.resume(), ignore);
  }
}

function ignore(): void {}

/**
 * The answer with what the protocol leaves open: which methods and types a
 * refused request may try, and 413 where the Connect protocol's 429 would hide
 * that the body was too large.
 */
function toAnswer(
  answer: UniversalServerResponse,
  info: RequestInfo,
  handler: UniversalHandler,
): UniversalServerResponse {
  if (answer.status === 429 && info.outcome.reason === "REQUEST_TOO_LARGE") {
    return { ...answer, status: 413 };
  }
  if (answer.status === 405) {
    return { ...answer, header: new Headers({ Allow: handler.allowedMethods.filter(isFirst).join(", ") }) };
  }
  if (answer.status === 415) {
    return { ...answer, header: new Headers({ "Accept-Post": "application/json, application/proto" }) };
  }
  return answer;
}

function isFirst(value: string, index: number, all: readonly string[]): boolean {
  return all.indexOf(value) === index;
}
