import type { AuditTrail } from "../audit/audit.ts";
import type { RemoveExpired } from "../db/sweep.ts";
import { deleteLongExpired } from "../organizations/invitation-store.ts";

/** Removes invitations that nobody has answered, a week after they expired, and records each. */
export function createRemoveExpired(audit: Pick<AuditTrail, "recordOwn">): RemoveExpired {
  return async (tx, now, limit) => {
    const removed = await deleteLongExpired(tx, now, limit);
    for (const { id, orgId, email } of removed) {
      await audit.recordOwn(tx, "server", {
        action: "invitation.expire",
        target: id,
        orgId,
        mailbox: email,
        details: { email },
      });
    }
    return removed.length;
  };
}
