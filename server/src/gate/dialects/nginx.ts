/**
 * nginx's `auth_request`, in two parts.
 *
 * The first asks, and must be answered 200, 401 or 403: everything else is an
 * error to nginx, 429 and 503 of ours too, which it makes 500. Of the answer it
 * keeps the headers that it is told to, and the first line of each. The second
 * is where its `error_page` leads: it asks the same again, and its answer is the
 * visitor's.
 */
import { findOriginal } from "../asks/request-line.ts";
import { type AnswerVisitor, toDenial, toDenialHead } from "./denial.ts";
import type { Dialect } from "./dialect.ts";
import { toReplacingAnswer } from "./upstream.ts";

/** What `auth_request` asks. */
export const nginx: Dialect = {
  path: "/nginx",
  findLine: ({ lines }) => findOriginal(lines),
  allow: toReplacingAnswer,
  deny: (denied, ask) => ({
    status: toDenial(denied.reason).status,
    head: toDenialHead(denied, ask, "one"),
    body: "",
  }),
};

/**
 * Where a visitor is sent who was refused. One who would be let in by now has
 * to come again: what is answered here is never the app's.
 */
export function createNginxRefusal(answerVisitor: AnswerVisitor): Dialect {
  return {
    path: "/nginx/refusal",
    findLine: nginx.findLine,
    allow: (_, ask) => answerVisitor({ isAllowed: false, reason: "UNAVAILABLE" }, ask, ask.requestId),
    deny: answerVisitor,
  };
}
