import { byLabel, counter } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import type { AuditTrail } from "../audit/audit.ts";
import type { LimitsConfig } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import { createExpirySweep } from "../db/sweep.ts";
import type { Clock } from "../lib/clock.ts";
import { Tally } from "../lib/counts.ts";
import type { Log } from "../lib/log.ts";
import { type CredentialGuard, createCredentialGuard } from "./credential-guard.ts";
import { createFailureLimits, type FailureLimit, type FailureLimits } from "./failure-limits.ts";
import { KnownClients } from "./known-clients.ts";
import {
  createMailboxCountSweep,
  type MailboxLimit,
  MailboxLimits,
  mailboxLimitNames,
} from "./mailbox-limits.ts";
import { createRates, type Rate, type RateName } from "./rates.ts";
import { SharedCounts } from "./shared-counts.ts";
import { deleteForgottenClients } from "./store.ts";

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
  readonly failures: FailureLimits;
  readonly guard: CredentialGuard;
  readonly rates: Readonly<Record<RateName, Rate>>;
  readonly mailboxLimits: MailboxLimits;
}

/** Puts the limits together, and learns what other processes have counted. */
export async function assembleLimits(parts: LimitsParts): Promise<LimitsRoom> {
  const { database, audit, clock, log, limits } = parts;
  const counts = new SharedCounts({ database, clock, log, windowMs: 60_000 });
  const onLimit = (limit: FailureLimit | RateName | MailboxLimit) => usedUp.add(limit);
  const rates = createRates({ counts, clock, onLimit }, limits);
  const usedUp = new Tally<FailureLimit | RateName | MailboxLimit>([
    "client_failures",
    "address_failures",
    ...(Object.keys(rates) as RateName[]),
    ...mailboxLimitNames,
  ]);
  const goodClients = new KnownClients({ database, clock, log });
  await counts.start();
  const failures = createFailureLimits({
    counts,
    goodClients,
    perClient: limits.failedCredentialsPerClientPerMinute,
    perAddress: limits.failedCredentialsPerAddressPerMinute,
    onLimit,
  });
  const sweepMailboxes = createMailboxCountSweep(database, clock);
  const sweepClients = createExpirySweep(database, clock, deleteForgottenClients);
  return {
    failures,
    guard: createCredentialGuard({ failures, audit }),
    rates,
    mailboxLimits: new MailboxLimits({
      database,
      clock,
      wrongCodesPerMailbox: limits.wrongCodesPerMailboxPerHour,
      mailsPerMailbox: limits.mailsPerMailboxPerHour,
      mailsPerAddress: limits.mailsPerAddressPerHour,
      onLimit,
    }),
    metrics: [
      counter(
        "limit_refusals_total",
        "What was refused because a limit was used up, by the limit; silent refusals count as well.",
        () => byLabel("limit", usedUp.read()),
      ),
    ],
    sweeps: [
      {
        kind: "limit_counts",
        run: async () => (await sweepMailboxes()) + (await sweepClients()),
      },
    ],
    closing: [
      { name: "counts of limits", moment: "writes", ms: 2_000, run: () => counts.close() },
      { name: "clients known to be good", moment: "writes", ms: 2_000, run: () => goodClients.flush() },
    ],
  };
}
