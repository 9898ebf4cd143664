/** What an answer says of the request that the upstream is to get. */
import type { GateAsk } from "../asks/ask.ts";
import { findJoinedLines } from "../asks/visitor-headers.ts";
import type { GateAllowed, HeaderLine } from "../decisions/decision.ts";
import { type AnswerHead, noStore } from "./answer.ts";

/** What carries credentials beside cookies, and is taken from every answer by the proxy files as they are shipped. */
const replacedHeaders: ReadonlyMap<string, string> = new Map([
  ["authorization", "Authorization"],
  ["x-api-key", "X-API-Key"],
]);

/** Names and values of identity lines, by the lines: they are made once for many answers. */
const flatLines = new WeakMap<readonly HeaderLine[], readonly string[]>();

/** What every answer begins with that lets a request through. */
export function toIdentityHead({ identity }: GateAllowed): AnswerHead {
  let flat = flatLines.get(identity);
  if (flat === undefined) {
    flat = [...noStore, ...identity.flat()];
    flatLines.set(identity, flat);
  }
  return flat.slice();
}

/**
 * The head for a proxy that puts headers of the answer in place of the
 * visitor's. It names them in its configuration, and what an answer lacks is
 * lost to the app, or replaced by nonsense (Caddy 2.6): so every answer has all
 * of them, empty where the app is to see nothing.
 */
export function toReplacingHead(allowed: GateAllowed, { headers }: Pick<GateAsk, "headers">): AnswerHead {
  const { consumed, keyHeaders, cookie = findJoinedLines(headers, "cookie", "; ") ?? "" } = allowed;
  const head = toIdentityHead(allowed);
  const tell = (name: string, usual: string) =>
    head.push(usual, name === consumed ? "" : (findJoinedLines(headers, name) ?? ""));
  head.push("Cookie", cookie);
  for (const [name, usual] of replacedHeaders) tell(name, usual);
  for (const name of keyHeaders) {
    // What is told of who comes is never the visitor's, whatever header keys come in.
    const isToldOf =
      replacedHeaders.has(name) || allowed.identity.some(([own]) => own.toLowerCase() === name);
    if (!isToldOf) tell(name, name);
  }
  return head;
}
