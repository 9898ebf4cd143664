/** Where people sign in at a frontend: its own page, which brings them back to what they came for. */
import { toPath } from "../../http/redirect.ts";
import type { GateAsk } from "../asks/ask.ts";
import type { GateFrontend } from "../directory/frontend.ts";
import type { GateReason } from "./reasons.ts";

/** Below it are the pages of a frontend that the gate shows itself. */
export const ownPath = "/.vestibule/";

/** Longest path and query that are kept while somebody signs in, in characters. */
const longestPath = 4_096;

/** Visible ASCII, as of asks. */
const pathPattern = /^\/[\x21\x22\x24-\x5b\x5d-\x7e]*$/;

/** Denials that signing in may mend. A bad credential is none: whoever sent it has to hear of it. */
const mended: ReadonlySet<GateReason> = new Set<GateReason>([
  "NO_CREDENTIAL",
  "SESSION_ENDED",
  "SESSION_UNFIT",
  "SESSION_DUE",
]);

/** Origin of a frontend at one of its hosts, as browsers have it. */
export function toOrigin({ scheme }: Pick<GateFrontend, "scheme">, host: string): string {
  return `${scheme}://${host}`;
}

/**
 * The path at a frontend that somebody is to be sent to in the end; `/` for what
 * is none, too long, or a page of the gate's own. Only ever put behind an origin:
 * `//x` is a path like any other.
 */
export function readReturnPath(asked: string): string {
  const isPath = asked.length <= longestPath && pathPattern.test(asked) && !asked.startsWith(ownPath);
  return isPath ? asked : "/";
}

/** Where signing in begins. @param path as {@link readReturnPath} has it */
export function toStartUrl(origin: string, path: string): string {
  return origin + toPath(`${ownPath}start`, { rt: readReturnPath(path) });
}

/** Where somebody signs in who is denied for a reason; undefined where that is no use, or people cannot. */
export function findLogin(
  reason: GateReason,
  frontend: Pick<GateFrontend, "scheme" | "logins">,
  { host, path, target }: Pick<GateAsk, "host" | "path" | "target">,
): string | undefined {
  // A proxy that asks about the gate's own pages must not send people round in circles.
  const isUseful = mended.has(reason) && frontend.logins.length > 0 && !path.startsWith(ownPath);
  return isUseful ? toStartUrl(toOrigin(frontend, host), target) : undefined;
}
