import { cors as connectCors } from "@connectrpc/connect";
import { findHeader, type NodeRequest, type NodeResponse, toRawPath } from "../http/node-http.ts";

const allowedHeaders = [
  ...connectCors.allowedHeaders,
  "Authorization",
  "X-User-Token",
  "X-Project",
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

/**
 * Cross-origin sharing with exact origins and credentials (Fetch §3.2).
 *
 * The rule sets the headers of an answer and says whether it has answered the
 * request itself, a preflight. Other origins get no header at all, so their
 * browsers show them nothing.
 */
export function createCors(
  allowedOrigins: readonly string[],
): (request: NodeRequest, response: NodeResponse) => boolean {
  const allowed = new Set(allowedOrigins);
  return (request, response) => {
    if (allowed.size > 0) {
      response.setHeader("vary", "Origin");
    }
    const origin = findHeader(request, "origin");
    const isAllowed = origin !== undefined && allowed.has(origin);
    if (isAllowed) {
      response.setHeader("access-control-allow-origin", origin);
      if (!isUncredentialed(request)) response.setHeader("access-control-allow-credentials", "true");
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

/** The OAuth routes read no cookie, so a page has none to send there. */
function isUncredentialed(request: NodeRequest): boolean {
  return toRawPath(request.url).startsWith("/oauth2/");
}

function isPreflight(request: NodeRequest): boolean {
  return request.method === "OPTIONS" && findHeader(request, "access-control-request-method") !== undefined;
}
