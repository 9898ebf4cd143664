import type { DescMethodUnary } from "@bufbuild/protobuf";
import { type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { LazyHeaders } from "../../http/lazy-headers.ts";
import type { NodeRequest } from "../../http/node-http.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import type { CallLimit } from "./call-limit.ts";

/** What a REST call comes with. */
export interface RestCall {
  readonly request: NodeRequest;
  readonly info: RequestInfo;
  readonly limit: CallLimit;
  /** As handlers see it. */
  readonly url: string;
}

/** What a handler sees of a REST call. Signal and headers are made when somebody asks for them. */
export class RestContext implements HandlerContext {
  readonly method: DescMethodUnary;
  readonly protocolName = "rest";
  readonly requestMethod: string;
  readonly requestHeader: Headers;
  readonly url: string;
  readonly values: ContextValues;
  readonly #limit: CallLimit;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(method: DescMethodUnary, { request, info, limit, url }: RestCall) {
    this.method = method;
    this.requestMethod = request.method ?? "";
    this.requestHeader = new LazyHeaders(request);
    this.url = url;
    this.values = createContextValues().set(requestInfoKey, info);
    this.#limit = limit;
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

  timeoutMs(): undefined {
    return undefined;
  }
}
