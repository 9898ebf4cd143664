/**
 * The gate: a reverse proxy asks whether a request may come in, and as whom.
 *
 * `asks/` reads what a proxy asks, `directory/` finds the frontend it is about,
 * `login/` lets people sign in there, `sessions/` keeps who has, `decisions/` decides by its providers
 * and its policy, `identity/` says who
 * comes in, and `dialects/` hears and answers each kind of proxy. The room reads
 * what `frontdoor/` keeps, and judges no credential by a rule of its own.
 */
import type { Room } from "../assembly/room.ts";
import { assembleDecisions, type DecisionParts } from "./decisions/assemble.ts";
import { assembleDialects, type DialectParts } from "./dialects/assemble.ts";
import { assembleDirectory } from "./directory/assemble.ts";
import {
  createMakeIdentityHeaders,
  type IdentityHeadersOptions,
  rememberIdentityHeaders,
} from "./identity/identity-headers.ts";
import { assembleLogin, type LoginParts } from "./login/assemble.ts";
import { createGateFlows, endCodes } from "./login/gate-flows.ts";
import { assembleGateSessions, type GateSessionParts, type GateSessionsRoom } from "./sessions/assemble.ts";

/** What the gate stands on. */
export type GateParts = Omit<
  DecisionParts,
  "directory" | "judgeSession" | "explainSession" | "makeIdentityHeaders" | "makeUnsignedHeaders"
> &
  Omit<GateSessionParts, "endWaysIn"> &
  Omit<DialectParts, "decide" | "noteDenied" | "pages"> &
  Omit<IdentityHeadersOptions, "issuer"> &
  Omit<LoginParts, "directory" | "flows" | "sessions" | "judgeSession"> &
  Parameters<typeof createGateFlows>[0];

/** What others show of the gate. */
export interface GateRoom extends Room, Pick<GateSessionsRoom, "gateSessions"> {}

/** Puts the gate together. */
export function assembleGate(parts: GateParts): GateRoom {
  const directory = assembleDirectory({ ...parts, reader: parts.database.reader });
  const flows = createGateFlows(parts);
  const sessions = assembleGateSessions({
    ...parts,
    endWaysIn: (tx, isMeant) => endCodes(flows, tx, isMeant),
  });
  const decisions = assembleDecisions({
    ...parts,
    directory: directory.directory,
    judgeSession: sessions.judgeSession,
    explainSession: sessions.explainSession,
    makeIdentityHeaders: rememberIdentityHeaders(
      createMakeIdentityHeaders({ ...parts, issuer: parts.publicUrl }),
      parts,
    ),
    makeUnsignedHeaders: createMakeIdentityHeaders({
      ...parts,
      issuer: parts.publicUrl,
      sign: async () => "",
    }),
  });
  const login = assembleLogin({
    ...parts,
    directory: directory.directory,
    flows,
    sessions: sessions.gateSessions,
    judgeSession: sessions.judgeSession,
  });
  const dialects = assembleDialects({
    ...parts,
    pages: login.pages,
    decide: decisions.decide,
    noteDenied: (asker, denied) => decisions.recorder.note(asker, undefined, denied),
  });
  return { gateSessions: sessions.gateSessions, rooms: [directory, sessions, decisions, login, dialects] };
}
