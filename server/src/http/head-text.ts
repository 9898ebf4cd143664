/**
 * Answers whose head is, for the most part, text that was made before.
 *
 * Node makes each head of names and values, and looks through all of them for
 * what must not be in one: of an answer that is sent again and again that is a
 * good part of what it costs.
 */
import { IncomingMessage, ServerResponse, validateHeaderName, validateHeaderValue } from "node:http";
import { Socket } from "node:net";
import { endTogether } from "./end-together.ts";
import type { NodeResponse } from "./node-http.ts";

/** Lines of a head as they are sent, each with its end. */
export type HeadText = string;

/** @param lines names and values by turns @throws TypeError for what cannot be in a head (RFC 9110 §5.5) */
export function toHeadText(lines: readonly string[]): HeadText {
  let text = "";
  for (let at = 0; at < lines.length; at += 2) {
    const name = lines[at] ?? "";
    validateHeaderName(name);
    text += toHeadLine(name, lines[at + 1] ?? "");
  }
  return text;
}

/** As {@link toHeadText}, of one line. @param name known to be one */
export function toHeadLine(name: string, value: string): HeadText {
  if (value !== "") validateHeaderValue(name, value);
  return `${name}: ${value}\r\n`;
}

/**
 * Answers 200 by HTTP/1.1 with these lines, `Content-Length` and `Date`, and
 * leaves the connection open, which goes without saying there (RFC 9112 §9.3).
 *
 * @param bytes length of the body in UTF-8
 * @return false, with nothing sent, where the head has to be made by Node: of
 *   another version, of a connection that ends, of HEAD, beside headers that are set
 */
export function sendText(
  response: NodeResponse,
  text: HeadText,
  body: string | Uint8Array = "",
  bytes: number = body.length,
): boolean {
  if (!(response instanceof ServerResponse) || !canKeepHead()) return false;
  const { req, shouldKeepAlive, headersSent } = response;
  const isPlain =
    shouldKeepAlive && !headersSent && req.httpVersionMinor === 1 && req.headers.expect === undefined;
  const isWhole = bytes === 0 || req.method !== "HEAD";
  if (!isPlain || !isWhole || response.getHeaderNames().length > 0) return false;
  response.statusCode = 200;
  toKeeping(response)._header =
    `HTTP/1.1 200 OK\r\n${text}Content-Length: ${bytes}\r\nDate: ${toHttpDate(Date.now())}\r\n\r\n`;
  // ASCII alone is the same in both, and costs less to write as what takes no encoding.
  endTogether(response, body, bytes === body.length ? "latin1" : "utf8");
  return true;
}

/** Where Node keeps a head between `writeHead` and the first bytes of a body. */
interface Keeping {
  _header: string | null;
}

function toKeeping(response: ServerResponse): Keeping {
  return response as unknown as Keeping;
}

let isKept: boolean | undefined;

/** Whether this Node keeps a head where those before it did: the place is documented nowhere. */
function canKeepHead(): boolean {
  if (isKept === undefined) {
    const probe = new ServerResponse(new IncomingMessage(new Socket()));
    const isEmpty = toKeeping(probe)._header === null;
    probe.writeHead(200, ["A", "b"]);
    isKept = isEmpty && String(toKeeping(probe)._header).startsWith("HTTP/1.1 200 OK\r\nA: b\r\n");
  }
  return isKept;
}

let [dateAtSecond, date] = [Number.NaN, ""];

/** An instant in HTTP's form (RFC 9110 §5.6.7), made once a second. @param nowMs since the epoch */
function toHttpDate(nowMs: number): string {
  const second = Math.floor(nowMs / 1000);
  if (second !== dateAtSecond) [dateAtSecond, date] = [second, new Date(nowMs).toUTCString()];
  return date;
}
