/** What an answer says of the request that the upstream is to get. */
import type { GateAsk } from "../asks/ask.ts";
import { findJoinedLines } from "../asks/visitor-headers.ts";
import type { GateAllowed, HeaderLine } from "../decisions/decision.ts";
import { type AnswerHead, type GateAnswer, noStore, type SharedHead, shareHead } from "./answer.ts";

/** What carries credentials beside cookies, and is taken from every answer by the proxy files as they are shipped. */
const replacedHeaders: ReadonlyMap<string, string> = new Map([
  ["authorization", "Authorization"],
  ["x-api-key", "X-API-Key"],
]);

/** What is the same in every answer about one visitor. */
interface Prepared extends Pick<GateAllowed, "keyHeaders"> {
  /** What each begins with. */
  readonly begin: SharedHead;
  /** Headers that are told as the visitor sent them, or as empty: name in lower case, and as it is written. */
  readonly told: readonly HeaderLine[];
}

/** By the lines of an identity, which are made once for many answers, at more than one state of a frontend perhaps. */
const preparedHeads = new WeakMap<readonly HeaderLine[], Prepared>();

function prepare({ identity, keyHeaders }: GateAllowed): Prepared {
  const known = preparedHeads.get(identity);
  if (known?.keyHeaders === keyHeaders) return known;
  // What is told of who comes is never the visitor's, whatever header keys come in.
  const own = new Set(identity.map(([name]) => name.toLowerCase()));
  const others = keyHeaders.filter((name) => !replacedHeaders.has(name) && !own.has(name));
  const made: Prepared = {
    keyHeaders,
    begin: shareHead([...noStore, ...identity.flat()]),
    told: [...replacedHeaders, ...others.map((name) => [name, name] as const)],
  };
  preparedHeads.set(identity, made);
  return made;
}

/** What every answer begins with that lets a request through. */
export function toIdentityHead(allowed: GateAllowed): AnswerHead {
  return prepare(allowed).begin.lines.slice();
}

/**
 * The answer for a proxy that puts headers of it in place of the visitor's.
 * The proxy names them in its configuration, and what an answer lacks is
 * lost to the app, or replaced by nonsense (Caddy 2.6): so every answer has all
 * of them, empty where the app is to see nothing.
 */
export function toReplacingAnswer(allowed: GateAllowed, { headers }: Pick<GateAsk, "headers">): GateAnswer {
  const { consumed, cookie = findJoinedLines(headers, "cookie", "; ") ?? "" } = allowed;
  const { begin, told } = prepare(allowed);
  const head = ["Cookie", cookie];
  for (const [name, usual] of told) {
    head.push(usual, name === consumed ? "" : (findJoinedLines(headers, name) ?? ""));
  }
  return { status: 200, begin, head, body: "" };
}
