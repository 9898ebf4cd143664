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
import { type BodyTaker, type NodeRequest, type NodeResponse, takeBody } from "../../http/node-http.ts";
import { encode } from "../../lib/encoded-message.ts";
import { DomainError } from "../../lib/errors.ts";
import type { RequestInfo } from "../../lib/request.ts";
import type { CallLimit, CallLimits, StopListener } from "../calls/call-limits.ts";
import { type CallAnswer, CallContext, createUnaryCall, type UnaryCall } from "../calls/unary-call.ts";
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

/** A request on its way, and who is told where it goes otherwise. */
export interface DirectRequest {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly info: RequestInfo;
  /** As handlers see it. */
  readonly url: string;
  /** Called for one that is the adapter's after all, with its body. */
  readonly toAdapter: (body: Buffer) => void;
  /** Called when the answer could not be sent. */
  readonly fail: (error: unknown) => void;
}

/** Takes a call on, to be answered; false for one that is not of the plain kind. Never throws. */
export type DirectCall = (incoming: DirectRequest) => boolean;

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
      if (wire === undefined || timeoutMs === "malformed") return false;
      const limit = options.limits.begin(incoming.response, timeoutMs);
      new Call(target, wire, incoming, limit, timeoutMs).begin();
      return true;
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

/**
 * One call. By functions that are called, not by promises: where nobody waits for
 * anything, a call is over in the turn in which its body is read.
 */
class Call implements BodyTaker, StopListener {
  readonly #target: Target;
  readonly #wire: Wire;
  readonly #incoming: DirectRequest;
  readonly #limit: CallLimit;
  readonly #context: CallContext;
  /** Once it has been answered, refused or handed on: whatever comes later is too late. */
  #isOver = false;

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

  begin(): void {
    this.#limit.tell(this);
    takeBody(this.#incoming.request, this.#target.options.bodyBytes, this.#wire.framing, this);
  }

  onBody(body: Buffer): void {
    if (this.#isOver) return;
    try {
      // Nothing is begun for whoever has gone meanwhile.
      this.#limit.throwIfOver();
      const bytes = this.#wire.unframe(body);
      if (bytes === undefined) {
        this.#end();
        this.#incoming.toAdapter(body);
        return;
      }
      const answering = this.#target.call(this.#parse(bytes), this.#context);
      if (answering instanceof Promise) this.#wait(answering.then((answer) => this.#answer(answer)));
      else this.#answer(answering);
    } catch (error) {
      this.stop(error);
    }
  }

  onBodyError(error: Error): void {
    this.stop(error instanceof DomainError ? error : canceled());
  }

  #wait(work: Promise<void>): void {
    work.catch((error) => this.stop(error));
  }

  #answer({ message }: CallAnswer): void {
    if (this.#isOver) return;
    const sending = this.#send(this.#serialize(message));
    if (sending === undefined) this.#end();
    // While it is compressed its time goes on, and is of no account any more.
    else this.#wait(sending.then(() => this.#end()));
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

  /** Refuses the call, unless it is over: for whatever has gone wrong, or cut it short. */
  stop(error: unknown): void {
    if (this.#isOver) return;
    try {
      this.#sendRefusal(error);
    } catch (cause) {
      this.#incoming.fail(cause);
    }
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#limit.end();
  }

  #sendRefusal(error: unknown): void {
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
