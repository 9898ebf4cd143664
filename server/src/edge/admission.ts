/** What the process is given to do, and how it is let in when there is more than it can do. */

/** For how long a turn of the event loop begins requests, as they come or of those that wait, in milliseconds. */
const sliceMs = 20;

/** For how long a turn refuses what is due for that, and how many it begins for each. */
const refusalSliceMs = 5;
const begunPerRefusal = 2;

/** How long a turn is to take with all that comes of what was begun, and how many of those that wait it may begin in any case. */
const turnMs = 20;
const leastBegun = 16;

/** For how long it counts what turns took. */
const memoryMs = 300;

/** For how long turns may do nothing but take connections; then as much time has to be left for all else. */
const acceptMs = 100;

/** How long a request may wait before it is begun, and how many may. */
const longestWaitMs = 1_000;
const mostWaiting = 8_000;

/**
 * For how long the first in the queue must have waited too long before anything
 * is refused for that, and how much of one turn counts to it at most: a process
 * that was held up (a pause of its machine) has no more to do than it can.
 */
const latenessMs = 1_000;
const mostOfTurnMs = 100;

/** For how long a refusal is held back, unless there are more than so many. */
const holdMs = 1_000;
const mostHeld = 4_000;

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
 * goes on. Most of a request's work comes after it was begun (signatures,
 * commits, answers), so how many a slice begins follows from how long turns take
 * for each that was begun. Once the first in the queue has been late for
 * {@link latenessMs}, what has waited for {@link longestWaitMs} is refused, and so
 * is what comes meanwhile; and at once what comes while too many wait.
 *
 * To refuse costs a good part of what the cheapest answers cost. So a refusal
 * is held back for a second, in which its connection brings nothing else: five
 * times what can be done would otherwise leave no time to do it.
 */
export class Admission {
  readonly #now: () => number;
  readonly #onTurn: (callback: () => void) => unknown;
  readonly #setTimer: (callback: () => void, ms: number) => unknown;
  readonly #waiting = new Fifo<Arrival>();
  /** What is to be refused, by when that was decided. */
  readonly #held = new Fifo<{ readonly atMs: number; readonly refuse: () => void }>();
  #refused = 0;

  #isTurnOpen = false;
  /** Until when requests are begun as they come. */
  #turnEndsAtMs = 0;
  #turnBeganAtMs = 0;
  /** How many a slice may begin, and how many the last one did. */
  #mostBegun = leastBegun;
  #begun = 0;
  /** What the last turns took, and how much the slices in them began; the older, the less it counts. */
  #busyMs = 0;
  #done = 0;
  #isTimerSet = false;
  /** For how long turns have found the first in the queue late, less the time since; at most {@link latenessMs}. */
  #lateMs = 0;

  /** Whether this turn has brought a connection. */
  #isAccepting = false;
  /** For how long turns did nothing but take connections, less what others took. Once it is {@link acceptMs}, it is paid back. */
  #acceptedMs = 0;
  #owesWork = false;

  constructor(options: AdmissionOptions) {
    this.#now = options.monotonicMs;
    this.#onTurn = options.onTurn ?? setImmediate;
    this.#setTimer = options.setTimer ?? setTimeout;
  }

  /** How many requests wait to be begun. */
  get waitingCount(): number {
    return this.#waiting.length;
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
   * takes one in each turn. So turns begin nothing for a while, for who asks for
   * health waits for a connection first.
   */
  noteConnection(): void {
    this.#isAccepting = true;
    this.#turnEndsAtMs = 0;
    this.#openTurn(this.#now());
  }

  /** Begins a request now, later or never. */
  enter(arrival: Arrival): void {
    if (!this.#isTurnOpen) {
      this.#openTurn(arrival.atMs);
      this.#turnEndsAtMs = arrival.atMs + sliceMs;
      arrival.begin();
      return;
    }
    const { first } = this.#waiting;
    const isRefused = first !== undefined && this.#isOverdue(first, this.#now());
    if (isRefused || this.#waiting.length >= mostWaiting) this.#hold(arrival);
    else this.#waiting.push(arrival);
  }

  #openTurn(nowMs: number): void {
    if (this.#isTurnOpen) return;
    this.#isTurnOpen = true;
    this.#begun = 0;
    this.#turnBeganAtMs = nowMs;
    this.#onTurn(() => this.#endTurn());
  }

  #endTurn(): void {
    this.#turnEndsAtMs = 0;
    if (this.#isAccepting || this.#waiting.length > 0 || this.#held.length > 0) void this.#goOn();
    else this.#closeTurn();
  }

  #closeTurn(): void {
    this.#isTurnOpen = false;
    this.#lateMs = 0;
    this.#acceptedMs = 0;
    this.#owesWork = false;
  }

  /** Does for a slice what is to be done, and has the next turn do what is left. */
  async #goOn(): Promise<void> {
    const nowMs = this.#now();
    const tookMs = nowMs - this.#turnBeganAtMs;
    this.#turnBeganAtMs = nowMs;
    this.#adapt(tookMs);
    this.#noteLateness(nowMs, Math.min(tookMs, mostOfTurnMs));
    if (!this.#goesOnAccepting(tookMs)) {
      await this.#beginSlice(nowMs + sliceMs);
      await this.#refuseSlice();
    }
    const isDone = this.#waiting.length === 0 && !this.#isRefusalDue() && !this.#isAccepting;
    this.#isAccepting = false;
    if (isDone) this.#closeTurn();
    else this.#onTurn(() => this.#endTurn());
  }

  /** Has slices begin as many requests as make turns of {@link turnMs}. */
  #adapt(tookMs: number): void {
    const kept = Math.exp(-tookMs / memoryMs);
    this.#busyMs = this.#busyMs * kept + tookMs;
    this.#done = this.#done * kept + this.#begun;
    this.#mostBegun = Math.max((turnMs * this.#done) / Math.max(this.#busyMs, 1), leastBegun);
    this.#begun = 0;
  }

  #noteLateness(nowMs: number, countedMs: number): void {
    const { first } = this.#waiting;
    const isLate = first !== undefined && isLateAt(first, nowMs);
    this.#lateMs = isLate
      ? Math.min(this.#lateMs + countedMs, latenessMs)
      : Math.max(this.#lateMs - countedMs, 0);
  }

  /** Whether this turn begins nothing, since it brought a connection and there may be more. */
  #goesOnAccepting(tookMs: number): boolean {
    const goesOn = this.#isAccepting && !this.#owesWork;
    this.#isAccepting = goesOn;
    this.#acceptedMs = Math.max(0, this.#acceptedMs + (goesOn ? tookMs : -tookMs));
    if (this.#acceptedMs >= acceptMs) this.#owesWork = true;
    else if (this.#acceptedMs === 0) this.#owesWork = false;
    return goesOn;
  }

  async #beginSlice(endsAtMs: number): Promise<void> {
    for (let nowMs = this.#now(); nowMs < endsAtMs && this.#begun < this.#mostBegun; nowMs = this.#now()) {
      const first = this.#waiting.shift();
      if (first === undefined) return;
      if (this.#isOverdue(first, nowMs)) {
        this.#hold(first);
        continue;
      }
      this.#begun += 1;
      first.begin();
      await atOnceDone();
    }
  }

  async #refuseSlice(): Promise<void> {
    const endsAtMs = this.#now() + refusalSliceMs;
    const most = Math.max(this.#begun, leastBegun) / begunPerRefusal;
    for (let count = 0; count < most && this.#isRefusalDue() && this.#now() < endsAtMs; count += 1) {
      this.#held.shift()?.refuse();
      await atOnceDone();
    }
    const { first } = this.#held;
    if (first === undefined || this.#isTimerSet) return;
    this.#isTimerSet = true;
    this.#setTimer(
      () => {
        this.#isTimerSet = false;
        this.#openTurn(this.#now());
      },
      Math.max(0, first.atMs + holdMs - this.#now()),
    );
  }

  #isOverdue(arrival: Arrival, nowMs: number): boolean {
    return this.#lateMs >= latenessMs && isLateAt(arrival, nowMs);
  }

  #isRefusalDue(): boolean {
    const { first, length } = this.#held;
    return first !== undefined && (length > mostHeld || this.#now() - first.atMs >= holdMs);
  }

  #hold({ refuse }: Arrival): void {
    this.#refused += 1;
    this.#held.push({ atMs: this.#now(), refuse });
  }
}

function isLateAt({ atMs }: Arrival, nowMs: number): boolean {
  return nowMs - atMs > longestWaitMs;
}

/** Resolves once all is done that can be at once. A body is read in ticks, which come after all microtasks. */
function atOnceDone(): Promise<void> {
  return new Promise(process.nextTick);
}

/** First in, first out, in constant time. */
class Fifo<T> {
  #items: T[] = [];
  #next = 0;

  get length(): number {
    return this.#items.length - this.#next;
  }

  get first(): T | undefined {
    return this.#items[this.#next];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const { first } = this;
    if (first === undefined) return undefined;
    this.#next += 1;
    // What is left is at most as much as what has gone.
    if (this.#next * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    return first;
  }
}
