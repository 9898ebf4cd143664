/**
 * What the client uses of the page it runs in, passed in so that tests can
 * stand in for it. Nothing here is touched before it is used, so that the
 * client may also be created where there is no page.
 */
import { browserCeremonies, type Ceremonies } from "./passkeys/ceremonies.ts";

/** Time, by two clocks that fail differently. */
export interface Clock {
  /** Wall-clock time. */
  now(): Date;
  /** Milliseconds since an arbitrary instant. Never stands still for longer than the device slept. */
  monotonicMs(): number;
}

/** A channel to this page's other tabs. */
export interface Channel {
  post(message: unknown): void;
  close(): void;
}

/** The page, its browser and its clocks. */
export interface Surroundings {
  readonly clock: Clock;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** Runs work once, after that time. @returns what cancels it */
  readonly startTimer: (work: () => void, ms: number) => () => void;
  readonly isVisible: () => boolean;
  /** Calls back whenever the page is shown or hidden. @returns what ends that */
  readonly onVisibility: (listener: () => void) => () => void;
  /** Opens the channel of that name; undefined where there is none. */
  readonly openChannel: (name: string, onMessage: (message: unknown) => void) => Channel | undefined;
  /**
   * Takes the lock of that name, which one page of the origin holds at a time.
   * Once `signal` aborts it is waited for no longer.
   *
   * @returns what gives it back
   */
  readonly lock: (name: string, signal: AbortSignal) => Promise<() => void>;
  /** Leaves the page. */
  readonly navigate: (url: string) => void;
  /** The page's address. */
  readonly currentUrl: () => string;
  /** Changes what the address bar shows, without loading anything. */
  readonly replaceUrl: (url: string) => void;
  readonly ceremonies: Ceremonies;
}

/** The page that this runs in. */
export function browserSurroundings(): Surroundings {
  return {
    clock: createClock(
      () => performance.now(),
      () => Date.now(),
    ),
    random: Math.random,
    startTimer(work, ms) {
      const timer = setTimeout(work, ms);
      return () => clearTimeout(timer);
    },
    isVisible: () => typeof document === "undefined" || document.visibilityState === "visible",
    onVisibility(listener) {
      if (typeof document === "undefined") return () => {};
      document.addEventListener("visibilitychange", listener);
      return () => document.removeEventListener("visibilitychange", listener);
    },
    openChannel,
    lock: typeof navigator !== "undefined" && navigator.locks ? lockInBrowser : createPageLocks(),
    navigate: (url) => location.assign(url),
    currentUrl: () => location.href,
    replaceUrl: (url) => history.replaceState(history.state, "", url),
    ceremonies: browserCeremonies,
  };
}

function openChannel(name: string, onMessage: (message: unknown) => void): Channel | undefined {
  if (typeof document === "undefined" || typeof BroadcastChannel === "undefined") return undefined;
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => onMessage(data);
  return {
    post: (message) => channel.postMessage(message),
    close: () => channel.close(),
  };
}

/** By the Web Locks API. */
function lockInBrowser(name: string, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve) => {
    const held = (): Promise<void> => new Promise((release) => resolve(release));
    // It rejects when it was not waited for any longer, and in pages that may keep nothing.
    navigator.locks.request(name, { signal }, held).catch(() => resolve(() => {}));
  });
}

/** Locks of this page alone, for browsers that have no others: by plain http, all but for localhost. */
export function createPageLocks(): Surroundings["lock"] {
  const lasts = new Map<string, Promise<void>>();
  return async (name, signal) => {
    const before = lasts.get(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    lasts.set(
      name,
      Promise.all([before, promise]).then(() => {}),
    );
    const given = new Promise<void>((stop) => {
      if (signal.aborted) stop();
      signal.addEventListener("abort", () => stop(), { once: true });
    });
    await Promise.race([before, given]);
    return resolve;
  };
}

/**
 * A clock out of two: in some browsers the monotonic one stands still while the
 * device sleeps, and the wall clock may be set back. Whichever has moved
 * further is right.
 */
export function createClock(monotonicMs: () => number, wallMs: () => number): Clock {
  const startedAtMs = { monotonic: monotonicMs(), wall: wallMs() };
  return {
    now: () => new Date(wallMs()),
    monotonicMs: () => Math.max(monotonicMs() - startedAtMs.monotonic, wallMs() - startedAtMs.wall),
  };
}
