/** Headers that bind a write to the state its author has read (RFC 9110 §13.1). */

import { DomainError } from "../lib/errors.ts";
import { isMatch, isNoneMatch } from "./entity-tag.ts";

/** The conditions of a write, as sent. */
export interface WriteCondition {
  /** `If-Match`. */
  readonly ifMatch?: string;
  /** `If-None-Match`: `*` for a write that must not find anything. */
  readonly ifNoneMatch?: string;
}

/** The conditions that a request carries. */
export function readCondition(header: Headers): WriteCondition {
  const [ifMatch, ifNoneMatch] = [header.get("if-match"), header.get("if-none-match")];
  return { ...(ifMatch !== null && { ifMatch }), ...(ifNoneMatch !== null && { ifNoneMatch }) };
}

/**
 * Holds what a write has found against its conditions.
 *
 * @throws DomainError PRECONDITION_FAILED
 */
export function checkCondition(tag: string, { ifMatch, ifNoneMatch }: WriteCondition): void {
  if (ifMatch !== undefined && !isMatch(ifMatch, tag)) throw new DomainError("PRECONDITION_FAILED");
  if (isNoneMatch(ifNoneMatch, tag)) throw new DomainError("PRECONDITION_FAILED");
}
