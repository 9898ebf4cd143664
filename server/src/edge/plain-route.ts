/** Serves plain routes: reads what they ask for, sends what they answer or are refused with. */

import {
  hasBody,
  isGone,
  LazyHeaders,
  type NodeRequest,
  type NodeResponse,
  noBody,
  readBody,
  toRawPath,
  toRawQuery,
} from "../http/node-http.ts";
import type { PlainRequest, PlainRoute } from "../http/plain-route.ts";
import { sendPlain } from "../http/plain-route.ts";
import type { Log } from "../lib/log.ts";
import type { RequestInfo } from "../lib/request.ts";
import { toDomainError, toOauthError, toPlainError } from "./errors/errors.ts";

/** What answering a plain route takes. */
export interface PlainRouteOptions {
  readonly bodyBytes: number;
  readonly log: Log;
}

/** Answers a request by its route. Never rejects. */
export async function servePlainRoute(
  route: PlainRoute,
  request: NodeRequest,
  response: NodeResponse,
  info: RequestInfo,
  options: PlainRouteOptions,
): Promise<void> {
  try {
    if ("raw" in route) {
      await route.raw(request, response, info);
    } else {
      // Nothing is waited for that need not be: most GETs are answered in the turn they come in.
      const body = hasBody(request) ? await readBody(request, options.bodyBytes) : noBody;
      const plain = new LazyPlainRequest(request, body, info);
      const answer = info.doWork?.(async () => route.handle(plain)) ?? route.handle(plain);
      sendPlain(response, answer instanceof Promise ? await answer : answer, info.requestId);
    }
  } catch (error) {
    if (isGone(response)) return;
    sendRefusal(response, error, info, options.log, route.refusals);
  }
}

/** A request whose parts are made when its route asks for them. */
class LazyPlainRequest implements PlainRequest {
  readonly body: Uint8Array;
  readonly info: RequestInfo;
  readonly header: Headers;
  readonly #request: NodeRequest;

  constructor(request: NodeRequest, body: Uint8Array, info: RequestInfo) {
    this.#request = request;
    this.header = new LazyHeaders(request);
    this.body = body;
    this.info = info;
  }

  get method(): string {
    return this.#request.method ?? "";
  }

  get path(): string {
    return toRawPath(this.#request.url);
  }

  get query(): URLSearchParams {
    return new URLSearchParams(toRawQuery(this.#request.url));
  }
}

/** Sends what `toPlainError` makes of an error and notes it; logs the cause of what is our own failure. */
export function sendRefusal(
  response: NodeResponse,
  error: unknown,
  info: RequestInfo,
  log: Log,
  shape?: "oauth",
): void {
  const refusal = toDomainError(error);
  info.outcome.code = refusal.kind;
  info.outcome.reason = refusal.reason;
  if (refusal.detail !== undefined) {
    info.outcome.detail = refusal.detail;
  }
  if (refusal.kind === "internal" && !isGone(response)) {
    log.error({ requestId: info.requestId, err: refusal.cause ?? refusal }, "request failed");
  }
  if (response.headersSent) {
    response.destroy();
    return;
  }
  sendPlain(response, shape === "oauth" ? toOauthError(refusal) : toPlainError(refusal), info.requestId);
}
