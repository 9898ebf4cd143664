import { cors as connectCors } from "@connectrpc/connect";
import { findHeader, type NodeRequest, type NodeResponse } from "../http/node-http.ts";
import type { PlainRoute } from "../http/plain-route.ts";

const allowedHeaders = [
  ...connectCors.allowedHeaders,
  "Authorization",
  "X-User-Token",
  "X-Project",
  "X-Organization",
  "X-Request-Id",
  "If-Match",
  "If-None-Match",
  "Idempotency-Key",
].join(", ");

const exposedHeaders = [
  ...connectCors.exposedHeaders,
  "X-Request-Id",
  "Retry-After",
  "ETag",
  "Location",
].join(", ");

/** How long a browser may keep a preflight's answer; browsers cap it themselves. */
const preflightSeconds = 7200;

/** @param routes plain ones at the request's path, if there are */
type ApplyCors = (
  request: NodeRequest,
  response: NodeResponse,
  routes?: Iterable<Pick<PlainRoute, "readsNoCookie" | "isPublic">>,
) => boolean;

/**
 * Cross-origin sharing with exact origins and credentials (Fetch §3.2).
 *
 * The rule sets the headers of an answer and says whether it has answered the
 * request itself, a preflight. Other origins get no header at all, so their
 * browsers show them nothing; save of what is public, which pages of every
 * origin may read, without credentials.
 */
export function createCors(allowedOrigins: readonly string[]): ApplyCors {
  const allowed = new Set(allowedOrigins);
  return (request, response, routes) => {
    const all = routes === undefined ? [] : [...routes];
    const isPublic = all.some((route) => route.isPublic);
    if (allowed.size > 0) {
      response.setHeader("vary", "Origin");
    }
    const origin = findHeader(request, "origin");
    const isKnown = origin !== undefined && allowed.has(origin);
    const isAllowed = isKnown || isPublic;
    if (isAllowed) response.setHeader("access-control-allow-origin", isKnown ? origin : "*");
    if (isKnown && !all.some((route) => route.readsNoCookie)) {
      response.setHeader("access-control-allow-credentials", "true");
    }
    if (origin === undefined || !isPreflight(request)) {
      if (isAllowed) response.setHeader("access-control-expose-headers", exposedHeaders);
      return false;
    }
    if (isAllowed) {
      response.setHeader("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE");
      response.setHeader("access-control-allow-headers", allowedHeaders);
      response.setHeader("access-control-max-age", preflightSeconds);
    }
    response.statusCode = 204;
    response.end();
    return true;
  };
}

function isPreflight(request: NodeRequest): boolean {
  return request.method === "OPTIONS" && findHeader(request, "access-control-request-method") !== undefined;
}
