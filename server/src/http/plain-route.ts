/**
 * Routes that are not RPC: an exact method and path, where an id at its end may
 * be any, answered either by a function from request to response or, where
 * speed matters, by a handler of Node's own kind. Nouns declare them, the edge
 * serves them.
 *
 * The room owns the shapes of requests, answers, cookies, entity tags and
 * client addresses, and pure helpers around them. It listens to nothing and
 * knows no route.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { DomainError } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";
import { endTogether } from "./end-together.ts";
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
  /** In place of a body: what is written as it comes, no faster than it is taken. What it throws cuts the answer off. */
  readonly stream?: AsyncIterable<string>;
  /** Length of a text in UTF-8, where that is known: of one that is answered again and again. */
  readonly bodyBytes?: number;
}

interface RouteBase {
  readonly method: PlainMethod;
  /** Exact path as sent on the wire; one that ends in `/{id}` has any last segment there but an empty one. */
  readonly path: string;
  /** Shape of its refusals: `{"code","message"}` unless it is an OAuth 2 route (RFC 6749 §5.2). */
  readonly refusals?: "oauth";
  /** No cookie is read, so pages of other origins have none to send along (Fetch §3.2.5). */
  readonly readsNoCookie?: true;
  /** Pages of every origin may read it: what is answered is the same for all, and no secret. */
  readonly isPublic?: true;
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

/**
 * A part of the paths that a room has to itself, whatever the method.
 *
 * It is asked before all other routes, and what those have in common is left
 * out: no preflight is answered and no header set, no body read or waited for,
 * and nobody told to go on with one (`100 Continue`, RFC 9110 §15.2.1).
 */
export interface PrefixRoute {
  /** What its paths begin with, and the room may leave to others. */
  readonly prefix: string;
  /** @param target in origin form (RFC 9112 §3.2.1) as sent, with its query; undefined leaves it to others */
  find(target: string): PrefixAnswerer | undefined;
}

/** What answers under a {@link PrefixRoute}. Each ends the response in every case. */
export interface PrefixAnswerer {
  /** Template of its paths, of a closed set: for metrics and the log. */
  readonly label: string;
  /** What this throws or rejects with, before anything was sent, is refused. */
  answer(request: NodeRequest, response: NodeResponse, info: RequestInfo): void | Promise<void>;
  /** Answers a request that is not to be begun, or has failed. Must not throw. */
  refuse(request: NodeRequest, response: NodeResponse, info: RequestInfo, refusal: DomainError): void;
}

/**
 * Sends an answer whole. `Vary` adds to what is set already; a body on HEAD
 * only counts for its length.
 *
 * @param requestId to be said in the head, if it is not set already.
 */
export function sendPlain(response: NodeResponse, answer: PlainResponse, requestId?: string): void {
  const { body = "", bodyBytes } = answer;
  const isJson = typeof body === "object" && !(body instanceof Uint8Array);
  const content = isJson ? JSON.stringify(body) : body;
  sendWhole(response, answer.status, toHead(answer, { requestId, isJson }), content, bodyBytes);
}

/**
 * Sends a head, names and values by turns, and a body whole, with its length.
 * `Vary` and `Set-Cookie` add to what is set already.
 *
 * @param bodyBytes of a text in UTF-8, where that is known
 */
export function sendWhole(
  response: NodeResponse,
  status: number,
  head: (string | string[])[],
  body: string | Uint8Array,
  bodyBytes?: number,
): void {
  // A text stays one: Node sends it with the head in one piece.
  const bytes = typeof body === "string" ? (bodyBytes ?? Buffer.byteLength(body)) : body.length;
  if (status !== 204 && status !== 304) head.push("content-length", String(bytes));
  // ASCII alone is the same in both, and costs less to write as what takes no encoding.
  const encoding = bytes === body.length ? "latin1" : "utf8";
  const sent = response.req.method === "HEAD" ? "" : body;
  if ("stream" in response) {
    setHead(response, status, head);
    response.end(sent, encoding);
    return;
  }
  if (response.getHeaderNames().length === 0) {
    response.writeHead(status, head);
  } else {
    setHead(response, status, head);
    // Made here, so that nothing is added to it, and no other answer begun, while its end waits.
    response.writeHead(status);
  }
  endTogether(response, sent, encoding);
}

/** Sends an answer that has a stream. Rejects when that fails, and the connection with it, or nobody takes it any more. */
export async function streamPlain(
  response: NodeResponse,
  answer: PlainResponse & { readonly stream: AsyncIterable<string> },
  requestId: string,
): Promise<void> {
  setHead(response, answer.status, toHead(answer, { requestId, isJson: false }));
  await pipeline(Readable.from(answer.stream), response);
}

/** Names and values by turns, as Node writes them without a look at what is set already. */
function toHead(
  { headers = {} }: PlainResponse,
  own: {
    readonly requestId: string | undefined;
    readonly isJson: boolean;
  },
): (string | string[])[] {
  const head: (string | string[])[] = ["x-content-type-options", "nosniff"];
  if (own.requestId !== undefined) head.push("x-request-id", own.requestId);
  if (own.isJson && !("content-type" in headers)) head.push("content-type", "application/json");
  for (const name in headers) head.push(name, headers[name] ?? "");
  return head;
}

/** Adds a head to what is set already. */
function setHead(response: NodeResponse, status: number, head: readonly (string | string[])[]): void {
  response.statusCode = status;
  for (let at = 0; at < head.length; at += 2) {
    const [name, value] = [String(head[at]), head[at + 1] ?? ""];
    if (/^(vary|set-cookie)$/i.test(name)) response.appendHeader(name, value);
    else response.setHeader(name, value);
  }
}
