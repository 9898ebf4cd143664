/**
 * The gate: a reverse proxy asks whether a request may come in, and as whom.
 *
 * `asks/` reads what a proxy asks, `directory/` finds the frontend it is about,
 * `decisions/` decides by its providers and its policy. The room reads what
 * `frontdoor/` keeps, and judges no credential by a rule of its own.
 */
import type { Room } from "../assembly/room.ts";
import type { Database } from "../db/database.ts";
import { assembleDecisions, type DecisionParts } from "./decisions/assemble.ts";
import { assembleDirectory } from "./directory/assemble.ts";
import type { DirectoryOptions } from "./directory/directory.ts";

/** What the gate stands on. */
export interface GateParts
  extends Omit<DecisionParts, "directory" | "makeIdentityHeaders">,
    Pick<DirectoryOptions, "types"> {
  readonly database: Database;
}

/** Puts the gate together. */
export function assembleGate(parts: GateParts): Room {
  const directory = assembleDirectory({ ...parts, reader: parts.database.reader });
  const decisions = assembleDecisions({
    ...parts,
    directory: directory.directory,
    makeIdentityHeaders: async () => ({ lines: [], renewAtMs: Number.POSITIVE_INFINITY }),
  });
  return { rooms: [directory, decisions] };
}
