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
import { encode } from "../../lib/encoded-message.ts";
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
    const serialization = createSerialization(method, options);
    const jsonOptions = toJsonOptions(options);
    const output = serialization.getO(true);
    const target: Target = {
      method,
      procedure: `${method.parent.typeName}/${method.name}`,
      isOwn: isOwnSchema(method.parent),
      call: createUnaryCall(registration, method, options.interceptors),
      serialization,
      jsonOptions,
      jsonForm: options.protoFieldNames ? "proto-json" : "json",
      toBytes: (message) => output.serialize(message),
      toText: (message) => toJsonString(method.output, message, jsonOptions),
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
  /** Of a schema of ours: what callers by hand send besides is refused. */
  readonly isOwn: boolean;
  readonly call: UnaryCall;
  readonly serialization: Serialization;
  readonly jsonOptions: Partial<JsonWriteOptions>;
  /** Which of the two ways to spell fields answers have, for {@link encode}. */
  readonly jsonForm: "json" | "proto-json";
  readonly toBytes: (message: Message) => Uint8Array;
  /** JSON, as text: Node sends it with the head in one piece. */
  readonly toText: (message: Message) => string;
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
  #body: Buffer | undefined;

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
      const message = await this.#limit.wait(this.#work());
      if (message === undefined) return this.#body;
      const sending = this.#send(message);
      if (sending !== undefined) await sending;
    } catch (error) {
      this.#refuse(error);
    }
    return undefined;
  }

  /** Resolves with the message to be sent, or with undefined when the call is the adapter's. */
  async #work(): Promise<string | Uint8Array | undefined> {
    this.#body = await this.#readBody();
    // Nothing is begun for whoever has gone meanwhile.
    this.#limit.throwIfOver();
    const bytes = this.#wire.unframe(this.#body);
    if (bytes === undefined) return undefined;
    const { message } = await this.#target.call(this.#parse(bytes), this.#context);
    return this.#serialize(message);
  }

  async #readBody(): Promise<Buffer> {
    try {
      return await readBody(this.#incoming.request, this.#target.options.bodyBytes, this.#wire.framing);
    } catch (error) {
      throw error instanceof DomainError ? error : canceled();
    }
  }

  #parse(bytes: Buffer): Message {
    const { method, serialization, isOwn, options } = this.#target;
    if (this.#wire.isBinary) return serialization.getI(true).parse(bytes) as Message;
    const refusesUnknown = isOwn && !mayBeNewer(this.#incoming.request);
    return readJson(method.input, bytes, { refusesUnknown, registry: options.registry });
  }

  #serialize(message: Message): string | Uint8Array {
    const { isBinary } = this.#wire;
    const { jsonForm, toBytes, toText } = this.#target;
    return isBinary ? encode(message, "binary", toBytes) : encode(message, jsonForm, toText);
  }

  #send(message: string | Uint8Array): void | Promise<void> {
    const { response, info } = this.#incoming;
    info.outcome.code = "ok";
    if (!isOpen(response)) return;
    return this.#wire.send(response, message, this.#toAnswer());
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
    const { request, info } = this.#incoming;
    const { header, trailer } = this.#context.findAnswerHeaders();
    return { request, requestId: info.requestId, header, trailer };
  }
}

function isOpen(response: NodeResponse): boolean {
  return !response.headersSent && !response.destroyed && !("stream" in response && response.stream.destroyed);
}
