/** Finds who has a part of the paths to itself, and serves what comes there. */
import { isGone, type NodeRequest, type NodeResponse, toOriginForm } from "../http/node-http.ts";
import type { PrefixAnswerer, PrefixRoute } from "../http/plain-route.ts";
import type { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { RequestInfo } from "../lib/request.ts";
import { toDomainError } from "./errors/errors.ts";

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
