/** What is said where there is no decision. */
import type { NodeRequest, NodeResponse } from "../../http/node-http.ts";
import type { ErrorKind } from "../../lib/errors.ts";
import type { RequestInfo } from "../../lib/request.ts";
import { type GateAnswer, noStore, sendAnswer } from "./answer.ts";

/** @see the head of this file */
interface Problem {
  readonly code: ErrorKind;
  readonly answer: GateAnswer;
}

function toProblem(status: number, code: ErrorKind, message: string, ...more: readonly string[]): Problem {
  const head = [...noStore, "Content-Type", "application/json", "X-Content-Type-Options", "nosniff", ...more];
  return { code, answer: { status, head, body: JSON.stringify({ code, message }) } };
}

/** Every one. */
export const problems = {
  unproven: toProblem(403, "permission_denied", "not authorized"),
  /** As of an ask: headers of the gate's own, or an upgrade. */
  refused: toProblem(403, "permission_denied", "not allowed here"),
  getOnly: toProblem(405, "unimplemented", "method not allowed", "Allow", "GET, HEAD"),
  getOrPost: toProblem(405, "unimplemented", "method not allowed", "Allow", "GET, HEAD, POST"),
  missing: toProblem(404, "not_found", "not found"),
  unavailable: toProblem(503, "unavailable", "temporarily unavailable, try again", "Retry-After", "1"),
} as const;

/** Says one, and notes it. */
export function sendProblem(
  request: NodeRequest,
  response: NodeResponse,
  { requestId, outcome }: RequestInfo,
  { code, answer }: Problem,
): void {
  outcome.code = code;
  sendAnswer(request, response, answer, requestId);
}
