import { findRepeated } from "../asks/request-line.ts";
import { proxyTokenHeader } from "../asks/visitor-headers.ts";
import type { GateAllowed } from "../decisions/decision.ts";
import type { AnswerHead, GateAnswer } from "./answer.ts";
import type { AnswerVisitor } from "./denial.ts";
import type { Dialect } from "./dialect.ts";
import { toIdentityHead } from "./upstream.ts";

/**
 * Envoy's external authorization by HTTP: the ask repeats the visitor's method
 * and host, and their target behind the route. 200 lets through, anything else
 * goes to the visitor.
 *
 * What the answer carries overwrites the visitor's header, and what it names in
 * `x-envoy-auth-headers-to-remove` is taken away after that.
 */
export function createEnvoyHttp(answerVisitor: AnswerVisitor): Dialect {
  return {
    path: "/envoy",
    takesRest: true,
    findLine: ({ method, rest, lines }) => findRepeated(method, rest, lines),
    allow: toAnswer,
    deny: answerVisitor,
  };
}

/** The answer follows from the decision alone, and is kept as long as that is. */
const kept = new WeakMap<GateAllowed, GateAnswer>();

function toAnswer(allowed: GateAllowed): GateAnswer {
  const answer = kept.get(allowed);
  if (answer !== undefined) return answer;
  const made = { status: 200, head: toHead(allowed), body: "" } as const;
  // What is taken from a visitor's cookies is decided for each of their requests.
  if (allowed.cookie !== undefined) return made;
  const shared: GateAnswer = { ...made, isKept: true };
  kept.set(allowed, shared);
  return shared;
}

function toHead(allowed: GateAllowed): AnswerHead {
  const { identity, consumed, cookie } = allowed;
  const head = toIdentityHead(allowed);
  const removed = [proxyTokenHeader];
  for (const [name, value] of identity) if (value === "") removed.push(name.toLowerCase());
  if (consumed !== undefined && consumed !== "cookie") removed.push(consumed);
  if (cookie === "") removed.push("cookie");
  else if (cookie !== undefined) head.push("Cookie", cookie);
  head.push("x-envoy-auth-headers-to-remove", removed.join(","));
  return head;
}
