/**
 * Discovery documents and key sets of other issuers, kept close.
 *
 * A document is asked for again in the background before it is too old, and
 * once in a cooldown at most, whatever strangers present: unknown key ids,
 * empty key sets and errors included. While its server fails it stays good for
 * another hour.
 */

import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { createLru } from "../lib/lru.ts";
import type { Egress } from "./egress.ts";
import { EgressError } from "./egress-error.ts";
import { type FetchedJson, fetchJson, type RemoteJson } from "./fetch-json.ts";

/** How documents are fetched, and how many are kept. */
export interface JsonCacheOptions {
  readonly egress: Egress;
  readonly clock: Clock;
  readonly log: Log;
  /** Documents kept, the latest used; 1000 if absent. */
  readonly maxEntries?: number;
  /** For how long a document is good that does not say so itself; 5 minutes if absent. */
  readonly ttlSeconds?: number;
  /** The least time between two fetches of one document; 30 s if absent. */
  readonly cooldownSeconds?: number;
}

/** Remote JSON documents by URL. */
export interface JsonCache {
  /**
   * The document, at most an hour old or, while its server fails, two. The
   * same object as long as it was not fetched again.
   *
   * @throws EgressError when there is none to be had.
   */
  get(url: string): Promise<RemoteJson>;
  /**
   * The document, fetched again unless that was done within the cooldown: for
   * when something is not in it that should be.
   *
   * @throws EgressError when there is none to be had.
   */
  refresh(url: string): Promise<RemoteJson>;
}

const minTtlSeconds = 60;
const maxTtlSeconds = 3600;
const staleIfErrorSeconds = 3600;

/** Of one fetch, in milliseconds: whoever waits for it owes an answer within ten seconds. */
const timeoutMs = 8_000;

/** The part of its time after which a document that is used is fetched again. */
const refreshAfterShare = 0.8;

/** A document and its times, in milliseconds since the epoch. */
interface KeptDocument {
  readonly value: RemoteJson;
  readonly refreshFrom: number;
  readonly freshUntil: number;
  readonly usableUntil: number;
}

/** What is known of one URL. */
interface Entry {
  document: KeptDocument | undefined;
  /** When the last fetch began, or failed, in milliseconds since the epoch. */
  triedAt: number;
  /** The fetch under way. */
  running: Promise<void> | undefined;
  /** Why the last fetch failed; undefined when it did not. */
  failure: EgressError | undefined;
}

/** @see {@link JsonCache} */
export function createJsonCache(options: JsonCacheOptions): JsonCache {
  const { egress, clock, ttlSeconds = 300, cooldownSeconds = 30 } = options;
  const log = options.log.child({ part: "json-cache" });
  const entries = createLru<string, Entry>(options.maxEntries ?? 1000);
  const now = () => clock.now().getTime();

  function getEntry(url: string): Entry {
    const known = entries.get(url);
    if (known !== undefined) return known;
    const entry: Entry = {
      document: undefined,
      triedAt: Number.NEGATIVE_INFINITY,
      running: undefined,
      failure: undefined,
    };
    entries.set(url, entry);
    return entry;
  }

  async function load(url: string, entry: Entry): Promise<void> {
    try {
      entry.document = toDocument(await fetchJson(egress, url, { timeoutMs }), ttlSeconds, now());
      entry.failure = undefined;
    } catch (error) {
      if (!(error instanceof EgressError)) throw error;
      entry.failure = error;
      // Counted from here: one that fails by its time limit might have no cooldown left.
      entry.triedAt = now();
      log.warn({ host: error.host, reason: error.reason, err: error }, "document not refreshed");
    } finally {
      entry.running = undefined;
    }
  }

  /** Begins a fetch unless one is under way or the cooldown runs. */
  function start(url: string, entry: Entry): void {
    const since = now() - entry.triedAt;
    // A clock that was set back must not stop fetches for longer than the cooldown.
    if (entry.running !== undefined || (since >= 0 && since < cooldownSeconds * 1000)) return;
    entry.triedAt = now();
    const running = load(url, entry);
    entry.running = running;
    // Waited for by whoever needs it; in the background nobody does.
    running.catch((error: unknown) => log.error({ err: error }, "refresh failed"));
  }

  function toUsable(entry: Entry): RemoteJson | undefined {
    const { document } = entry;
    return document !== undefined && now() < document.usableUntil ? document.value : undefined;
  }

  function getUsable(url: string, entry: Entry): RemoteJson {
    const value = toUsable(entry);
    if (value !== undefined) return value;
    throw entry.failure ?? new EgressError("connection", new URL(url).host, "could not be asked again yet");
  }

  return {
    async get(url) {
      const entry = getEntry(url);
      const { document } = entry;
      if (document === undefined || now() >= document.refreshFrom) start(url, entry);
      const isFresh = document !== undefined && now() < document.freshUntil;
      const isKnownToFail = entry.failure !== undefined && toUsable(entry) !== undefined;
      if (!isFresh && !isKnownToFail) await entry.running;
      return getUsable(url, entry);
    },
    async refresh(url) {
      const entry = getEntry(url);
      start(url, entry);
      await entry.running;
      return getUsable(url, entry);
    },
  };
}

function toDocument(
  { value, maxAgeSeconds }: FetchedJson,
  ttlSeconds: number,
  now: number,
): Entry["document"] {
  const ttlMs = Math.min(Math.max(maxAgeSeconds ?? ttlSeconds, minTtlSeconds), maxTtlSeconds) * 1000;
  const freshUntil = now + ttlMs;
  return {
    value,
    refreshFrom: now + ttlMs * refreshAfterShare,
    freshUntil,
    usableUntil: freshUntil + staleIfErrorSeconds * 1000,
  };
}
