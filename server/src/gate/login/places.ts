/** Where people sign in: paths at this service and at frontends, and which frontend somebody is at. */
import { toPath } from "../../http/redirect.ts";
import { ownPath, toOrigin } from "../decisions/start-url.ts";
import type { Directory } from "../directory/directory.ts";
import type { GateFrontend } from "../directory/frontend.ts";

/** Paths at the public URL. */
export const gatePaths = {
  login: "/gate/login",
  /** Where the answers go to what the login asks. */
  answer: "/gate/login/as",
} as const;

/** A frontend at one of its hosts. */
export interface Place {
  readonly frontend: GateFrontend;
  readonly host: string;
  /** As browsers have it. */
  readonly origin: string;
}

/** Finds the frontend of a host that is open to visitors; undefined where there is none. */
export async function findPlace(
  directory: Pick<Directory, "find">,
  { frontdoorId, host }: { readonly frontdoorId: string; readonly host: string },
): Promise<Place | undefined> {
  const { frontend } = await directory.find(frontdoorId, host);
  if (frontend === undefined || !frontend.isOpen) return undefined;
  return { frontend, host, origin: toOrigin(frontend, host) };
}

/** Where somebody comes back to with a code. @param path as `readReturnPath` has it */
export function toFinishUrl(origin: string, path: string, code: string): string {
  return origin + toPath(`${ownPath}finish`, { code, rt: path });
}

/** What is said of a visit in the login's own links. */
interface LoginQuery {
  /** Id of the provider that was chosen. */
  readonly with?: string;
  /** `here`: the provider is to show what it has to. `again`: it asks who it is, though it knows. */
  readonly ask?: "here" | "again";
  /** `1`: an answer came in another browser than its trip began in. */
  readonly second?: "1";
  /** `1`: somebody comes back from signing in here, which may have ended with a form. */
  readonly signed_in?: "1";
}

/** Where a visit goes on, relative to the public URL. */
export function toLoginPath(state: string, query: LoginQuery = {}): string {
  return toPath(gatePaths.login, { state, ...query });
}
