/** What the audit trail is told of sessions at frontends. */
import type { AuditEvent } from "../../audit/audit.ts";
import type { GateSession } from "./gate-session.ts";

/** Why a session ended before its time, and by whom. */
export type EndReason = "manager" | "holder" | "provider_logout" | "renewal_refused";

/** The record of a session's beginning. */
export function toCreateEvent(session: GateSession, orgId: string): AuditEvent {
  return { action: "gate_session.create", target: session.id, orgId, details: toDetails(session) };
}

function toDetails({ frontdoorId, frontendId, providerId, subject }: GateSession) {
  return { frontdoor: frontdoorId, frontend: frontendId, provider: providerId, subject };
}

/** The record of a session's end. @param orgId absent where its frontdoor is gone */
export function toEndEvent(session: GateSession, orgId: string | undefined, because: EndReason): AuditEvent {
  return {
    action: "gate_session.end",
    target: session.id,
    ...(orgId !== undefined && { orgId }),
    details: { ...toDetails(session), because },
  };
}
