import { GateService } from "@vestibule/proto/vestibule/v1/gate_service_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import { InvalidatedCache } from "../../changes/cache.ts";
import { listCacheMetrics } from "../../changes/cache-metrics.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import { createLastUses, touchLastUses } from "../../db/write-behind.ts";
import { type BackchannelOptions, createBackchannelRoute } from "./backchannel.ts";
import type { GateSession } from "./gate-session.ts";
import { createGateSessionMethods } from "./handler.ts";
import { createJudgeSession, type JudgeSession } from "./judge.ts";
import { type RenewalOptions, Renewals } from "./renewals.ts";
import { GateSessionService, type GateSessionServiceOptions } from "./service.ts";
import { findGateSessionByHash } from "./store.ts";
import { createGateSessionSweep } from "./sweep.ts";

/** How many sessions are kept in memory. */
const cachedSessions = 50_000;

/** What sessions at frontends stand on. */
export interface GateSessionParts
  extends GateSessionServiceOptions,
    RenewalOptions,
    Pick<BackchannelOptions, "types"> {
  readonly feed: Pick<ChangeFeed, "append" | "isConfirmed" | "subscribe">;
}

/** What whoever lets people in needs of their sessions. */
export interface GateSessionsRoom extends Room {
  readonly gateSessions: GateSessionService;
  readonly judgeSession: JudgeSession;
  /** As that, without any consequence: asks no provider, and notes no use. */
  readonly explainSession: JudgeSession;
}

/** Puts the sessions of people at frontends together. */
export function assembleGateSessions(parts: GateSessionParts): GateSessionsRoom {
  const { database, feed, clock } = parts;
  const cache = new InvalidatedCache<GateSession>({
    feed,
    topics: ["gate-session", "session"],
    maxEntries: cachedSessions,
    subjectsOf: ({ id, parentId }) => (parentId === undefined ? [id] : [id, parentId]),
  });
  const uses = createLastUses(parts, "sessions at frontends", touchLastUses("gate_sessions"));
  const judging = {
    cache,
    findByHash: (secretHash: string) => findGateSessionByHash(database.reader, secretHash),
    uses,
    clock,
  };
  const gateSessions = new GateSessionService(parts);
  return {
    gateSessions,
    judgeSession: createJudgeSession({ ...judging, renew: new Renewals(parts).renew }),
    explainSession: createJudgeSession(judging),
    services: [registerService(GateService, createGateSessionMethods(gateSessions))],
    routes: [createBackchannelRoute({ ...parts, sessions: gateSessions })],
    metrics: listCacheMetrics({ gate_sessions: cache }),
    sweeps: [{ kind: "gate_sessions", run: createGateSessionSweep(database, clock) }],
    closing: [
      { name: "last uses of sessions at frontends", moment: "writes", ms: 2_000, run: () => uses.flush() },
    ],
  };
}
