import { AuditService as AuditServiceSchema } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { counter, gauge } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { Database } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { type AuditHandlerOptions, createAuditHandler } from "./handler.ts";
import { AuditRetention } from "./retention.ts";
import { AuditService, type AuditServiceOptions } from "./service.ts";
import type { DatabaseAuditTrail } from "./trail.ts";

/** Parts that reading and keeping the audit trail are built from. */
export interface AuditParts
  extends Pick<AuditServiceOptions, "access" | "findTenant" | "onDoubt" | "mailboxes">,
    Pick<AuditHandlerOptions, "authenticate" | "stopping"> {
  readonly database: Database;
  /** Made with the storage: rooms record before this one is put together. */
  readonly audit: DatabaseAuditTrail;
  readonly clock: Clock;
  readonly log: Log;
  readonly retentionSeconds: number;
}

/** Puts together how the trail is read, shown and shortened. */
export function assembleAudit(parts: AuditParts): Room {
  const { database, audit, clock, log, retentionSeconds, authenticate, stopping } = parts;
  const retention = new AuditRetention({ database, clock, log, retentionSeconds });
  const service = new AuditService({
    reader: database.reader,
    access: parts.access,
    findTenant: parts.findTenant,
    mailboxes: parts.mailboxes,
    clock,
    retentionSeconds,
    onCommitted: (listener) => audit.onCommitted(listener),
    onDoubt: parts.onDoubt,
  });
  return {
    services: [registerService(AuditServiceSchema, createAuditHandler({ service, authenticate, stopping }))],
    metrics: [
      gauge("audit_records_waiting", "Audit records that wait to be written.", () => audit.waitingCount),
      counter(
        "audit_records_lost_total",
        "Audit records that could not be kept. More than 0 is worth an alarm.",
        () => audit.lostCount,
      ),
    ],
    start: () => retention.start(),
    closing: [
      { name: "audit retention", moment: "writes", ms: 2_000, run: () => retention.close() },
      { name: "audit records", moment: "records", ms: 3_000, run: () => audit.close() },
    ],
  };
}
