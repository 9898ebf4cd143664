/**
 * Watching the providers of frontdoors.
 *
 * One reader per frontdoor and process follows the table of changes, woken by
 * the change feed, and keeps the newest ones for all who watch. A watcher is a
 * place in that order and nothing more: it asks for what comes after when its
 * consumer is ready, and one that has fallen behind what is kept reads the
 * table itself. So a slow consumer holds up nobody and costs no memory. One
 * that has fallen behind the table is begun again with a snapshot, and so is
 * one that has read changes which a restored database does not hold.
 */
import { performance } from "node:perf_hooks";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Reader } from "../../db/database.ts";
import { DomainError } from "../../lib/errors.ts";
import { invalidField } from "../../lib/invalid-request.ts";
import { fromPageToken, toPageToken } from "../../lib/page-token.ts";
import { SharedSlots } from "../../lib/shared-slots.ts";
import type { Caller } from "../../principals/principal.ts";
import { type FrontdoorAccess, frontdoorNotFound } from "../frontdoors/access.ts";
import type { Frontdoor } from "../frontdoors/frontdoor.ts";
import type { ChangePlace } from "../frontdoors/store.ts";
import type { Provider, ProviderChange } from "../providers/provider.ts";
import { Channel } from "./channel.ts";
import { SharedProofs } from "./shared-proofs.ts";
import { findSnapshotPage } from "./store.ts";

/** What a stream says. */
export type WatchEvent =
  | { readonly kind: "snapshot_begin" }
  | { readonly kind: "snapshot"; readonly provider: Provider }
  | { readonly kind: "snapshot_end" | "alive"; readonly resumeToken: string }
  | { readonly kind: "change"; readonly change: ProviderChange; readonly resumeToken: string };

/** What a stream is opened with. */
export interface WatchRequest {
  readonly frontdoorId: string;
  /** Of the last event that was applied; empty to begin with a snapshot. */
  readonly resumeToken: string;
  /** Proves the caller anew; throws as a call would be refused. */
  readonly authenticate: () => Promise<Caller["principal"]>;
  /** Names what the caller proves itself with, without being it: streams with the same share a proof. */
  readonly credential: string;
  /** Ends the stream when it aborts. */
  readonly signal: AbortSignal;
}

/** Parts that streams of changes stand on, and their times. */
export interface ProviderWatchOptions {
  readonly reader: Reader;
  readonly feed: Pick<ChangeFeed, "subscribe">;
  readonly frontdoorAccess: FrontdoorAccess;
  /** Whom an organization counts for, where all share what there is. */
  readonly findTenant: (orgId: string) => Promise<string>;
  /** Longest silence of a stream, in milliseconds. */
  readonly heartbeatMs?: number;
  /** How many streams at most, of one caller and of all together. */
  readonly maxStreamsPerCaller?: number;
  readonly maxStreams?: number;
}

/** Providers of one read of a snapshot. */
const providersPerRead = 50;

/** A stream that waits. */
interface Waiter {
  readonly channel: Channel;
  /** What the feed calls its caller, and what the caller may do rests on. */
  readonly subjects: readonly string[];
  spokeAtMs: number;
  isWoken: boolean;
  wake(): void;
}

/** @see the head of this file */
export class ProviderWatch {
  readonly #reader: Reader;
  readonly #frontdoorAccess: FrontdoorAccess;
  readonly #heartbeatMs: number;
  readonly #findTenant: ProviderWatchOptions["findTenant"];
  readonly #channels = new Map<string, Channel>();
  readonly #waiters = new Set<Waiter>();
  readonly #bySubject = new Map<string, Set<Waiter>>();
  readonly #streams: SharedSlots;
  readonly #proofs = new SharedProofs();
  readonly #unsubscribe: () => void;
  #pulse: NodeJS.Timeout | undefined;

  constructor(options: ProviderWatchOptions) {
    this.#reader = options.reader;
    this.#frontdoorAccess = options.frontdoorAccess;
    this.#heartbeatMs = options.heartbeatMs ?? 15_000;
    this.#findTenant = options.findTenant;
    const { maxStreams: total = 5000, maxStreamsPerCaller: perCaller = 2000 } = options;
    this.#streams = new SharedSlots({ total, perCaller });
    this.#unsubscribe = options.feed.subscribe({
      onChange: ({ topic, subject }) => {
        if (topic === "frontdoor") void this.#channels.get(subject)?.refresh();
        else this.#doubt(subject);
      },
      onReset: () => {
        this.#proofs.doubt();
        for (const channel of this.#channels.values()) void channel.refresh();
      },
    });
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Stops following the feed. Streams are ended by their signals. */
  close(): void {
    this.#unsubscribe();
    clearInterval(this.#pulse);
  }

  /**
   * The providers of a frontdoor, then every change of them, in order.
   *
   * @throws DomainError those of `authenticate` and `frontdoorAccess`, at any time;
   *   INVALID_REQUEST, TOO_MANY_STREAMS, STREAM_DISPLACED; UNAVAILABLE when
   *   `signal` aborts
   */
  async *watch(caller: Caller, request: WatchRequest): AsyncGenerator<WatchEvent> {
    const frontdoor = await this.#frontdoorAccess.require(caller.principal, request.frontdoorId, "read");
    const place = fromResumeToken(frontdoor.id, request.resumeToken);
    const { id, superuser } = caller.principal;
    const tenant = superuser ? undefined : await this.#findTenant(frontdoor.orgId);
    const stream = this.#streams.take({ caller: id, tenant });
    const waiter = this.#addWaiter(frontdoor, caller);
    const onAbort = () => waiter.wake();
    for (const signal of [request.signal, stream.signal]) signal.addEventListener("abort", onAbort);
    try {
      yield* this.#follow(frontdoor.id, place, waiter, { ...request, displaced: stream.signal });
    } finally {
      request.signal.removeEventListener("abort", onAbort);
      this.#removeWaiter(waiter);
      stream.release();
    }
  }

  async *#follow(
    frontdoorId: string,
    from: ChangePlace | undefined,
    waiter: Waiter,
    request: WatchRequest & { readonly displaced: AbortSignal },
  ): AsyncGenerator<WatchEvent> {
    const key = `${frontdoorId} ${request.credential}`;
    const prove = () =>
      this.#proofs.prove(key, async () => {
        await this.#frontdoorAccess.require(await request.authenticate(), frontdoorId, "read");
      });
    await waiter.channel.refresh();
    let place = from;
    if (place !== undefined && (await waiter.channel.changesAfter(place)) !== undefined) {
      yield { kind: "alive", resumeToken: toResumeToken(frontdoorId, place) };
    }
    for (;;) {
      if (request.displaced.aborted) throw new DomainError("STREAM_DISPLACED");
      if (request.signal.aborted) throw new DomainError("UNAVAILABLE", { message: "the server is stopping" });
      await prove();
      const changes = place && (await waiter.channel.changesAfter(place));
      if (place === undefined || changes === undefined) {
        place = yield* this.#snapshot(frontdoorId, prove);
        waiter.spokeAtMs = performance.now();
        continue;
      }
      for (const change of changes) {
        await prove();
        place = { seq: change.seq, mark: change.mark };
        yield { kind: "change", change, resumeToken: toResumeToken(frontdoorId, place) };
        waiter.spokeAtMs = performance.now();
      }
      if (changes.length > 0) continue;
      if (performance.now() - waiter.spokeAtMs >= this.#heartbeatMs) {
        yield { kind: "alive", resumeToken: toResumeToken(frontdoorId, place) };
        waiter.spokeAtMs = performance.now();
        continue;
      }
      await sleep(waiter);
    }
  }

  /** Answers the place from which changes go on. */
  async *#snapshot(frontdoorId: string, prove: () => Promise<void>): AsyncGenerator<WatchEvent, ChangePlace> {
    const read = async (afterId: string, seq?: number) => {
      const limits = { afterId, limit: providersPerRead, ...(seq !== undefined && { seq }) };
      const page = await findSnapshotPage(this.#reader, frontdoorId, limits);
      if (page === undefined) throw frontdoorNotFound(frontdoorId, "deleted meanwhile");
      return page;
    };
    yield { kind: "snapshot_begin" };
    const first = await read("");
    for (let page = first; ; ) {
      for (const provider of page.providers) {
        await prove();
        yield { kind: "snapshot", provider };
      }
      const last = page.providers.at(-1);
      if (last === undefined || page.providers.length < providersPerRead) break;
      page = await read(last.id, first.place.seq);
    }
    yield { kind: "snapshot_end", resumeToken: toResumeToken(frontdoorId, first.place) };
    return first.place;
  }

  /** Something that proofs rest on has changed: streams it may be about prove themselves now, not at their next message. */
  #doubt(subject: string): void {
    this.#proofs.doubt();
    for (const waiter of this.#bySubject.get(subject) ?? []) waiter.wake();
  }

  #addWaiter(frontdoor: Frontdoor, { principal }: Caller): Waiter {
    const channel = this.#channels.get(frontdoor.id) ?? this.#openChannel(frontdoor.id);
    const waiter: Waiter = {
      channel,
      subjects: [...listSubjects(principal), frontdoor.orgId],
      spokeAtMs: performance.now(),
      isWoken: false,
      wake: () => {
        waiter.isWoken = true;
      },
    };
    this.#waiters.add(waiter);
    for (const subject of waiter.subjects) {
      const others = this.#bySubject.get(subject) ?? new Set();
      this.#bySubject.set(subject, others.add(waiter));
    }
    channel.watchers += 1;
    // One timer for all: a heartbeat is late by a fifteenth of its interval at most.
    this.#pulse ??= setInterval(() => this.#beat(), this.#heartbeatMs / 15).unref();
    return waiter;
  }

  #openChannel(frontdoorId: string): Channel {
    const channel = new Channel({
      reader: this.#reader,
      frontdoorId,
      onNews: ({ isGone }) => {
        if (isGone) this.#proofs.doubt();
        for (const waiter of this.#waiters) if (waiter.channel === channel) waiter.wake();
      },
    });
    this.#channels.set(frontdoorId, channel);
    return channel;
  }

  #removeWaiter(waiter: Waiter): void {
    const { channel } = waiter;
    this.#waiters.delete(waiter);
    for (const subject of waiter.subjects) {
      const others = this.#bySubject.get(subject);
      others?.delete(waiter);
      if (others?.size === 0) this.#bySubject.delete(subject);
    }
    channel.watchers -= 1;
    if (channel.watchers === 0) this.#channels.delete(channel.frontdoorId);
    if (this.#waiters.size > 0) return;
    clearInterval(this.#pulse);
    this.#pulse = undefined;
  }

  #beat(): void {
    const dueAtMs = performance.now() - this.#heartbeatMs;
    for (const waiter of this.#waiters) if (waiter.spokeAtMs <= dueAtMs) waiter.wake();
  }
}

function listSubjects(principal: Caller["principal"]): string[] {
  const { id, tokenId } = principal;
  const proof = principal.type === "user" ? principal.sessionId : principal.credentialId;
  return [id, proof, ...(tokenId === undefined ? [] : [tokenId])];
}

/** Waits until there may be something to say. */
async function sleep(waiter: Waiter): Promise<void> {
  if (!waiter.isWoken) {
    await new Promise<void>((resolve) => {
      waiter.wake = resolve;
    });
  }
  waiter.isWoken = false;
  waiter.wake = () => {
    waiter.isWoken = true;
  };
}

function toListName(frontdoorId: string): string[] {
  return ["WatchAuthProviders", frontdoorId];
}

function toResumeToken(frontdoorId: string, { seq, mark }: ChangePlace): string {
  return toPageToken(toListName(frontdoorId), [seq, mark]);
}

function fromResumeToken(frontdoorId: string, token: string): ChangePlace | undefined {
  try {
    const position = fromPageToken(toListName(frontdoorId), token, ["integer", "text"]);
    return position && { seq: position[0], mark: position[1] };
  } catch {
    throw invalidField("resume_token", "must be the resume_token of a stream of the same frontdoor");
  }
}
