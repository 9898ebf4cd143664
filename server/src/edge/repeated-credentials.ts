import type { NodeRequest } from "../http/node-http.ts";

const name = "authorization";

/**
 * Puts all `Authorization` headers of a request into one, with commas between.
 *
 * Node keeps the first of several and drops the rest unseen, on both HTTP
 * versions. A proxy in front may have judged another one, and a bad credential
 * would go unnoticed beside a good one. Joined they are no credential of any
 * kind, and refused as such.
 */
export function joinRepeatedCredentials(request: NodeRequest): void {
  const { headers, rawHeaders } = request;
  if (headers[name] === undefined) return;
  const values: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const each = rawHeaders[at];
    if (each?.length === name.length && each.toLowerCase() === name) values.push(rawHeaders[at + 1] ?? "");
  }
  if (values.length > 1) headers[name] = values.join(", ");
}
