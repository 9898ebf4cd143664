/** What the gate answers a proxy, whatever the dialect, and how it goes out. */
import { hasBody, type NodeRequest, type NodeResponse } from "../../http/node-http.ts";

/** Names and values by turns, as Node writes them; several lines of one name are a list. */
export type AnswerHead = (string | string[])[];

/** An answer, not sent yet. */
export interface GateAnswer {
  readonly status: number;
  readonly head: Readonly<AnswerHead>;
  readonly body: string;
  /** Whether it is kept, and answers others as well. */
  readonly isKept?: true;
}

/** Every answer is about one request at one moment. */
export const noStore = ["Cache-Control", "no-store"] as const;

/** Longest head in bytes: HAProxy and others read no more than 16 KiB. Some of it is for what Node adds. */
const longestHead = 16 * 1024 - 512;

/** Whether proxies can read a head whole. */
export function fitsIntoHead(head: Readonly<AnswerHead>): boolean {
  let bytes = 0;
  for (let at = 0; at < head.length; at += 2) {
    const nameLength = (head[at] ?? "").length + 4;
    const value = head[at + 1] ?? "";
    if (typeof value === "string") bytes += nameLength + value.length;
    else for (const line of value) bytes += nameLength + line.length;
  }
  return bytes <= longestHead;
}

/**
 * Leaves the body of an ask, if it has one, where it is: on HTTP/1.1 its
 * connection ends with the answer, lest those bytes, or the ones that never
 * come, be taken for the next ask.
 */
export function leaveBody(request: NodeRequest, response: NodeResponse): void {
  if (!("stream" in response) && hasBody(request)) response.shouldKeepAlive = false;
}

/** Sends an answer in one go. */
export function sendAnswer(
  request: NodeRequest,
  response: NodeResponse,
  { status, head, body }: GateAnswer,
  requestId: string,
): void {
  leaveBody(request, response);
  const length = body === "" ? "0" : String(Buffer.byteLength(body));
  const whole = head.concat("X-Request-Id", requestId, "Content-Length", length);
  if ("stream" in response) {
    response.statusCode = status;
    for (let at = 0; at < whole.length; at += 2) response.setHeader(String(whole[at]), whole[at + 1] ?? "");
  } else {
    response.writeHead(status, whole);
  }
  response.end(body);
}
