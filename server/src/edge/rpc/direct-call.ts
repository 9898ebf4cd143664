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
import type { Interceptor } from "@connectrpc/connect";
import {
  createMethodSerializationLookup,
  type MethodSerializationLookup,
} from "@connectrpc/connect/protocol";
import type { ServiceRegistration } from "../../assembly/services.ts";
import { type NodeRequest, type NodeResponse, readBody } from "../../http/node-http.ts";
import { findEncoded } from "../../lib/encoded-message.ts";
import { DomainError } from "../../lib/errors.ts";
import type { RequestInfo } from "../../lib/request.ts";
import type { CallLimit, CallLimits } from "../calls/call-limits.ts";
import { CallContext, createUnaryCall, type UnaryCall } from "../calls/unary-call.ts";
import { findOwnStatus, toConnectError } from "../errors/errors.ts";
import { canceled } from "../errors/library-errors.ts";
import type { Translator } from "../errors/translate.ts";
import { readJson } from "../json/request-json.ts";
import { isOwnSchema, mayBeNewer } from "./caller.ts";
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
  readonly limits: CallLimits;
}

/** A request on its way. */
export interface DirectRequest {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly info: RequestInfo;
  /** As handlers see it. */
  readonly url: string;
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
      if (wire === undefined || timeoutMs === "malformed") return undefined;
      return options.limits.during(incoming.response, timeoutMs, (limit) =>
        new Call(target, wire, incoming, limit, timeoutMs).answer(),
      );
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

/** One call. */
class Call {
  readonly #target: Target;
  readonly #wire: Wire;
  readonly #incoming: DirectRequest;
  readonly #limit: CallLimit;
  readonly #context: CallContext;

  /** @param timeoutMs the caller's own limit of time */
  constructor(
    target: Target,
    wire: Wire,
    incoming: DirectRequest,
    limit: CallLimit,
    timeoutMs: number | undefined,
  ) {
    this.#target = target;
    this.#wire = wire;
    this.#incoming = incoming;
    this.#limit = limit;
    const { request, info, url } = incoming;
    this.#context = new CallContext(target.method, {
      request,
      info,
      limit,
      protocolName: wire.name,
      url,
      timeoutMs,
    });
  }

  /** @see {@link DirectCall} */
  async answer(): Promise<Buffer | undefined> {
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

  #readBody(): Promise<Buffer> {
    const { bodyBytes } = this.#target.options;
    return readBody(this.#incoming.request, bodyBytes, this.#wire.framing).catch((error) => {
      throw error instanceof DomainError ? error : canceled();
    });
  }

  async #invoke(bytes: Buffer): Promise<string | Uint8Array> {
    const { call, serialization, method, jsonOptions, options } = this.#target;
    const { isBinary } = this.#wire;
    const refusesUnknown = isOwnSchema(method.parent) && !mayBeNewer(this.#incoming.request);
    const input: Message = isBinary
      ? (serialization.getI(isBinary).parse(bytes) as Message)
      : readJson(method.input, bytes, { refusesUnknown, registry: options.registry });
    const { message } = await call(input, this.#context);
    if (isBinary) return findEncoded(message) ?? serialization.getO(isBinary).serialize(message);
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
    return { request: this.#incoming.request, ...this.#context.findAnswerHeaders() };
  }
}

function isOpen(response: NodeResponse): boolean {
  return !response.headersSent && !response.destroyed && !("stream" in response && response.stream.destroyed);
}
