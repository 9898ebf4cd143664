/**
 * This room makes calls of handlers in this process, for whoever has a message
 * and wants an answer: their way through the interceptors, what handlers see of
 * them, how long they may take. It knows no protocol: it neither reads requests
 * nor writes answers.
 */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import type {
  ContextKey,
  ContextValues,
  HandlerContext,
  Interceptor,
  StreamRequest,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import type { ServiceRegistration } from "../../assembly/services.ts";
import { LazyHeaders, type NodeRequest } from "../../http/node-http.ts";
import { DomainError } from "../../lib/errors.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import type { CallLimit } from "./call-limits.ts";

/** What a call answered. */
export interface CallAnswer {
  readonly message: Message;
  readonly header: Headers;
}

/**
 * Calls a method in this process, through the interceptors, outermost first.
 * Answers at once where nothing is waited for; a refusal may be thrown at once, too.
 */
export type UnaryCall = (message: Message, context: HandlerContext) => CallAnswer | Promise<CallAnswer>;

type Said = MessageInitShape<DescMessage>;
type Handler = (message: Message, context: HandlerContext) => Said | Promise<Said>;

/**
 * Prepares calls of a method's handler, which answer as RPC does: a method
 * without a handler is NOT_IMPLEMENTED.
 */
export function createUnaryCall(
  { implementation }: ServiceRegistration,
  method: DescMethodUnary,
  interceptors: readonly Interceptor[],
): UnaryCall {
  const found = implementation[method.localName] as Handler | undefined;
  const handler: Handler = found?.bind(implementation) ?? refuseUnimplemented;
  const invoke = (request: UnaryRequest | StreamRequest): UnaryResponse | Promise<UnaryResponse> => {
    const { context } = request as ContextRequest;
    const toResponse = (said: Said) => new ContextResponse(method, create(method.output, said), context);
    const answering = handler(request.message as Message, context);
    return answering instanceof Promise ? answering.then(toResponse) : toResponse(answering);
  };
  const call = interceptors.reduceRight<Parameters<Interceptor>[0]>(
    (next, intercept) => intercept(next),
    // Interceptors hand on what they get, be it a promise, as the library has it, or what one would give.
    invoke as Parameters<Interceptor>[0],
  );
  return (message, context) =>
    call(new ContextRequest(method, message, context)) as UnaryResponse | Promise<UnaryResponse>;
}

// Classes, for their getters: a context makes its signal and its headers when they are first
// asked for. (An object literal with a getter would get a hidden class of its own each time.)

/** Interceptors pass on the very one that they are given. */
class ContextRequest implements UnaryRequest {
  readonly stream = false;
  readonly method: DescMethodUnary;
  readonly message: Message;
  readonly header: Headers;
  readonly contextValues: ContextValues;
  readonly requestMethod: string;
  readonly url: string;
  readonly context: HandlerContext;

  constructor(method: DescMethodUnary, message: Message, context: HandlerContext) {
    this.method = method;
    this.message = message;
    this.context = context;
    this.header = context.requestHeader;
    this.contextValues = context.values;
    this.requestMethod = context.requestMethod;
    this.url = context.url;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get signal(): AbortSignal {
    return this.context.signal;
  }
}

class ContextResponse implements UnaryResponse {
  readonly stream = false;
  readonly method: DescMethodUnary;
  readonly message: Message;
  readonly #context: HandlerContext;

  constructor(method: DescMethodUnary, message: Message, context: HandlerContext) {
    this.method = method;
    this.message = message;
    this.#context = context;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get header(): Headers {
    return this.#context.responseHeader;
  }

  get trailer(): Headers {
    return this.#context.responseTrailer;
  }
}

function refuseUnimplemented(): never {
  throw new DomainError("NOT_IMPLEMENTED");
}

/** What a call comes with. */
export interface IncomingCall {
  readonly request: NodeRequest;
  readonly info: RequestInfo;
  readonly limit: CallLimit;
  /** `connect`, `grpc` or `rest`. */
  readonly protocolName: string;
  /** As handlers see it. */
  readonly url: string;
  /** The caller's own limit of time, in milliseconds, if it set one. */
  readonly timeoutMs?: number | undefined;
}

/** Few, and asked for by every call: the library's own makes three functions for each call, and a property for each value. */
class CallValues implements ContextValues {
  readonly #ids: symbol[] = [];
  readonly #values: unknown[] = [];

  get<T>({ id, defaultValue }: ContextKey<T>): T {
    const at = this.#ids.indexOf(id);
    return at < 0 ? defaultValue : (this.#values[at] as T);
  }

  set<T>({ id }: ContextKey<T>, value: T): this {
    const at = this.#ids.indexOf(id);
    if (at < 0) this.#ids.push(id);
    this.#values[at < 0 ? this.#values.length : at] = value;
    return this;
  }

  delete({ id }: ContextKey<unknown>): this {
    const at = this.#ids.indexOf(id);
    if (at >= 0) {
      this.#ids.splice(at, 1);
      this.#values.splice(at, 1);
    }
    return this;
  }
}

/**
 * What interceptors and handler see of a call that does not go by the adapter.
 * Its signal and its headers are made when somebody asks for them.
 */
export class CallContext implements HandlerContext {
  readonly method: DescMethodUnary;
  readonly protocolName: string;
  readonly requestMethod: string;
  readonly requestHeader: Headers;
  readonly url: string;
  readonly values: ContextValues;
  readonly #limit: CallLimit;
  readonly #endsAtMs: number | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(method: DescMethodUnary, call: IncomingCall) {
    const { request, info, limit, protocolName, url, timeoutMs } = call;
    this.method = method;
    this.protocolName = protocolName;
    this.requestMethod = request.method ?? "";
    this.requestHeader = new LazyHeaders(request);
    this.url = url;
    this.values = new CallValues().set(requestInfoKey, info);
    this.#limit = limit;
    this.#endsAtMs = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get signal(): AbortSignal {
    return this.#limit.signal;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  /** What is left of the caller's own limit of time, in milliseconds. */
  timeoutMs(): number | undefined {
    return this.#endsAtMs === undefined ? undefined : this.#endsAtMs - Date.now();
  }

  /** The headers and trailers of the answer so far; undefined where nobody asked for them. */
  findAnswerHeaders(): { readonly header: Headers | undefined; readonly trailer: Headers | undefined } {
    return { header: this.#responseHeader, trailer: this.#responseTrailer };
  }
}
