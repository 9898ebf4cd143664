/**
 * Reads requests of Node's two HTTP servers, which call the same handler for
 * HTTP/1.1 and, by the compatibility API, for HTTP/2: target, headers, cookies,
 * peer, body.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { DomainError } from "../lib/errors.ts";

/** A request of either server. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;

/** Its answer. */
export type NodeResponse = ServerResponse | Http2ServerResponse;

/**
 * The path as sent, without the query, nothing decoded or normalised.
 * Takes the absolute form too (RFC 9112 §3.2.2). Never throws.
 */
export function toRawPath(target: string | undefined): string {
  if (target?.startsWith("/") && !target.includes("?")) return target;
  return splitTarget(target)[0];
}

/** What follows the first `?` of the request target, else an empty text. Never throws. */
export function toRawQuery(target: string | undefined): string {
  return splitTarget(target)[1];
}

/** A request target as sent, the absolute form without what comes before the path (RFC 9112 §3.2). Never throws. */
export function toOriginForm(target = ""): string {
  return target.startsWith("/") ? target : target.replace(/^https?:\/\/[^/?#]*/i, "");
}

function splitTarget(target?: string): readonly [path: string, query: string] {
  const local = toOriginForm(target);
  const mark = local.indexOf("?");
  return mark < 0 ? [local, ""] : [local.slice(0, mark), local.slice(mark + 1)];
}

/** The header as one text; repeated ones joined as HTTP allows, absent as undefined. */
export function findHeader(request: NodeRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/**
 * The request's headers as the fetch API has them, without HTTP/2's
 * pseudo-headers: `:authority` is what `host` is otherwise (RFC 9113 §8.3.1).
 */
export function toWebHeaders(request: NodeRequest): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name.startsWith(":")) continue;
    for (const each of Array.isArray(value) ? value : [value]) {
      headers.append(name, each);
    }
  }
  const authority = findHeader(request, ":authority");
  if (authority !== undefined) headers.set("host", authority);
  return headers;
}

/**
 * A request's headers as the fetch API has them, made of Node's when somebody
 * wants more than to read one: most calls look at three, and copying all of
 * them costs as much as the rest of a cheap call.
 */
export class LazyHeaders implements Headers {
  readonly #request: NodeRequest;
  #copied: Headers | undefined;

  constructor(request: NodeRequest) {
    this.#request = request;
  }

  get(name: string): string | null {
    if (this.#copied !== undefined) return this.#copied.get(name);
    const lowerCased = name.toLowerCase();
    const value = this.#request.headers[lowerCased];
    if (typeof value === "string") return value;
    // HTTP/2 has the host elsewhere, which the copy knows.
    return value === undefined && lowerCased !== "host" ? null : this.#headers.get(name);
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  append(name: string, value: string): void {
    this.#headers.append(name, value);
  }

  set(name: string, value: string): void {
    this.#headers.set(name, value);
  }

  delete(name: string): void {
    this.#headers.delete(name);
  }

  getSetCookie(): string[] {
    return this.#headers.getSetCookie();
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this.#headers) callback(value, name, this);
  }

  keys(): ReturnType<Headers["keys"]> {
    return this.#headers.keys();
  }

  values(): ReturnType<Headers["values"]> {
    return this.#headers.values();
  }

  entries(): ReturnType<Headers["entries"]> {
    return this.#headers.entries();
  }

  [Symbol.iterator](): ReturnType<Headers["entries"]> {
    return this.#headers.entries();
  }

  get #headers(): Headers {
    this.#copied ??= toWebHeaders(this.#request);
    return this.#copied;
  }
}

/**
 * Values of the cookies of a name; a request may carry several.
 *
 * Before a name stand spaces and tabs, and nothing else is taken off: to a
 * browser another kind of space belongs to the name, which any neighbour under
 * the same domain may then set, whatever prefix follows (RFC 6265bis §4.1.3).
 */
export function findCookies(header: Headers, name: string): string[] {
  return findCookiesIn(header.get("cookie") ?? "", name);
}

/** As {@link findCookies}, on one line of `Cookie`. */
export function findCookiesIn(line: string, name: string): string[] {
  const found: string[] = [];
  visitCookies(line, (start, end) => {
    const equals = start + name.length;
    if (line[equals] === "=" && line.startsWith(name, start))
      found.push(line.slice(equals + 1, end).trimEnd());
  });
  return found;
}

/**
 * Says of each pair on one line of `Cookie` where it begins, with its name, and
 * where it ends, perhaps with blanks. By hand: every ask of a browser is looked through.
 */
export function visitCookies(line: string, visit: (start: number, end: number) => void): void {
  for (let start = 0, end = 0; start < line.length; start = end + 1) {
    const semicolon = line.indexOf(";", start);
    end = semicolon < 0 ? line.length : semicolon;
    while (start < end && isBlank(line.charCodeAt(start))) start += 1;
    visit(start, end);
  }
}

/** A space or a tab, which may stand between pairs. */
function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * Puts all `Authorization` headers of a request into one, with commas between.
 *
 * Node keeps the first of several and drops the rest unseen, on both HTTP
 * versions. A proxy in front may have judged another one, and a bad credential
 * would go unnoticed beside a good one. Joined they are no credential of any
 * kind, and refused as such.
 */
export function joinRepeatedCredentials(request: NodeRequest): void {
  const { headers, rawHeaders } = request;
  if (headers.authorization === undefined) return;
  const values: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const each = rawHeaders[at];
    if (each?.length === 13 && each.toLowerCase() === "authorization") values.push(rawHeaders[at + 1] ?? "");
  }
  if (values.length > 1) headers.authorization = values.join(", ");
}

/** The peer's address as the socket has it; empty when the connection is gone or has none. */
export function toPeerAddress(request: NodeRequest): string {
  try {
    return request.socket.remoteAddress ?? "";
  } catch {
    return "";
  }
}

/**
 * Reads a whole body. Most come with their heads: such a one is there when the
 * tick is over in which its head was read, and is taken as it is. The others
 * are read by events: an async iterator costs a request in ten more.
 *
 * @param framingBytes what may come on top of `limitBytes` and is not counted with it
 * @throws {DomainError} REQUEST_TOO_LARGE beyond the limit; what is left of
 *   the body is then read and dropped, so that the answer reaches the sender
 * @throws Error when the sender goes away before the end
 */
export function readBody(request: NodeRequest, limitBytes: number, framingBytes = 0): Promise<Buffer> {
  return new Promise((onBody, onBodyError) => {
    takeBody(request, limitBytes, framingBytes, { onBody, onBodyError });
  });
}

/** Who gets a body, or the error in its place: one of the two, once. */
export interface BodyTaker {
  onBody(body: Buffer): void;
  onBodyError(error: Error): void;
}

/** As {@link readBody}, without a promise. Never calls at once. */
export function takeBody(
  request: NodeRequest,
  limitBytes: number,
  framingBytes: number,
  taker: BodyTaker,
): void {
  const mostBytes = limitBytes + framingBytes;
  const isAnnounced = hasBody(request);
  const isTooLong = Number(findHeader(request, "content-length") ?? 0) > mostBytes;
  if (isTooLong || !isAnnounced) request.resume();
  process.nextTick(() => {
    if (isTooLong) taker.onBodyError(tooLarge(limitBytes));
    else if (!isAnnounced) taker.onBody(noBody);
    else if (request.destroyed) taker.onBodyError(cutOff());
    else if (!isReceived(request)) {
      // By a promise: an event of a request comes without what is kept for the work on it, such as its span.
      readByEvents(request, mostBytes, limitBytes).then(
        (body) => taker.onBody(body),
        (error: Error) => taker.onBodyError(error),
      );
    } else {
      const body = (request.read() as Buffer | null) ?? noBody;
      if (body.length > mostBytes) taker.onBodyError(tooLarge(limitBytes));
      else taker.onBody(body);
    }
  });
}

/** Whether a body is here to its end. On HTTP/2 `complete` says something else: also of a stream that was reset. */
function isReceived(request: NodeRequest): boolean {
  return !("stream" in request) && request.complete;
}

function readByEvents(request: NodeRequest, mostBytes: number, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      if (length > mostBytes) return;
      length += chunk.length;
      if (length <= mostBytes) {
        chunks.push(chunk);
      } else {
        chunks.length = 0;
        reject(tooLarge(limitBytes));
      }
    });
    let isWhole = false;
    // All of them come once at most: `once` would pay for being taken off again.
    request.on("end", () => {
      isWhole = true;
      const [only] = chunks;
      resolve(only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks, length));
    });
    request.on("error", reject);
    request.on("close", () => {
      // Every request closes in the end: an error for each would cost more than reading it.
      if (!isWhole) reject(cutOff());
    });
  });
}

function cutOff(): Error {
  return new Error("the request was cut off");
}

/** Whether nobody takes the answer any more: the connection is gone, or on HTTP/2 its stream was reset. */
export function isGone(response: NodeResponse): boolean {
  if (response.destroyed) return true;
  if ("stream" in response) return response.stream.destroyed || response.stream.closed;
  // One that waits behind an earlier answer on its connection has no socket of its own yet.
  return (response.socket ?? response.req.socket).destroyed;
}

/**
 * Drops a body that nobody will read and answers once it is over: a sender
 * that is still writing would see its connection end, and not the answer. A
 * body beyond `limitBytes` is not waited for.
 */
export function answerAfterBody(request: NodeRequest, limitBytes: number, answer: () => void): void {
  if (request.complete || !hasBody(request)) {
    request.resume();
    answer();
    return;
  }
  let length = 0;
  let isAnswered = false;
  const answerOnce = () => {
    if (isAnswered) return;
    isAnswered = true;
    answer();
  };
  request.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > limitBytes) answerOnce();
  });
  request.once("end", answerOnce);
  request.once("close", answerOnce);
}

/** The body of a request without one. */
export const noBody: Buffer = Buffer.alloc(0);

/** Whether the head of a request announces a body (RFC 9112 §6.3, RFC 9113 §8.1) of at least a byte. */
export function hasBody(request: NodeRequest): boolean {
  if ("stream" in request) return !request.stream.endAfterHeaders;
  const { headers } = request;
  return (headers["content-length"] ?? "0") !== "0" || headers["transfer-encoding"] !== undefined;
}

function tooLarge(limitBytes: number): DomainError {
  return new DomainError("REQUEST_TOO_LARGE", { message: `request is larger than ${limitBytes} bytes` });
}

/**
 * Tells a client to go on with its body, if it waits for that (RFC 9110
 * §10.1.1): to be called once, before the body is read. One of HTTP/1.0 knows
 * no interim answers.
 */
export function sayContinue(request: NodeRequest, response: NodeResponse): void {
  if (request.headers.expect !== undefined && request.httpVersion !== "1.0") response.writeContinue();
}
