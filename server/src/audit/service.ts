/**
 * Reading the audit trail: who may see which records, in pages or as they
 * come.
 */
import { performance } from "node:perf_hooks";
import type { Reader } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid, toIdTimeMs } from "../lib/ids.ts";
import { invalidField } from "../lib/invalid-request.ts";
import { fromPageToken, type Page, toPageToken } from "../lib/page-token.ts";
import { SharedSlots } from "../lib/shared-slots.ts";
import { type Principal, toActor } from "../principals/principal.ts";
import type { Mailboxes } from "./mailboxes.ts";
import {
  type About,
  type BaseFilter,
  findNewestPlace,
  findRecordIdAt,
  findRecords,
  findRecordsAfter,
  type TrailPlace,
} from "./query-store.ts";
import type { AuditRecord } from "./record.ts";

/** Filter of a request for audit records; empty texts mean any. */
export interface RecordQuery {
  /** Id or name. */
  readonly org: string;
  readonly actorId: string;
  readonly targetId: string;
  readonly action: string;
  readonly result: string;
  readonly requestId: string;
}

/** A filter of a list, with what superusers alone may ask for. */
export interface ListQuery extends RecordQuery {
  /** An address: what is about it, or about its account, or done by that. */
  readonly mailbox?: string;
  /** Whom it is about, or who did it. */
  readonly userId?: string;
}

/** Decides whether a caller may see an organization's records. */
export interface RecordAccess {
  /** @throws DomainError NOT_AUTHORIZED, ORGANIZATION_DISABLED */
  require(
    caller: Principal,
    org: string,
    need: { readonly role: "manager"; readonly writes: false },
  ): Promise<{ readonly organization: { readonly id: string } }>;
}

/** Parts that reading and tailing the trail stand on, and the bounds of a tail. */
export interface AuditServiceOptions {
  readonly reader: Reader;
  readonly access: RecordAccess;
  /** Whom an organization counts for, where all share what there is. */
  readonly findTenant: (orgId: string) => Promise<string>;
  readonly clock: Clock;
  readonly mailboxes: Mailboxes;
  /** How long records are kept: an older one may be missing without having been lost. */
  readonly retentionSeconds: number;
  /** Tells when this process has committed records. Returns what ends that. */
  readonly onCommitted: (listener: () => void) => () => void;
  /** Tells when what a caller's proof rests on may have changed. Returns what ends that. */
  readonly onDoubt: (listener: () => void) => () => void;
  /** How many rows a call looks at. */
  readonly rowsPerRead?: number;
  /** How often a stream looks for what other processes stored, in milliseconds. */
  readonly pollEveryMs?: number;
  /** Longest silence of a stream, in milliseconds. */
  readonly heartbeatMs?: number;
  /** How many streams at most, of one caller and of all together. */
  readonly maxStreamsPerCaller?: number;
  readonly maxStreams?: number;
}

/** A message of the stream of audit records: a record, or only that it is alive. */
export interface TailEvent {
  readonly record?: AuditRecord;
  readonly resumeToken: string;
}

/** Start, proof and end of a stream of audit records. */
export interface TailOptions {
  /** Token of the event to go on after; empty to begin now. */
  readonly resumeToken: string;
  /** Proves the caller anew; throws as a call would be refused. */
  readonly authenticate: () => Promise<Principal>;
  /** Ends the stream when it aborts. */
  readonly signal: AbortSignal;
}

/** Records of one read of a stream. */
const recordsPerRead = 200;

/**
 * How often a stream proves its caller anew when nothing is known to have
 * changed, for then only time can end the proof; each counts as a use of the
 * credential. And how often it asks for the caller's role. In milliseconds.
 */
const authenticateEveryMs = 15_000;
const authorizeEveryMs = 500;

/** By how much the clocks of processes may differ, in milliseconds. */
const clockSlackMs = 60_000;

/** Reads the audit trail. */
export class AuditService {
  readonly #options: Required<AuditServiceOptions>;
  readonly #streams: SharedSlots;

  constructor(options: AuditServiceOptions) {
    this.#options = {
      rowsPerRead: 10_000,
      pollEveryMs: 300,
      heartbeatMs: 15_000,
      maxStreamsPerCaller: 20,
      maxStreams: 200,
      ...options,
    };
    const { maxStreams: total, maxStreamsPerCaller: perCaller } = this.#options;
    this.#streams = new SharedSlots({ total, perCaller });
  }

  /**
   * Newest first. A page may be short, or empty, and not the last.
   *
   * @throws DomainError NOT_AUTHORIZED, ORGANIZATION_DISABLED, INVALID_REQUEST
   */
  async list(
    caller: Principal,
    query: ListQuery,
    span: { readonly startAt?: Date; readonly endAt?: Date },
    page: { readonly size: number; readonly token: string },
  ): Promise<Page<AuditRecord>> {
    const { reader, rowsPerRead } = this.#options;
    const about = await this.#toAbout(caller, query);
    const filter = await this.#toFilter(caller, query);
    const times = [span.startAt, span.endAt].map((instant) => String(instant?.getTime() ?? ""));
    // The first says whom it is about; an account that comes or goes between two pages ends no list.
    const name = ["ListAuditRecords", ...toTexts(filter), String(about?.[0] ?? ""), ...times];
    const position = fromPageToken(name, page.token, ["integer", "integer"]);
    const before = position && { atMs: position[0], seq: position[1] };
    const { records, next } = await findRecords(
      reader,
      { ...filter, ...(about && { about }) },
      { ...span, ...(before && { before }) },
      { limit: page.size, budget: rowsPerRead },
    );
    return {
      items: records,
      nextPageToken: next === undefined ? "" : toPageToken(name, [next.atMs, next.seq]),
    };
  }

  /**
   * Records as they are committed, by whichever process, in that order.
   *
   * Each stream reads the table at its own pace, so a slow reader holds up
   * nothing and misses nothing. One that has read what a restored database no
   * longer holds is ended: what came in its stead may sort before.
   *
   * @throws DomainError what `list` throws, at any time; UNAVAILABLE when
   *   `signal` aborts, TOO_MANY_STREAMS, STREAM_DISPLACED, RECORD_LOST
   */
  async *tail(caller: Principal, query: RecordQuery, options: TailOptions): AsyncGenerator<TailEvent> {
    const { orgId } = await this.#toFilter(caller, query);
    const isForAll = caller.superuser || orgId === undefined;
    const tenant = isForAll ? undefined : await this.#options.findTenant(orgId);
    const slot = this.#streams.take({ caller: toActor(caller).id, tenant });
    try {
      yield* this.#follow(query, options, slot.signal);
    } finally {
      slot.release();
    }
  }

  async *#follow(
    query: RecordQuery,
    options: TailOptions,
    displaced: AbortSignal,
  ): AsyncGenerator<TailEvent> {
    const { reader, rowsPerRead, heartbeatMs } = this.#options;
    using permit = this.#createPermit(query, options.authenticate);
    const filter = await permit.renew();
    const name = ["TailAuditRecords", ...toTexts(filter)];
    const toEvent = (place: TrailPlace, record?: AuditRecord): TailEvent => ({
      resumeToken: toPageToken(name, [place.xact, place.seq, place.recordId]),
      ...(record && { record }),
    });
    let place = fromResumeToken(name, options.resumeToken) ?? (await findNewestPlace(reader));
    await this.#requirePlace(place);
    yield toEvent(place);
    let spokeAtMs = performance.now();
    const waiter = this.#createWaiter(AbortSignal.any([options.signal, displaced]));
    try {
      for (;;) {
        if (displaced.aborted) throw new DomainError("STREAM_DISPLACED");
        if (options.signal.aborted)
          throw new DomainError("UNAVAILABLE", { message: "the server is stopping" });
        await permit.renew();
        const found = await findRecordsAfter(reader, filter, place, {
          limit: recordsPerRead,
          budget: rowsPerRead,
        });
        // Behind the read: a database restored before it is found out before anything is told.
        await this.#requirePlace(place);
        for (const each of found.records) {
          await permit.renew();
          yield toEvent(each.place, each.record);
          spokeAtMs = performance.now();
        }
        const isAtEnd = place.seq === found.readUpTo.seq && place.xact === found.readUpTo.xact;
        place = found.readUpTo;
        if (performance.now() - spokeAtMs >= heartbeatMs) {
          yield toEvent(place);
          spokeAtMs = performance.now();
        }
        if (isAtEnd) await waiter.wait();
      }
    } finally {
      waiter.close();
    }
  }

  /** @throws DomainError RECORD_LOST when the record that was read last is not there, and was not due to be removed. */
  async #requirePlace({ recordId, ...place }: TrailPlace): Promise<void> {
    if (recordId === "") return;
    const { reader, clock, retentionSeconds } = this.#options;
    const found = await findRecordIdAt(reader, place);
    if (found === recordId) return;
    const keptUntilMs = toIdTimeMs(recordId) + retentionSeconds * 1000;
    if (found === undefined && keptUntilMs <= clock.now().getTime() + clockSlackMs) return;
    throw new DomainError("RECORD_LOST");
  }

  /** What proves the caller and its role, as often as it takes. `renew` answers the filter. */
  #createPermit(
    query: RecordQuery,
    authenticate: () => Promise<Principal>,
  ): Disposable & { renew(): Promise<BaseFilter> } {
    let isDoubtful = false;
    const unsubscribe = this.#options.onDoubt(() => {
      isDoubtful = true;
    });
    let proven: { readonly caller: Principal; readonly atMs: number } | undefined;
    let granted: { readonly filter: BaseFilter; readonly atMs: number } | undefined;
    return {
      renew: async () => {
        const nowMs = performance.now();
        if (proven === undefined || isDoubtful || nowMs - proven.atMs >= authenticateEveryMs) {
          isDoubtful = false;
          proven = { caller: await authenticate(), atMs: nowMs };
          granted = undefined;
        }
        if (granted === undefined || nowMs - granted.atMs >= authorizeEveryMs) {
          granted = { filter: await this.#toFilter(proven.caller, query), atMs: nowMs };
        }
        return granted.filter;
      },
      [Symbol.dispose]: unsubscribe,
    };
  }

  /** Waits for the next poll, a commit of this process, or the end. */
  #createWaiter(signal: AbortSignal): { wait(): Promise<void>; close(): void } {
    const { onCommitted, pollEveryMs } = this.#options;
    let isWoken = false;
    let wake = () => {};
    const onWake = () => {
      isWoken = true;
      wake();
    };
    const unsubscribe = onCommitted(onWake);
    signal.addEventListener("abort", onWake);
    return {
      async wait() {
        if (!isWoken) {
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, pollEveryMs);
            wake = () => {
              clearTimeout(timer);
              resolve();
            };
          });
        }
        isWoken = false;
      },
      close() {
        unsubscribe();
        signal.removeEventListener("abort", onWake);
      },
    };
  }

  /** @throws DomainError NOT_AUTHORIZED, INVALID_REQUEST */
  async #toAbout(
    caller: Principal,
    { mailbox = "", userId = "" }: ListQuery,
  ): Promise<readonly About[] | undefined> {
    if (mailbox === "" && userId === "") return undefined;
    if (!caller.superuser)
      throw new DomainError("NOT_AUTHORIZED", { detail: "people are found by superusers" });
    if (mailbox === "") return toAboutUser(toId(userId));
    if (userId !== "") throw invalidField("user_id", "must be empty beside mailbox");
    const { mailboxes, reader } = this.#options;
    const email = mailboxes.read(mailbox);
    if (email === undefined) throw invalidField("mailbox", "must be an e-mail address");
    const id = await mailboxes.findUserId(reader, email);
    return [["mailbox_hash", mailboxes.hash(email)], ...(id === undefined ? [] : toAboutUser(id))];
  }

  async #toFilter(caller: Principal, query: RecordQuery): Promise<BaseFilter> {
    const orgId = await this.#toOrgId(caller, query.org);
    const { actorId, targetId, action, requestId } = query;
    return {
      ...(orgId !== undefined && { orgId }),
      ...(actorId !== "" && { actorId: toId(actorId) }),
      ...(targetId !== "" && { targetId: toId(targetId) }),
      ...(action !== "" && { action }),
      ...(query.result !== "" && { result: query.result as "success" | "refused" }),
      ...(requestId !== "" && { requestId }),
    };
  }

  /** Superusers also see what belongs to no organization, or to one that is gone. */
  async #toOrgId(caller: Principal, org: string): Promise<string | undefined> {
    if (caller.superuser && (org === "" || isUuid(org))) return org === "" ? undefined : toId(org);
    if (org === "")
      throw new DomainError("NOT_AUTHORIZED", { detail: "needs an organization, or a superuser" });
    const need = { role: "manager", writes: false } as const;
    return (await this.#options.access.require(caller, org, need)).organization.id;
  }
}

function toAboutUser(id: string): readonly About[] {
  return [
    ["actor_id", id],
    ["target_id", id],
  ];
}

/** Ids are kept in lower case. */
function toId(text: string): string {
  return isUuid(text) ? text.toLowerCase() : text;
}

function toTexts(filter: BaseFilter): string[] {
  return Object.entries(filter).map(([name, value]) => `${name}=${value}`);
}

function fromResumeToken(name: readonly string[], token: string): TrailPlace | undefined {
  try {
    const position = fromPageToken(name, token, ["integer", "integer", "text"]);
    return position && { xact: position[0], seq: position[1], recordId: position[2] };
  } catch {
    throw invalidField("resume_token", "must be the resume_token of a stream with the same filters");
  }
}
