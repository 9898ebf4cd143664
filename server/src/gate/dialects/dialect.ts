/**
 * A dialect: how one kind of proxy asks, and what it makes of an answer. All of
 * them ask the same gate; none decides anything.
 */
import type { GateAsk } from "../asks/ask.ts";
import type { RequestLine } from "../asks/read-ask.ts";
import type { GateAllowed, GateDenied } from "../decisions/decision.ts";
import type { GateAnswer } from "./answer.ts";

/** A proxy's own request, of which nothing is believed yet. */
export interface ProxyRequest {
  readonly method: string;
  /** What follows the dialect's route in the target, as sent. */
  readonly rest: string;
  /** Header names as sent and values by turns, a line each. */
  readonly lines: readonly string[];
}

/** @see the head of this file */
export interface Dialect {
  /** What its route ends in, after `/gate`. */
  readonly path: string;
  /** Whether the visitor's target follows the route. */
  readonly takesRest?: true;
  /** The line of the visitor's request; undefined where the proxy does not say it exactly once. */
  findLine(request: ProxyRequest): RequestLine | undefined;
  /** Never another status than 200. */
  allow(allowed: GateAllowed, ask: GateAsk): GateAnswer;
  /** Never a status of success, and never anybody's identity. */
  deny(denied: GateDenied, ask: GateAsk | undefined, requestId: string): GateAnswer;
}
