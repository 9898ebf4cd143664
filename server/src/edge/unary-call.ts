import type { DescMessage } from "@bufbuild/protobuf";
import { create, type DescMethodUnary, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import type {
  HandlerContext,
  Interceptor,
  StreamRequest,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import { DomainError } from "../lib/errors.ts";
import type { ServiceRegistration } from "./services.ts";

/** What a call answered. */
export interface CallAnswer {
  readonly message: Message;
  readonly header: Headers;
}

/** Calls a method in this process, through the interceptors, outermost first. */
export type UnaryCall = (message: Message, context: HandlerContext) => Promise<CallAnswer>;

type Handler = (
  message: Message,
  context: HandlerContext,
) => MessageInitShape<DescMessage> | Promise<MessageInitShape<DescMessage>>;

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
  return async (message, context) => {
    const invoke = async (request: UnaryRequest | StreamRequest): Promise<UnaryResponse> => ({
      stream: false,
      method,
      service: method.parent,
      message: create(method.output, await handler(request.message as Message, toContext(context, request))),
      header: context.responseHeader,
      trailer: context.responseTrailer,
    });
    const call = interceptors.reduceRight<Parameters<Interceptor>[0]>(
      (next, intercept) => intercept(next),
      invoke,
    );
    const answer = await call({
      stream: false,
      method,
      service: method.parent,
      message,
      requestMethod: context.requestMethod,
      url: context.url,
      // A context may make its signal when it is first asked for.
      get signal() {
        return context.signal;
      },
      header: context.requestHeader,
      contextValues: context.values,
    });
    return { message: (answer as UnaryResponse).message, header: answer.header };
  };
}

/** What a handler sees is what the innermost interceptor passed on. */
function toContext(context: HandlerContext, request: UnaryRequest | StreamRequest): HandlerContext {
  const { header: requestHeader, contextValues: values } = request;
  if (requestHeader === context.requestHeader && values === context.values) return context;
  const { signal, service } = request;
  const changed = { requestHeader, values, service, signal };
  return Object.create(context, Object.getOwnPropertyDescriptors(changed)) as HandlerContext;
}

function refuseUnimplemented(): never {
  throw new DomainError("NOT_IMPLEMENTED");
}
