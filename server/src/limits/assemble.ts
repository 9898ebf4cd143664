import { byLabel, counter } from "../assembly/figure.ts";
import type { Room } from "../assembly/room.ts";
import type { AuditTrail } from "../audit/audit.ts";
import type { LimitsConfig } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import { createExpirySweep } from "../db/sweep.ts";
import type { Clock } from "../lib/clock.ts";
import { Tally } from "../lib/counts.ts";
import type { Log } from "../lib/log.ts";
import { type CredentialGuard, createCredentialGuard, type FailureLimit } from "./credential-guard.ts";
import { type FlowLimit, FlowLimits } from "./flow-limits.ts";
import { deleteForgottenClients } from "./known-client-store.ts";
import { KnownClients } from "./known-clients.ts";
import { deleteStaleMailboxCounts, type MailboxLimit, MailboxLimits } from "./mailbox-limits.ts";
import { SharedCounts } from "./shared-counts.ts";

/** Parts that the limits are built from. */
export interface LimitsParts {
  readonly database: Database;
  readonly audit: Pick<AuditTrail, "refuse">;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: LimitsConfig;
}

/** The limits, for the rooms that ask them. */
export interface LimitsRoom extends Room {
  readonly guard: CredentialGuard;
  readonly flowLimits: FlowLimits;
  readonly mailboxLimits: MailboxLimits;
}

/** Puts the limits together, and learns what other processes have counted. */
export async function assembleLimits(parts: LimitsParts): Promise<LimitsRoom> {
  const { database, audit, clock, log, limits } = parts;
  const usedUp = new Tally<FailureLimit | FlowLimit | MailboxLimit>([
    "client_failures",
    "address_failures",
    "address_flows",
    "mailbox_wrong_codes",
    "mailbox_mails",
    "address_mails",
  ]);
  const onLimit = (limit: FailureLimit | FlowLimit | MailboxLimit) => usedUp.add(limit);
  const rates = new SharedCounts({ database, clock, log, windowMs: 60_000 });
  const goodClients = new KnownClients({ database, clock, log });
  await rates.start();
  return {
    guard: createCredentialGuard({
      counts: rates,
      goodClients,
      audit,
      perClient: limits.failedCredentialsPerClientPerMinute,
      perAddress: limits.failedCredentialsPerAddressPerMinute,
      onLimit,
    }),
    flowLimits: new FlowLimits({
      counts: rates,
      clock,
      perIpv4Address: limits.begunFlowsPerIpv4AddressPerMinute,
      perIpv6Block: limits.begunFlowsPerIpv6BlockPerMinute,
      onLimit,
    }),
    mailboxLimits: new MailboxLimits({
      database,
      clock,
      wrongCodesPerMailbox: limits.wrongCodesPerMailboxPerHour,
      mailsPerMailbox: limits.mailsPerMailboxPerHour,
      mailsPerAddress: limits.mailsPerAddressPerHour,
      onLimit,
    }),
    figures: [
      counter(
        "limit_refusals_total",
        "What was refused because a limit was used up, by the limit; silent refusals count as well.",
        () => byLabel("limit", usedUp.read()),
      ),
    ],
    sweeps: [
      {
        kind: "limit_counts",
        run: createExpirySweep(database, clock, deleteStaleMailboxCounts, deleteForgottenClients),
      },
    ],
    closing: [
      { name: "counts of limits", moment: "writes", ms: 2_000, run: () => rates.close() },
      { name: "clients known to be good", moment: "writes", ms: 2_000, run: () => goodClients.flush() },
    ],
  };
}
