import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type GateSession as GateSessionMessage,
  GateSessionSchema,
} from "@vestibule/proto/vestibule/v1/gate_service_pb";
import type { Principal } from "../../principals/principal.ts";
import { toMetaMessage } from "../../sessions/messages.ts";
import type { GateSession } from "./gate-session.ts";

/** A session as `caller` is shown it. */
export function toGateSessionMessage(session: GateSession, caller: Principal): GateSessionMessage {
  const { identity } = session;
  return create(GateSessionSchema, {
    id: session.id,
    customFrontendId: session.frontendId,
    host: session.host,
    authProviderId: session.providerId,
    subject: session.subject,
    email: identity?.emailVerified === true ? (identity.email ?? "") : "",
    device: toMetaMessage(session.device),
    isCurrentSession: caller.type === "user" && session.parentId === caller.sessionId,
    createdAt: timestampFromDate(session.createdAt),
    lastUsedAt: timestampFromDate(session.lastUsedAt),
    expiresAt: timestampFromDate(session.expiresAt),
  });
}
