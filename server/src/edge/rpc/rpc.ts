/**
 * The bridge between Node's HTTP servers and RPC handlers, in the three
 * protocols that share a path: Connect, gRPC and gRPC-Web. Calls of the plain
 * kind are answered directly (`direct-call.ts`), all others by the adapter.
 * What a call means is the interceptors' and handlers' matter, which never see
 * how it came.
 */
import type { DescMethod, DescMethodUnary, Registry } from "@bufbuild/protobuf";
import {
  type ConnectRouterOptions,
  createConnectRouter,
  createContextValues,
  createServiceImplSpec,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import {
  createAsyncIterable,
  type UniversalHandler,
  type UniversalServerRequest,
  type UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import { compressionGzip, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { ServiceRegistration } from "../../assembly/services.ts";
import {
  hasBody,
  isGone,
  type NodeRequest,
  type NodeResponse,
  noBody,
  toOriginForm,
  toWebHeaders,
} from "../../http/node-http.ts";
import type { Log } from "../../lib/log.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import { untilAborted } from "../../lib/until-aborted.ts";
import { CallLimit, type CallLimits } from "../calls/call-limits.ts";
import { findOwnStatus } from "../errors/errors.ts";
import { canceled } from "../errors/library-errors.ts";
import type { Translator } from "../errors/translate.ts";
import { createJsonDecoder, type JsonOptions } from "../json/request-json.ts";
import { isOwnSchema, mayBeNewer } from "./caller.ts";
import { createDirectCalls, type DirectCall } from "./direct-call.ts";
import {
  boundDeadline,
  hasOwnHeaders,
  plainCharset,
  respondTrailersOnly,
  setHeaders,
  toFields,
} from "./direct-wire.ts";
import { isGrpcWebText, toBinaryRequest, toTextAnswer } from "./grpc-web-text.ts";

/** What building RPC handlers takes. */
export interface RpcOptions {
  readonly translator: Translator;
  /** Those below the translator, outermost first. */
  readonly interceptors: readonly Interceptor[];
  /** Limit of a message after decompression. */
  readonly bodyBytes: number;
  /** JSON answers spell fields as the schema does (`access_token`), not in lowerCamelCase. */
  readonly protoFieldNames?: boolean;
  /** Whether calls of the plain kind are answered without the adapter. */
  readonly directCalls: boolean;
  /** Types that a `google.protobuf.Any` may hold in JSON. */
  readonly registry?: Registry;
  readonly limits: CallLimits;
}

/** A method as it is answered. */
export interface Rpc {
  /** The adapter's handler, made when it is first asked for: most methods are never called by another way than the direct one. */
  readonly handler: () => UniversalHandler;
  /** The same, but for callers who cannot be newer than the schema: refuses what that does not know. */
  readonly strict: () => UniversalHandler;
  /** Answers most calls of a unary method. */
  readonly direct: DirectCall | undefined;
  readonly limits: CallLimits;
}

/** All methods of the services, by path. */
export function createRpcs(
  registrations: readonly ServiceRegistration[],
  options: RpcOptions,
): Map<string, Rpc> {
  const { limits } = options;
  const routerOptions: ConnectRouterOptions = {
    readMaxBytes: options.bodyBytes,
    acceptCompression: [compressionGzip],
    interceptors: [options.translator.interceptor, ...options.interceptors],
    requestGate: options.translator.gate,
    ...(limits.shutdownSignal !== undefined && { shutdownSignal: limits.shutdownSignal }),
  };
  const createDirect = createDirectCalls(options);
  const rpcs = new Map<string, Rpc>();
  for (const registration of registrations) {
    const { service, implementation } = registration;
    for (const spec of Object.values(createServiceImplSpec(service, implementation).methods)) {
      const { method } = spec;
      const isDirect = options.directCalls && isUnary(method);
      const createFor = (refusesUnknown: boolean) =>
        once(() => createHandler(spec, routerOptions, { ...options, refusesUnknown }));
      const handler = createFor(false);
      rpcs.set(`/${service.typeName}/${method.name}`, {
        handler,
        strict: isOwnSchema(service) ? createFor(true) : handler,
        direct: isDirect ? createDirect(registration, method) : undefined,
        limits,
      });
    }
  }
  return rpcs;
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** The adapter's: it has the decoder of texts for a hook, so that its JSON is read as strictly as the direct calls'. */
function createHandler(
  { method, impl }: MethodImplSpec,
  routerOptions: ConnectRouterOptions,
  { protoFieldNames, registry, refusesUnknown }: RpcOptions & JsonOptions,
): UniversalHandler {
  const jsonOptions = {
    useProtoFieldName: protoFieldNames ?? false,
    textDecoder: createJsonDecoder(method.input, { refusesUnknown, registry }),
    ...(registry !== undefined && { registry }),
  };
  const [handler] = createConnectRouter(routerOptions).rpc(method, impl, { jsonOptions }).handlers;
  if (handler === undefined) throw new Error(`the library has made no handler for ${method}`);
  return handler;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

/** What serving one call takes. */
export interface ServeOptions {
  readonly publicOrigin: string;
  readonly log: Log;
}

/** Answers a request of a method. Never throws. */
export function serveRpc(
  { handler, strict, direct, limits }: Rpc,
  request: NodeRequest,
  response: NodeResponse,
  info: RequestInfo,
  options: ServeOptions,
): void {
  boundDeadline(request);
  plainCharset(request);
  // Matched as a path before, so it parses as one; the host is never taken from the request.
  const url = options.publicOrigin + toOriginForm(request.url);
  const fail = (error: unknown) => {
    if (isGone(response)) return;
    options.log.error({ requestId: info.requestId, err: error }, "answer could not be sent");
    response.destroy();
  };
  const toAdapter = (body?: Buffer) => {
    const incoming = { request, response, info, url, body };
    serveByAdapter(mayBeNewer(request) ? handler : strict, incoming, limits).catch(fail);
  };
  if (direct?.({ request, response, info, url, toAdapter, fail }) !== true) toAdapter();
}

/** A request for the adapter. */
interface AdapterRequest {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly info: RequestInfo;
  readonly url: string;
  /** The body, if it has been read. */
  readonly body: Buffer | undefined;
}

async function serveByAdapter(
  findHandler: () => UniversalHandler,
  incoming: AdapterRequest,
  { requestMs }: CallLimits,
): Promise<void> {
  const { request, response, info } = incoming;
  const handler = findHandler();
  response.setHeader("x-request-id", info.requestId);
  // A caller's own data under an address that caches know by (https://connectrpc.com/docs/protocol#unary-get-request).
  if (request.method === "GET") {
    response.setHeader("cache-control", "no-store");
    response.setHeader("x-content-type-options", "nosniff");
  }
  const limit = new CallLimit(response, isUnary(handler.method) ? requestMs : undefined);
  try {
    const asked = toUniversalRequest(incoming, limit.signal);
    const isText = isGrpcWebText(asked);
    const answer = await handler(isText ? toBinaryRequest(asked) : asked);
    limit.clearTime();
    const whole = toAnswer(answer, info, handler);
    await sendAnswer(isText ? toTextAnswer(whole) : whole, response);
  } catch (error) {
    if (!limit.signal.aborted) throw error;
  } finally {
    limit.clearTime();
  }
}

function toUniversalRequest(
  { request, info, url, body = hasBody(request) ? undefined : noBody }: AdapterRequest,
  signal: AbortSignal,
): UniversalServerRequest {
  return {
    httpVersion: request.httpVersion,
    method: request.method ?? "",
    url,
    header: toWebHeaders(request),
    body: body === undefined ? readChunks(request, signal) : createAsyncIterable([body]),
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
 * refused request may try, and the status of a reason that has one of its own
 * (gRPC's answers are 200, whatever they say).
 */
function toAnswer(
  answer: UniversalServerResponse,
  info: RequestInfo,
  handler: UniversalHandler,
): UniversalServerResponse {
  const { reason } = info.outcome;
  const status = answer.status === 200 || reason === undefined ? undefined : findOwnStatus(reason);
  if (status !== undefined) return { ...answer, status };
  if (answer.status === 405) {
    return { ...answer, header: new Headers({ Allow: handler.allowedMethods.filter(isFirst).join(", ") }) };
  }
  if (answer.status === 415) {
    return refuseType(answer);
  }
  return answer;
}

const typeRefusal = Buffer.from(
  "the body's media type is not supported: send Content-Type: application/json\n",
);

/**
 * In words, too: curl sends forms unless it is told otherwise, and shows no
 * header. As plain text: of which protocol the request was cannot be told, and
 * every protocol's client goes by the status alone then.
 */
function refuseType(answer: UniversalServerResponse): UniversalServerResponse {
  const header = new Headers({
    "Accept-Post": "application/json, application/proto",
    "content-type": "text/plain; charset=utf-8",
  });
  return { ...answer, header, body: createAsyncIterable([typeRefusal]) };
}

/** As the library does, save for a gRPC answer without a message, which goes as {@link respondTrailersOnly} says. */
async function sendAnswer(answer: UniversalServerResponse, response: NodeResponse): Promise<void> {
  const isGrpc = /^application\/grpc(?!-web)/.test(answer.header?.get("content-type") ?? "");
  if (!isGrpc || answer.body === undefined || !("stream" in response)) {
    return universalResponseToNodeResponse(answer, response);
  }
  const chunks = answer.body[Symbol.asyncIterator]();
  // The status and the handler's headers are known when this is.
  const first = await chunks.next();
  if (!first.done || hasOwnHeaders(answer.header)) {
    return universalResponseToNodeResponse({ ...answer, body: resume(first, chunks) }, response);
  }
  if (isGone(response)) return;
  setHeaders(response, answer.header);
  respondTrailersOnly(response, response.getHeaders(), toFields(answer.trailer));
}

/** A body of which the first chunk has been read. Its end, and a failure to send it, reach whoever makes it. */
function resume(
  first: IteratorResult<Uint8Array>,
  chunks: AsyncIterator<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const read = [first];
  const over = { done: true, value: undefined } as const;
  const rest: AsyncIterator<Uint8Array> = {
    next: async () => read.pop() ?? chunks.next(),
    return: async () => (await chunks.return?.()) ?? over,
    throw: async (error) => (await chunks.throw?.(error)) ?? over,
  };
  return { [Symbol.asyncIterator]: () => rest };
}

function isFirst(value: string, index: number, all: readonly string[]): boolean {
  return all.indexOf(value) === index;
}
