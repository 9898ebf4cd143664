/**
 * Serves plain routes: reads what they ask for, sends what they answer or are
 * refused with. Those who have a part of the paths to themselves are handed
 * their requests as they come.
 */

import {
  hasBody,
  isGone,
  LazyHeaders,
  type NodeRequest,
  type NodeResponse,
  noBody,
  readBody,
  toOriginForm,
  toRawPath,
  toRawQuery,
} from "../http/node-http.ts";
import {
  type PlainRequest,
  type PlainRoute,
  type PrefixAnswerer,
  type PrefixRoute,
  sendPlain,
  streamPlain,
} from "../http/plain-route.ts";
import type { DomainError } from "../lib/errors.ts";
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
      const answering = info.doWork?.(async () => route.handle(plain)) ?? route.handle(plain);
      const answer = answering instanceof Promise ? await answering : answering;
      const { stream } = answer;
      if (stream === undefined) sendPlain(response, answer, info.requestId);
      else await streamPlain(response, { ...answer, stream }, info.requestId);
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

/** Whose a request target is; undefined where it is left to the other routes. */
export function findAnswerer(
  routes: readonly PrefixRoute[],
  target: string | undefined,
): PrefixAnswerer | undefined {
  const local = toOriginForm(target);
  for (const route of routes) {
    const found = local.startsWith(route.prefix) ? route.find(local) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Has a request answered, or refused where there is a refusal. Never throws. */
export function servePrefixRoute(
  answerer: PrefixAnswerer,
  request: NodeRequest,
  response: NodeResponse,
  info: RequestInfo,
  { log, refusal }: { readonly log: Log; readonly refusal: DomainError | undefined },
): void {
  const fail = (error: unknown) => {
    const { requestId, outcome } = info;
    log.error({ requestId, err: error }, "request failed");
    outcome.code = "internal";
    if (response.headersSent) response.destroy();
    else if (!isGone(response)) answerer.refuse(request, response, info, toDomainError(error));
  };
  try {
    // Nothing is waited for that need not be: most are answered in the turn they come in.
    if (refusal !== undefined) answerer.refuse(request, response, info, refusal);
    else answerer.answer(request, response, info)?.catch(fail);
  } catch (error) {
    fail(error);
  }
}
