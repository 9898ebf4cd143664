import type { NodeResponse } from "../http/node-http.ts";

/** A year, for this host alone: what is below it in the name may not be ours. */
const policy = "max-age=31536000";

/**
 * Answers to a proxy's questions: what they carry may be sent on to visitors
 * of other hosts, for which this service does not speak.
 */
const gatePath = /^\/frontdoor\/[^/]+\/gate\//;

/** Puts `Strict-Transport-Security` (RFC 6797 §6.1) on an answer, save on those of the gate. */
export function setStrictTransport(response: NodeResponse, rawPath: string): void {
  if (!gatePath.test(rawPath)) response.setHeader("strict-transport-security", policy);
}
