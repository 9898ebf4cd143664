import { findRepeated } from "../asks/request-line.ts";
import { proxyTokenHeader } from "../asks/visitor-headers.ts";
import type { GateAllowed } from "../decisions/decision.ts";
import type { AnswerHead } from "./answer.ts";
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
    allow: (allowed) => ({ status: 200, head: toHead(allowed), body: "" }),
    deny: answerVisitor,
  };
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
