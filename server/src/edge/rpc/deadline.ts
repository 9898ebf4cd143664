import { parseTimeout as parseConnectTimeout } from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpcTimeout } from "@connectrpc/connect/protocol-grpc";
import type { NodeRequest } from "../../http/node-http.ts";

/** The longest delay of Node's timers, in milliseconds: about 24 days. They take a longer one for none at all. */
export const longestDelayMs: number = 2 ** 31 - 1;

/** How each protocol reads its deadline, and how it writes the longest there is. */
const deadlines = [
  { name: "connect-timeout-ms", parse: parseConnectTimeout, longest: `${longestDelayMs}` },
  { name: "grpc-timeout", parse: parseGrpcTimeout, longest: `${Math.floor(longestDelayMs / 1000)}S` },
] as const;

/**
 * Shortens a caller's deadline to what a timer can hold, for all who read it
 * later: both protocols allow more (ten digits of milliseconds, and eight of
 * hours), which would be over at once. One that cannot be read stays as it is.
 */
export function boundDeadline({ headers }: NodeRequest): void {
  for (const { name, parse, longest } of deadlines) {
    const sent = headers[name];
    if (typeof sent !== "string") continue;
    const { timeoutMs } = parse(sent, longestDelayMs);
    if (timeoutMs !== undefined && timeoutMs > longestDelayMs) headers[name] = longest;
  }
}
