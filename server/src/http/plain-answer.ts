import type { NodeResponse } from "./node-http.ts";
import type { PlainResponse } from "./plain-route.ts";

/**
 * Sends an answer whole. `Vary` adds to what is set already; a body on HEAD
 * only counts for its length.
 *
 * @param requestId to be said in the head, if it is not set already.
 */
export function sendPlain(response: NodeResponse, answer: PlainResponse, requestId?: string): void {
  const { body = "", bodyBytes } = answer;
  const isJson = typeof body === "object" && !(body instanceof Uint8Array);
  // A text stays one: Node sends it with the head in one piece.
  const content = isJson ? JSON.stringify(body) : body;
  const bytes = typeof content === "string" ? (bodyBytes ?? Buffer.byteLength(content)) : content.length;
  const isHead = response.req.method === "HEAD";
  const length = answer.status === 204 || answer.status === 304 ? undefined : bytes;
  const head = toHead(answer, { requestId, isJson, length });
  if ("stream" in response || response.getHeaderNames().length > 0) setHead(response, answer.status, head);
  else response.writeHead(answer.status, head);
  // ASCII alone is the same in both, and costs less to write as what takes no encoding.
  const encoding = bytes === content.length ? "latin1" : "utf8";
  response.end(isHead ? "" : content, encoding);
}

/** Names and values by turns, as Node writes them without a look at what is set already. */
function toHead(
  { headers = {} }: PlainResponse,
  own: {
    readonly requestId: string | undefined;
    readonly isJson: boolean;
    readonly length: number | undefined;
  },
): (string | string[])[] {
  const head: (string | string[])[] = ["x-content-type-options", "nosniff"];
  if (own.requestId !== undefined) head.push("x-request-id", own.requestId);
  if (own.isJson && !("content-type" in headers)) head.push("content-type", "application/json");
  for (const name in headers) head.push(name, headers[name] ?? "");
  if (own.length !== undefined) head.push("content-length", String(own.length));
  return head;
}

/** Adds a head to what is set already. */
function setHead(response: NodeResponse, status: number, head: readonly (string | string[])[]): void {
  response.statusCode = status;
  for (let at = 0; at < head.length; at += 2) {
    const [name, value] = [String(head[at]), head[at + 1] ?? ""];
    if (name.toLowerCase() === "vary") response.appendHeader(name, value);
    else response.setHeader(name, value);
  }
}
