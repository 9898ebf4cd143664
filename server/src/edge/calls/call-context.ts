import type { DescMethodUnary, DescService } from "@bufbuild/protobuf";
import { type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { LazyHeaders } from "../../http/lazy-headers.ts";
import type { NodeRequest } from "../../http/node-http.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import type { CallLimit } from "./call-limit.ts";

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
    this.values = createContextValues().set(requestInfoKey, info);
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
