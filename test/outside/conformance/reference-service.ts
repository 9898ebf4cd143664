/**
 * The service that Connect's conformance suite calls: it answers what each
 * request tells it to, and says what it has seen of that request.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { create, createFileRegistry, type FileRegistry, fromBinary, type Message } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { ServiceRegistration } from "../../../server/src/assembly/services.ts";

const packageName = "connectrpc.conformance.v1";

interface Header {
  readonly name: string;
  readonly value: readonly string[];
}

interface AskedFailure {
  readonly code: Code;
  readonly message?: string;
  readonly details: readonly Any[];
}

interface Definition {
  readonly responseHeaders: readonly Header[];
  readonly responseTrailers: readonly Header[];
  readonly responseDelayMs: number;
}

interface UnaryDefinition extends Definition {
  readonly response:
    | { readonly case: "responseData"; readonly value: Uint8Array }
    | { readonly case: "error"; readonly value: AskedFailure }
    | { readonly case: undefined };
}

interface StreamDefinition extends Definition {
  readonly responseData: readonly Uint8Array[];
  readonly error?: AskedFailure;
}

type Request<D> = Message & { readonly responseDefinition?: D; readonly fullDuplex?: boolean };

/** @param image of the suite's schemas, as `buf build` writes it */
export function createReferenceService(image: Uint8Array): {
  readonly registry: FileRegistry;
  readonly registration: ServiceRegistration;
  /** Whether a request asked for the error. */
  isAsked(error: unknown): error is ConnectError;
} {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  const asked = new WeakSet<ConnectError>();
  const service = registry.getService(`${packageName}.ConformanceService`);
  if (service === undefined) throw new Error("the suite's schemas have no ConformanceService");

  function make(name: string, fields: Record<string, unknown>): Message {
    const type = registry.getMessage(`${packageName}.${name}`);
    if (type === undefined) throw new Error(`the suite's schemas have no ${name}`);
    return create(type, fields);
  }

  function pack(message: Message): Any {
    const type = registry.getMessage(message.$typeName);
    if (type === undefined) throw new Error(`the suite's schemas have no ${message.$typeName}`);
    return anyPack(type, message);
  }

  function seen(context: HandlerContext, requests: readonly Message[]): Message {
    const timeoutMs = context.timeoutMs();
    const isGet = context.requestMethod === "GET";
    return make("ConformancePayload.RequestInfo", {
      requestHeaders: toHeaders(context.requestHeader),
      requests: requests.map(pack),
      ...(timeoutMs !== undefined && { timeoutMs: BigInt(Math.round(timeoutMs)) }),
      ...(isGet && { connectGetInfo: { queryParams: toHeaders(new URL(context.url).searchParams) } }),
    });
  }

  function toError({ code, message, details }: AskedFailure, info?: Message): ConnectError {
    const error = new ConnectError(message ?? "", code);
    asked.add(error);
    for (const any of [...details, ...(info ? [pack(info)] : [])]) {
      const desc = registry.getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1));
      const value = anyUnpack(any, registry);
      if (desc === undefined || value === undefined) throw new Error(`unknown type ${any.typeUrl}`);
      error.details.push({ desc, value: value as never });
    }
    return error;
  }

  async function answerOnce(requests: readonly Request<UnaryDefinition>[], context: HandlerContext) {
    const definition = requests[0]?.responseDefinition;
    const requestInfo = seen(context, requests);
    setHeaders(definition, context);
    if (definition?.responseDelayMs) await sleep(definition.responseDelayMs);
    const response = definition?.response;
    if (response?.case === "error") throw toError(response.value, requestInfo);
    return { payload: { requestInfo, ...(response?.case === "responseData" && { data: response.value }) } };
  }

  /** The messages of a stream: the first says what was seen, as a failure does that comes before any. */
  class Answers {
    readonly #definition: StreamDefinition | undefined;
    readonly #context: HandlerContext;
    #sent = 0;

    constructor(definition: StreamDefinition | undefined, context: HandlerContext) {
      this.#definition = definition;
      this.#context = context;
      setHeaders(definition, context);
    }

    get isOver(): boolean {
      return this.#sent >= (this.#definition?.responseData.length ?? 0);
    }

    async next(requests: readonly Message[]) {
      const data = this.#definition?.responseData[this.#sent];
      this.#sent += 1;
      if (this.#definition?.responseDelayMs) await sleep(this.#definition.responseDelayMs);
      const payload = requests.length > 0 ? { data, requestInfo: seen(this.#context, requests) } : { data };
      return { payload };
    }

    fail(requests: readonly Message[]): void {
      const error = this.#definition?.error;
      if (error) throw toError(error, this.#sent === 0 ? seen(this.#context, requests) : undefined);
    }

    get isFirst(): boolean {
      return this.#sent === 0;
    }
  }

  const implementation = {
    unary: (request: Request<UnaryDefinition>, context: HandlerContext) => answerOnce([request], context),
    idempotentUnary: (request: Request<UnaryDefinition>, context: HandlerContext) =>
      answerOnce([request], context),
    async clientStream(requests: AsyncIterable<Request<UnaryDefinition>>, context: HandlerContext) {
      const received: Request<UnaryDefinition>[] = [];
      for await (const request of requests) received.push(request);
      return await answerOnce(received, context);
    },
    async *serverStream(request: Request<StreamDefinition>, context: HandlerContext) {
      const answers = new Answers(request.responseDefinition, context);
      while (!answers.isOver) yield await answers.next(answers.isFirst ? [request] : []);
      answers.fail([request]);
    },
    async *bidiStream(requests: AsyncIterable<Request<StreamDefinition>>, context: HandlerContext) {
      const received: Message[] = [];
      let answers: Answers | undefined;
      let isFullDuplex = false;
      for await (const request of requests) {
        received.push(request);
        isFullDuplex ||= request.fullDuplex === true;
        answers ??= new Answers(request.responseDefinition, context);
        if (!isFullDuplex) continue;
        if (answers.isOver) break;
        yield await answers.next([request]);
      }
      if (answers === undefined) return;
      while (!answers.isOver) yield await answers.next(answers.isFirst ? received : []);
      answers.fail(received);
    },
  };
  return {
    registry,
    registration: {
      service,
      implementation: implementation as unknown as ServiceRegistration["implementation"],
    },
    isAsked: (error): error is ConnectError => asked.has(error as ConnectError),
  };
}

function setHeaders(definition: Definition | undefined, context: HandlerContext): void {
  for (const { name, value } of definition?.responseHeaders ?? []) {
    for (const each of value) context.responseHeader.append(name, each);
  }
  for (const { name, value } of definition?.responseTrailers ?? []) {
    for (const each of value) context.responseTrailer.append(name, each);
  }
}

function toHeaders(entries: Iterable<readonly [string, string]>): Header[] {
  return Array.from(entries, ([name, value]) => ({ name, value: [value] }));
}
