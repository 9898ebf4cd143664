/**
 * The audit trail of 2 000 tokens a second, kept for a few seconds: it must be
 * removed as fast as it is written, beside the writing.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { AuditRetention } from "../../server/src/audit/retention.ts";
import { countRecords, testMailboxes } from "../../server/src/audit/test-support.ts";
import { DatabaseAuditTrail } from "../../server/src/audit/trail.ts";
import { migrate } from "../../server/src/db/migrate.ts";
import { openDatabase } from "../../server/src/db/open-database.ts";
import { systemClock } from "../../server/src/lib/clock.ts";
import { newId } from "../../server/src/lib/ids.ts";
import { silentLog } from "../../server/src/lib/log.ts";
import type { Caller } from "../../server/src/principals/principal.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { startPostgres } from "../parts/postgres-server.ts";

const perSecond = 2_000;
const retentionSeconds = 5;
const sweepEveryMs = 1_000;

/** How much longer than it may a record may stay on a busy machine, in seconds. */
const graceSeconds = 10;

async function run(url: string, seconds: number): Promise<string> {
  const database = await openDatabase({ url, log: silentLog });
  await migrate(database);
  const parts = { database, clock: systemClock, log: silentLog };
  const trail = new DatabaseAuditTrail({ ...parts, mailboxes: testMailboxes });
  const retention = new AuditRetention({ ...parts, retentionSeconds, sweepEveryMs });
  retention.start();
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  const startedAtMs = performance.now();
  let noted = 0;
  let mostWaiting = 0;
  while (performance.now() - startedAtMs < seconds * 1000) {
    for (const due = ((performance.now() - startedAtMs) / 1000) * perSecond; noted < due; noted += 1)
      note(trail);
    mostWaiting = Math.max(mostWaiting, trail.waitingCount);
    await sleep(5);
  }
  delays.disable();
  const left = await countRecords(database.reader);
  const oldest = await database.reader
    .selectFrom("audit_records")
    .select((eb) => eb.fn.min("at").as("at"))
    .executeTakeFirst();
  const oldestSeconds = (Date.now() - Number(oldest?.at)) / 1000;
  await retention.close();
  await trail.close();
  const { lostCount } = trail;
  await database.close();
  assert.equal(lostCount, 0, "records were lost");
  assert.ok(
    oldestSeconds < retentionSeconds + graceSeconds,
    `the oldest record is of ${oldestSeconds} s ago`,
  );
  const removedPerSecond = Math.round((noted - left - mostWaiting) / (seconds - retentionSeconds));
  const longestMs = Math.round(delays.percentile(99) / 1e6);
  return `${Math.round(noted / seconds)}/s written, at least ${removedPerSecond}/s removed, oldest of ${retentionSeconds} s kept: ${oldestSeconds.toFixed(1)} s, at most ${mostWaiting} waited, event loop p99 ${longestMs} ms`;
}

const ids = Array.from({ length: 500 }, () => newId(new Date()));

function note(trail: DatabaseAuditTrail): void {
  const id = ids[Math.floor(Math.random() * ids.length)] ?? "";
  const [requestId, tokenId] = [newId(new Date()), newId(new Date())];
  const caller = {
    principal: { type: "serviceuser", id, credentialKind: "client_secret", credentialId: id, tokenId },
    request: { requestId, clientAddress: "192.0.2.1", userAgent: "soak", outcome: {} },
  } as unknown as Caller;
  trail.note(caller, {
    action: "token.issue",
    target: tokenId,
    orgId: id,
    details: { auth_via: "client_credentials", credential_id: id },
  });
}

async function runBoth({ quick, scratch, check }: PartContext): Promise<string> {
  const seconds = quick ? 15 : 120;
  const figures: string[] = [];
  await check("sqlite", async () => {
    figures.push(`sqlite: ${await run(`sqlite:${join(scratch, "x.db")}`, seconds)}`);
  });
  await check("postgres", async () => {
    const server = await startPostgres();
    try {
      figures.push(`postgres: ${await run(server.url, seconds)}`);
    } finally {
      await server.stop();
    }
  });
  return figures.join("; ");
}

export default { needs: [], run: runBoth } satisfies Part;
