import type { Room } from "../../assembly/room.ts";
import { InvalidatedCache } from "../../changes/cache.ts";
import { listCacheMetrics } from "../../changes/cache-metrics.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database } from "../../db/database.ts";
import { createExpirySweep } from "../../db/sweep.ts";
import { createLastUses, touchLastUses } from "../../db/write-behind.ts";
import type { Log } from "../../lib/log.ts";
import type { GateSession } from "./gate-session.ts";
import { createJudgeSession, type JudgeSession } from "./judge.ts";
import { GateSessionService, type GateSessionServiceOptions } from "./service.ts";
import { deleteExpiredGateSessions, findGateSessionByHash } from "./store.ts";

/** How many sessions are kept in memory. */
const cachedSessions = 50_000;

/** What sessions at frontends stand on. */
export interface GateSessionParts extends GateSessionServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "isConfirmed" | "subscribe">;
  readonly log: Log;
}

/** What whoever lets people in needs of their sessions. */
export interface GateSessionsRoom extends Room {
  readonly gateSessions: GateSessionService;
  readonly judgeSession: JudgeSession;
}

/** Puts the sessions of people at frontends together. */
export function assembleGateSessions(parts: GateSessionParts): GateSessionsRoom {
  const { database, feed, clock } = parts;
  const cache = new InvalidatedCache<GateSession>({
    feed,
    topics: ["gate-session"],
    maxEntries: cachedSessions,
    subjectsOf: ({ id }) => [id],
  });
  const uses = createLastUses(parts, "sessions at frontends", touchLastUses("gate_sessions"));
  return {
    gateSessions: new GateSessionService(parts),
    judgeSession: createJudgeSession({
      cache,
      findByHash: (secretHash) => findGateSessionByHash(database.reader, secretHash),
      uses,
      clock,
    }),
    metrics: listCacheMetrics({ gate_sessions: cache }),
    sweeps: [{ kind: "gate_sessions", run: createExpirySweep(database, clock, deleteExpiredGateSessions) }],
    closing: [
      { name: "last uses of sessions at frontends", moment: "writes", ms: 2_000, run: () => uses.flush() },
    ],
  };
}
