/** What the audit trail is told of sessions at frontends. */
import type { AuditEvent } from "../../audit/audit.ts";
import type { GateSession } from "./gate-session.ts";

/** Why a session ended before its time, and by whom. */
export type EndReason = "manager" | "holder" | "provider_logout" | "renewal_refused";

/** The record of a session's end. @param orgId absent where its frontdoor is gone */
export function toEndEvent(
  { id, frontdoorId, frontendId, providerId, subject }: GateSession,
  orgId: string | undefined,
  because: EndReason,
): AuditEvent {
  return {
    action: "gate_session.end",
    target: id,
    ...(orgId !== undefined && { orgId }),
    details: { frontdoor: frontdoorId, frontend: frontendId, provider: providerId, subject, because },
  };
}
