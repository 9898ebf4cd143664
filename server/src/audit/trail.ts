/**
 * The audit trail's implementation.
 *
 * Changes are written with the transaction that makes them. What changes
 * nothing is kept in a bounded buffer and written in one transaction within
 * 100 ms; while the database cannot be written it waits there, and what does
 * not fit is counted, logged and lost: auditing never holds up or fails a
 * request that has nothing else to store.
 */
import type { Database, Reader, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import type { RequestInfo } from "../lib/request.ts";
import { type Caller, toActor } from "../principals/principal.ts";
import { findTargetType } from "./actions.ts";
import type { AuditAgent, AuditEvent, AuditRefusal, AuditSubject, AuditTrail } from "./audit.ts";
import { nameFormerOwner } from "./former-owners.ts";
import type { Mailboxes } from "./mailboxes.ts";
import { type AuditRecord, toDetails, toLongText, toShortText } from "./record.ts";
import { RefusalThrottle, type SuppressedRefusals } from "./refusal-throttle.ts";
import { insertRecords, type RecordRow, toRow } from "./store.ts";

/** Where the trail is written, and how much of it may wait for that. */
export interface DatabaseAuditTrailOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly mailboxes: Mailboxes;
  /** How many records wait at most for being written. */
  readonly maxBuffered?: number;
  /** Longest time from a note to its transaction, in milliseconds. */
  readonly flushAfterMs?: number;
  /** Pause before writing again what could not be written, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** How many records one transaction of the buffer takes. */
const recordsPerTransaction = 512;

/** How often counted refusals are looked for, in milliseconds. */
const sweepEveryMs = 15_000;

/** @see the head of this file */
export class DatabaseAuditTrail implements AuditTrail {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #mailboxes: Mailboxes;
  readonly #maxBuffered: number;
  readonly #flushAfterMs: number;
  readonly #retryAfterMs: number;
  readonly #throttle: RefusalThrottle;
  readonly #listeners = new Set<() => void>();

  #buffer: RecordRow[] = [];
  /** Refusals whose owner is to be looked for when they are written. */
  readonly #unowned = new WeakMap<RecordRow, (reader: Reader) => Promise<AuditRecord>>();
  #lost = 0;
  #reportedLost = 0;
  #isFailing = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #flush: Promise<void> | undefined;
  readonly #sweepTimer: NodeJS.Timeout;

  constructor(options: DatabaseAuditTrailOptions) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#mailboxes = options.mailboxes;
    this.#maxBuffered = options.maxBuffered ?? 20_000;
    this.#flushAfterMs = options.flushAfterMs ?? 80;
    this.#retryAfterMs = options.retryAfterMs ?? 500;
    this.#throttle = new RefusalThrottle({ onSuppressed: (refusals) => this.#bufferSuppressed(refusals) });
    this.#sweepTimer = setInterval(() => this.#throttle.sweep(this.#clock.now()), sweepEveryMs);
    this.#sweepTimer.unref();
  }

  /** How many records have been lost since the start: the buffer was full, or a record could not be stored. */
  get lostCount(): number {
    return this.#lost;
  }

  /** How many records wait to be written. */
  get waitingCount(): number {
    return this.#buffer.length;
  }

  /** Calls `listener` whenever this process has committed records. Returns what ends that. */
  onCommitted(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async record(tx: Tx, caller: Caller, event: AuditEvent): Promise<void> {
    await this.#insert(tx, [toRow(this.#toRecord(event, "success", fromCaller(caller)))]);
  }

  async recordOwn(tx: Tx, agent: AuditAgent, ...events: readonly AuditEvent[]): Promise<void> {
    const actor: AuditSubject = { type: "system", id: agent };
    await this.#insert(
      tx,
      events.map((event) => toRow(this.#toRecord(event, "success", { actor }))),
    );
  }

  note(caller: Caller, event: AuditEvent): void {
    this.#push(toRow(this.#toRecord(event, "success", fromCaller(caller))));
  }

  refuse(request: RequestInfo, refusal: AuditRefusal): void {
    if (!this.#throttle.admit(request.clientAddress, this.#clock.now())) return;
    const { reason, actor, detail, credentialKind, credentialId } = refusal;
    const record = this.#toRecord(refusal, "refused", {
      ...fromRequest(request),
      reason,
      actor,
      detail: detail && toLongText(detail),
      credentialKind,
      credentialId: credentialId && toShortText(credentialId),
    });
    const row = toRow(record);
    const { isUnknown, mailbox } = refusal;
    if (isUnknown) this.#unowned.set(row, (reader) => nameFormerOwner(reader, record));
    else if (mailbox !== undefined && record.target === undefined)
      this.#unowned.set(row, (reader) => this.#nameUser(reader, record, mailbox));
    this.#push(row);
  }

  /** Writes what waits by now. Never rejects: what cannot be written goes on waiting. */
  async flush(): Promise<void> {
    const beganAtMs = performance.now();
    this.#flush ??= this.#writeWaiting().finally(() => {
      this.#flush = undefined;
      const restMs = this.#flushAfterMs - (performance.now() - beganAtMs);
      if (this.#buffer.length > 0) this.#schedule(Math.max(restMs, 0));
    });
    await this.#flush;
  }

  /** Writes what waits, and with it the refusals counted so far. What then fails is lost, and logged. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    clearInterval(this.#sweepTimer);
    this.#throttle.sweep(this.#clock.now(), true);
    await this.#flush;
    do await this.flush();
    while (this.#buffer.length > 0 && !this.#isFailing);
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#lost += this.#buffer.length;
    this.#buffer = [];
    this.#reportLost();
  }

  async #insert(tx: Tx, records: readonly RecordRow[]): Promise<void> {
    await insertRecords(tx, records);
    this.#database.afterCommit(tx, () => this.#tell());
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #toRecord(
    event: AuditEvent | AuditRefusal,
    result: AuditRecord["result"],
    rest: Partial<AuditRecord>,
  ): AuditRecord {
    const at = this.#clock.now();
    const { action, orgId, details, mailbox } = event;
    return {
      ...rest,
      mailboxHash: mailbox && this.#mailboxes.hash(mailbox),
      id: newId(at),
      at,
      action,
      result,
      target: toTarget(event),
      orgId,
      details: toDetails(details),
    };
  }

  #bufferSuppressed({ addressBlock, count, sinceAt }: SuppressedRefusals): void {
    const refused = {
      action: "credential.refuse",
      reason: "TOO_MANY_FAILURES",
      details: { suppressed: String(count), since: sinceAt.toISOString() },
    } as const;
    const detail = "refusals that were counted, not recorded one by one";
    const origin = { clientAddress: toShortText(addressBlock), detail };
    this.#push(toRow(this.#toRecord(refused, "refused", origin)));
  }

  #push(record: RecordRow): void {
    if (this.#isClosed || this.#buffer.length >= this.#maxBuffered) {
      this.#lost += 1;
      return;
    }
    this.#buffer.push(record);
    this.#schedule(this.#flushAfterMs);
  }

  #schedule(afterMs: number): void {
    if (this.#timer !== undefined || this.#flush !== undefined) return;
    this.#timer = setTimeout(() => void this.flush(), afterMs);
  }

  /**
   * What is noted meanwhile waits for its own time: taken along, it would make
   * one small transaction after another out of a steady load.
   */
  async #writeWaiting(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reportLost();
    let isWritten = true;
    let waiting = this.#buffer.length;
    while (isWritten && waiting > 0) {
      const records = this.#buffer.splice(0, Math.min(waiting, recordsPerTransaction));
      waiting -= records.length;
      isWritten = await this.#write(records);
    }
    if (!isWritten && !this.#isClosed) {
      this.#timer = setTimeout(() => void this.flush(), this.#retryAfterMs);
    }
  }

  /** Answers false when there is no sense in writing more just now. */
  async #write(records: readonly RecordRow[]): Promise<boolean> {
    try {
      await this.#database.transaction(async (tx) => this.#insert(tx, await this.#nameOwners(tx, records)));
      if (this.#isFailing) this.#log.info({}, "audit records can be written again");
      this.#isFailing = false;
      return true;
    } catch (error) {
      return this.#onFailure(error, records);
    }
  }

  /** Here, behind the answer: a look-up before it would tell by its time which ids there were. */
  async #nameOwners(tx: Tx, records: readonly RecordRow[]): Promise<readonly RecordRow[]> {
    if (!records.some((record) => this.#unowned.has(record))) return records;
    const named: RecordRow[] = [];
    for (const record of records) {
      const name = this.#unowned.get(record);
      named.push(name ? toRow(await name(tx)) : record);
    }
    return named;
  }

  /** Names the account of the mailbox that a refusal is about, as its target. */
  async #nameUser(reader: Reader, refusal: AuditRecord, mailbox: string): Promise<AuditRecord> {
    const id = await this.#mailboxes.findUserId(reader, mailbox);
    return id === undefined ? refusal : { ...refusal, target: { type: "user", id } };
  }

  #onFailure(error: unknown, records: readonly RecordRow[]): boolean {
    const isForNow = error instanceof DomainError && error.kind === "unavailable";
    if (isForNow) {
      this.#buffer.unshift(...records);
      if (!this.#isFailing) this.#log.warn({ err: error }, "audit records cannot be written; will try again");
      this.#isFailing = true;
      return false;
    }
    this.#lost += records.length;
    this.#log.error({ err: error, count: records.length }, "audit records could not be stored");
    return true;
  }

  #reportLost(): void {
    const lost = this.#lost - this.#reportedLost;
    if (lost > 0) this.#log.error({ lost, sinceStart: this.#lost }, "audit records were lost");
    this.#reportedLost = this.#lost;
  }
}

function toTarget({ action, target }: AuditEvent | AuditRefusal): AuditSubject | undefined {
  if (target === undefined) return undefined;
  const { type, id } = typeof target === "string" ? { type: findTargetType(action), id: target } : target;
  return type === undefined ? undefined : { type, id: toShortText(id) };
}

function fromRequest({ requestId, clientAddress, userAgent }: RequestInfo): Partial<AuditRecord> {
  return {
    requestId: requestId === "" ? undefined : toShortText(requestId),
    clientAddress: clientAddress === "" ? undefined : toShortText(clientAddress),
    userAgent: userAgent === "" ? undefined : toLongText(userAgent),
  };
}

function fromCaller({ principal, request }: Caller): Partial<AuditRecord> {
  const { credentialKind, tokenId } = principal;
  return {
    ...fromRequest(request),
    actor: toActor(principal),
    credentialKind,
    credentialId: principal.type === "user" ? principal.sessionId : principal.credentialId,
    tokenId,
  };
}
