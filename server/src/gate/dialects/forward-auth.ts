import { findForwarded } from "../asks/request-line.ts";
import type { AnswerVisitor } from "./denial.ts";
import type { Dialect } from "./dialect.ts";
import { toReplacingAnswer } from "./upstream.ts";

/**
 * Traefik's ForwardAuth, Caddy's `forward_auth`, and HAProxy with our Lua file:
 * 200 lets through, anything else goes to the visitor as it is.
 */
export function createForwardAuth(answerVisitor: AnswerVisitor): Dialect {
  return {
    path: "/forward-auth",
    findLine: ({ lines }) => findForwarded(lines),
    allow: toReplacingAnswer,
    deny: answerVisitor,
  };
}
