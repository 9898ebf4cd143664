import type { NodeResponse } from "../http/node-http.ts";

/** A year, for this host alone: what is below it in the name may not be ours. */
const policy = "max-age=31536000";

/** Puts `Strict-Transport-Security` (RFC 6797 §6.1) on an answer. */
export function setStrictTransport(response: NodeResponse): void {
  response.setHeader("strict-transport-security", policy);
}
