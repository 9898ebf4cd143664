/**
 * Unary calls answered without the adapter.
 *
 * The adapter builds a pipeline of async iterables and abort signals for every
 * call, which is most of what a short one costs. A call of the plain kind needs
 * none of it: its body is read, parsed by the library's own serialization,
 * handed to the same interceptors and handler, and the answer is written.
 * Whatever is of another kind, and every body that is not framed as it should
 * be, goes to the adapter, which has the last word on what the protocols mean.
 */
import {
  type DescMessage,
  type DescMethodUnary,
  type JsonWriteOptions,
  type Message,
  type Registry,
  toJsonString,
} from "@bufbuild/protobuf";
import {
  type ContextValues,
  createContextValues,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import {
  createMethodSerializationLookup,
  type MethodSerializationLookup,
} from "@connectrpc/connect/protocol";
import type { ServiceRegistration } from "../../assembly/services.ts";
import { LazyHeaders } from "../../http/lazy-headers.ts";
import { type NodeRequest, type NodeResponse, readBody } from "../../http/node-http.ts";
import { DomainError } from "../../lib/errors.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import { CallLimit } from "../calls/call-limit.ts";
import { createUnaryCall, type UnaryCall } from "../calls/unary-call.ts";
import { findOwnStatus, toConnectError } from "../errors/errors.ts";
import { canceled } from "../errors/library-errors.ts";
import type { Translator } from "../errors/translate.ts";
import { readJson } from "../json/request-json.ts";
import { type Answer, findWire, type Wire } from "./direct-wire.ts";

/** What direct calls take. */
export interface DirectCallOptions {
  readonly translator: Translator;
  /** Those below the translator, outermost first. */
  readonly interceptors: readonly Interceptor[];
  /** Limit of a message. */
  readonly bodyBytes: number;
  readonly protoFieldNames?: boolean;
  /** Types that a `google.protobuf.Any` may hold in JSON. */
  readonly registry?: Registry;
  readonly shutdownSignal?: AbortSignal;
}

/** A request on its way. */
export interface DirectRequest {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly info: RequestInfo;
  /** As handlers see it. */
  readonly url: string;
  /** Longest time the call may take, in seconds. */
  readonly requestSeconds: number;
}

/**
 * Answers a call; undefined at once for one that is not of the plain kind.
 * Resolves with the body when it is the adapter's after all, else with
 * undefined. Never rejects.
 */
export type DirectCall = (incoming: DirectRequest) => Promise<Buffer | undefined> | undefined;

/** Makes direct calls of unary methods. */
export function createDirectCalls(
  options: DirectCallOptions,
): (registration: ServiceRegistration, method: DescMethodUnary) => DirectCall {
  const underWay = new Set<CallLimit>();
  options.shutdownSignal?.addEventListener(
    "abort",
    () => {
      for (const limit of underWay) limit.stop(options.shutdownSignal?.reason);
    },
    { once: true },
  );
  return (registration, method) => {
    const target: Target = {
      method,
      procedure: `${method.parent.typeName}/${method.name}`,
      call: createUnaryCall(registration, method, options.interceptors),
      serialization: createSerialization(method, options),
      jsonOptions: toJsonOptions(options),
      options,
    };
    return (incoming) => {
      const wire = findWire(incoming.request, incoming.response);
      const timeoutMs = wire?.readTimeout(incoming.request);
      if (wire === undefined || timeoutMs === "malformed" || options.shutdownSignal?.aborted)
        return undefined;
      const requestMs = incoming.requestSeconds * 1000;
      const limit = new CallLimit(incoming.response, Math.min(timeoutMs ?? requestMs, requestMs));
      underWay.add(limit);
      return new Call(target, wire, incoming, limit).answer(timeoutMs).finally(() => {
        underWay.delete(limit);
        limit.end();
      });
    };
  };
}

/** A method and what calling it takes. */
interface Target {
  readonly method: DescMethodUnary;
  readonly procedure: string;
  readonly call: UnaryCall;
  readonly serialization: Serialization;
  readonly jsonOptions: Partial<JsonWriteOptions>;
  readonly options: DirectCallOptions;
}

type Serialization = MethodSerializationLookup<DescMessage, DescMessage>;

function createSerialization(method: DescMethodUnary, options: DirectCallOptions): Serialization {
  const limits = { readMaxBytes: options.bodyBytes, writeMaxBytes: 0xffffffff, compressMinBytes: 1024 };
  return createMethodSerializationLookup(method, undefined, toJsonOptions(options), limits);
}

function toJsonOptions({ protoFieldNames, registry }: DirectCallOptions): Partial<JsonWriteOptions> {
  return { useProtoFieldName: protoFieldNames ?? false, ...(registry !== undefined && { registry }) };
}

/** One call, and the context its handler sees. */
class Call implements HandlerContext {
  readonly method: DescMethodUnary;
  readonly protocolName: string;
  readonly requestMethod = "POST";
  readonly requestHeader: Headers;
  readonly url: string;
  readonly values: ContextValues;
  readonly #target: Target;
  readonly #wire: Wire;
  readonly #incoming: DirectRequest;
  readonly #limit: CallLimit;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  timeoutMs: () => number | undefined = () => undefined;

  constructor(target: Target, wire: Wire, incoming: DirectRequest, limit: CallLimit) {
    this.#target = target;
    this.#wire = wire;
    this.#incoming = incoming;
    this.#limit = limit;
    this.method = target.method;
    this.protocolName = wire.name;
    this.requestHeader = new LazyHeaders(incoming.request);
    this.url = incoming.url;
    this.values = createContextValues().set(requestInfoKey, incoming.info);
  }

  get service() {
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

  /** @see {@link DirectCall} */
  async answer(timeoutMs: number | undefined): Promise<Buffer | undefined> {
    if (timeoutMs !== undefined) this.#countDown(timeoutMs);
    try {
      const body = await this.#limit.wait(this.#readBody());
      const bytes = this.#wire.unframe(body);
      if (bytes === undefined) return body;
      await this.#send(await this.#limit.wait(this.#invoke(bytes)));
    } catch (error) {
      this.#refuse(error);
    }
    return undefined;
  }

  #countDown(timeoutMs: number): void {
    const endsAt = Date.now() + timeoutMs;
    this.timeoutMs = () => endsAt - Date.now();
  }

  #readBody(): Promise<Buffer> {
    const { bodyBytes } = this.#target.options;
    return readBody(this.#incoming.request, bodyBytes, this.#wire.framing).catch((error) => {
      throw error instanceof DomainError ? error : canceled();
    });
  }

  async #invoke(bytes: Buffer): Promise<string | Uint8Array> {
    const { call, serialization, method, jsonOptions, options } = this.#target;
    const { isBinary } = this.#wire;
    const input: Message = isBinary
      ? (serialization.getI(isBinary).parse(bytes) as Message)
      : readJson(method.input, bytes, options.registry);
    const { message } = await call(input, this);
    if (isBinary) return serialization.getO(isBinary).serialize(message);
    // As text: Node sends it with the head in one piece.
    return toJsonString(method.output, message, jsonOptions);
  }

  async #send(message: string | Uint8Array): Promise<void> {
    const { response, info } = this.#incoming;
    info.outcome.code = "ok";
    if (!isOpen(response)) return;
    await this.#wire.send(response, message, this.#toAnswer());
  }

  #refuse(error: unknown): void {
    const { request, response, info } = this.#incoming;
    const { options, jsonOptions } = this.#target;
    const refusal = options.translator.refuse(error, info, this.#target.procedure);
    // What is left of the body is dropped, so that the answer reaches its sender.
    request.resume();
    if (!isOpen(response)) return;
    const isOurs = refusal instanceof DomainError;
    this.#wire.refuse(response, isOurs ? toConnectError(refusal) : refusal, this.#toAnswer(), {
      jsonOptions,
      httpStatus: isOurs ? findOwnStatus(refusal.reason) : undefined,
    });
  }

  #toAnswer(): Answer {
    return {
      request: this.#incoming.request,
      header: this.#responseHeader,
      trailer: this.#responseTrailer,
    };
  }
}

function isOpen(response: NodeResponse): boolean {
  return !response.headersSent && !response.destroyed && !("stream" in response && response.stream.destroyed);
}
