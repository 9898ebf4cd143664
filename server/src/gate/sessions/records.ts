/** What the audit trail is told of sessions at frontends. */
import type { AuditEvent } from "../../audit/audit.ts";
import type { GateSession } from "./gate-session.ts";

/** Why a session ended before its time. */
export type EndReason = "renewal_refused";

/** The record of a session's end. */
export function toEndEvent(
  { id, frontdoorId, frontendId, providerId, subject }: GateSession,
  orgId: string,
  because: EndReason,
): AuditEvent {
  return {
    action: "gate_session.end",
    target: id,
    orgId,
    details: { frontdoor: frontdoorId, frontend: frontendId, provider: providerId, subject, because },
  };
}
