/**
 * Routes that are not RPC: an exact method and path, answered either by a
 * function from request to response or, where speed matters, by a handler of
 * Node's own kind. Nouns declare them, the edge serves them.
 *
 * The room owns the shapes of requests, answers, cookies, entity tags and
 * client addresses, and pure helpers around them. It listens to nothing and
 * knows no route.
 */
import type { RequestInfo } from "../lib/request.ts";
import type { NodeRequest, NodeResponse } from "./node-http.ts";

/** Methods a route can have. A GET route answers HEAD as well. */
export type PlainMethod = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** A request as a plain route sees it; the body is whole and within the limit. */
export interface PlainRequest {
  readonly method: string;
  /** As sent: nothing decoded or normalised. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly header: Headers;
  readonly body: Uint8Array;
  readonly info: RequestInfo;
}

/** What a plain route answers. */
export interface PlainResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Text and bytes go as they are, an object as JSON with its `content-type`. */
  readonly body?: string | Uint8Array | object;
  /** Length of a text in UTF-8, where that is known: of one that is answered again and again. */
  readonly bodyBytes?: number;
}

interface RouteBase {
  readonly method: PlainMethod;
  /** Exact path as sent on the wire. */
  readonly path: string;
  /** Shape of its refusals: `{"code","message"}` unless it is an OAuth 2 route (RFC 6749 §5.2). */
  readonly refusals?: "oauth";
  /** No cookie is read, so pages of other origins have none to send along (Fetch §3.2.5). */
  readonly readsNoCookie?: true;
}

/** A route from request to response. A DomainError becomes `{"code","message"}`. */
export interface FunctionRoute extends RouteBase {
  readonly handle: (request: PlainRequest) => PlainResponse | Promise<PlainResponse>;
}

/**
 * A route that is handed Node's request as it comes: it reads the body itself
 * (`readBody` of `node-http.ts`), ends the response in every case, and notes
 * what it knows in `info.outcome`. `X-Request-Id` is set already.
 */
export interface RawRoute extends RouteBase {
  readonly raw: (request: NodeRequest, response: NodeResponse, info: RequestInfo) => void | Promise<void>;
}

/** A route outside RPC. */
export type PlainRoute = FunctionRoute | RawRoute;
