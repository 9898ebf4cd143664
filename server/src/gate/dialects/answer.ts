/** What the gate answers a proxy, whatever the dialect, and how it goes out. */
import { type HeadText, sendText, toHeadLine, toHeadText } from "../../http/head-text.ts";
import { hasBody, type NodeRequest, type NodeResponse } from "../../http/node-http.ts";

/** Names and values by turns, as Node writes them; several lines of one name are a list. */
export type AnswerHead = (string | string[])[];

/** An answer, not sent yet. */
export interface GateAnswer {
  readonly status: number;
  /** What its head begins with, where that is the same for many. */
  readonly begin?: SharedHead;
  readonly head: Readonly<AnswerHead>;
  readonly body: string;
  /** Whether it is kept, and answers others as well. */
  readonly isKept?: true;
}

/** The first lines of many heads, made once: also as they are sent. */
export interface SharedHead {
  readonly lines: readonly string[];
  readonly text: HeadText;
}

/** @throws TypeError for what cannot be in a head */
export function shareHead(lines: readonly string[]): SharedHead {
  return { lines, text: toHeadText(lines) };
}

/** Every answer is about one request at one moment. */
export const noStore = ["Cache-Control", "no-store"] as const;

/** Longest head in bytes: HAProxy and others read no more than 16 KiB. Some of it is for what Node adds. */
const longestHead = 16 * 1024 - 512;

/** Whether proxies can read a head whole. */
export function fitsIntoHead({ begin, head }: Pick<GateAnswer, "begin" | "head">): boolean {
  let bytes = begin?.text.length ?? 0;
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
  answer: GateAnswer,
  requestId: string,
): void {
  leaveBody(request, response);
  const { status, begin, head, body } = answer;
  if (begin !== undefined && status === 200 && body === "") {
    const text = `${begin.text}${toText(head)}${toHeadLine("X-Request-Id", requestId)}`;
    if (sendText(response, text)) return;
  }
  const length = body === "" ? "0" : String(Buffer.byteLength(body));
  const whole = [...(begin?.lines ?? []), ...head, "X-Request-Id", requestId, "Content-Length", length];
  if ("stream" in response) {
    response.statusCode = status;
    for (let at = 0; at < whole.length; at += 2) response.setHeader(String(whole[at]), whole[at + 1] ?? "");
  } else {
    response.writeHead(status, whole);
  }
  response.end(body);
}

/** @throws TypeError for what cannot be in a head */
function toText(head: Readonly<AnswerHead>): HeadText {
  let text = "";
  for (let at = 0; at < head.length; at += 2) {
    const name = String(head[at]);
    const value = head[at + 1] ?? "";
    if (typeof value === "string") text += toHeadLine(name, value);
    else for (const line of value) text += toHeadLine(name, line);
  }
  return text;
}
