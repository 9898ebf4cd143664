/** What the process is given to do, and how it is let in when there is more than it can do. */

/** For how long a turn of the event loop begins requests as they come, and what waits after that, in milliseconds. */
const sliceMs = 20;

/** Reading what comes leaves at least this many times as long to do it, but for no longer than so many slices. */
const workShare = 2;
const mostSlices = 5;

/** How long a request may wait before it is begun, and how many may. */
const longestWaitMs = 1_000;
const mostWaiting = 2_000;

/** For how long a refusal is held back, and how many are. */
const holdMs = 1_000;
const mostHeld = 2_000;

/** A request at the door. */
export interface Arrival {
  /** When it came, as `performance.now()` has it. */
  readonly atMs: number;
  /** Begins to answer it. Must not throw, nor must the other. */
  readonly begin: () => void;
  /** Answers that it was not begun. */
  readonly refuse: () => void;
}

export interface AdmissionOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  /** Calls back once the sockets that are ready have been read. */
  readonly onTurn?: (callback: () => void) => unknown;
  readonly setTimer?: (callback: () => void, ms: number) => unknown;
}

/**
 * Requests are begun as they come while there is time for them. When a turn of
 * the event loop has taken {@link sliceMs}, what else it brings waits, first
 * come, first served, and is begun in slices with a look at the sockets between
 * them: so a turn stays short, and what is not at this door (health, metrics)
 * goes on. What has waited for {@link longestWaitMs} is refused, and so is what
 * comes while the first in the queue has, or while too many wait.
 *
 * To refuse costs a good part of what the cheapest answers cost. So a refusal
 * is held back for a second, in which its connection brings nothing else: five
 * times what can be done would otherwise leave no time to do it.
 */
export class Admission {
  readonly #now: () => number;
  readonly #onTurn: (callback: () => void) => unknown;
  readonly #setTimer: (callback: () => void, ms: number) => unknown;
  #isTurnOpen = false;
  #isAccepting = false;
  /** Since when nothing that waits was begun. */
  #workEndedAtMs = 0;
  #turnEndsAtMs = 0;
  #waiting: Arrival[] = [];
  /** Those before it in the list have been begun. */
  #next = 0;
  #held = 0;
  #refused = 0;

  constructor(options: AdmissionOptions) {
    this.#now = options.monotonicMs;
    this.#onTurn = options.onTurn ?? setImmediate;
    this.#setTimer = options.setTimer ?? setTimeout;
  }

  /** How many requests wait to be begun. */
  get waitingCount(): number {
    return this.#waiting.length - this.#next;
  }

  /** How many were refused. */
  get refusedCount(): number {
    return this.#refused;
  }

  /** Whether a request that comes then is begun without further thought: most are, when there is much to do. */
  isOpenAt(atMs: number): boolean {
    return atMs < this.#turnEndsAtMs;
  }

  /**
   * To be called for each connection that is made: there may be more, and Node
   * takes one in each turn. So for the time of a slice turns begin nothing, for
   * who asks for health waits for a connection first.
   */
  noteConnection(): void {
    this.#isAccepting = true;
    this.#turnEndsAtMs = 0;
    if (!this.#isTurnOpen) this.#openTurn(this.#now());
  }

  /** Begins a request now, later or never. */
  enter(arrival: Arrival): void {
    if (!this.#isTurnOpen) {
      this.#openTurn(arrival.atMs);
      this.#turnEndsAtMs = arrival.atMs + sliceMs;
      arrival.begin();
      return;
    }
    const first = this.#waiting[this.#next];
    const isLate = first !== undefined && this.#now() - first.atMs > longestWaitMs;
    if (isLate || this.waitingCount >= mostWaiting) this.#refuse(arrival);
    else this.#waiting.push(arrival);
  }

  #openTurn(nowMs: number): void {
    this.#isTurnOpen = true;
    this.#workEndedAtMs = nowMs;
    this.#onTurn(() => void this.#endTurn());
  }

  /** Ends a turn of direct entrance, or begins what waits for as long as a slice. */
  async #endTurn(): Promise<void> {
    this.#turnEndsAtMs = 0;
    const nowMs = this.#now();
    const readingMs = nowMs - this.#workEndedAtMs;
    if (this.#isAccepting && readingMs < sliceMs) {
      this.#isAccepting = false;
      this.#onTurn(() => void this.#endTurn());
      return;
    }
    this.#isAccepting = false;
    const endsAtMs = nowMs + Math.min(Math.max(sliceMs, workShare * readingMs), mostSlices * sliceMs);
    while (this.#next < this.#waiting.length && this.#now() < endsAtMs) {
      const first = this.#waiting[this.#next] as Arrival;
      this.#next += 1;
      if (this.#now() - first.atMs > longestWaitMs) this.#refuse(first);
      else first.begin();
      // What it does at once belongs to its time.
      await undefined;
    }
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
      this.#isTurnOpen = false;
      return;
    }
    if (this.#next >= mostWaiting) {
      this.#waiting.splice(0, this.#next);
      this.#next = 0;
    }
    this.#openTurn(this.#now());
  }

  #refuse({ refuse }: Arrival): void {
    this.#refused += 1;
    if (this.#held >= mostHeld) {
      refuse();
      return;
    }
    this.#held += 1;
    this.#setTimer(() => {
      this.#held -= 1;
      refuse();
    }, holdMs);
  }
}
