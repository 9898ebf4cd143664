/** What the process is given to do, and how it is let in when there is more than it can do. */
import { type Connection, Fifo, UnreadConnections } from "./turns.ts";

/** For how long a turn of the event loop begins requests, as they come or of those that wait, in milliseconds. */
const sliceMs = 20;

/**
 * For how long after a short turn, with nobody left waiting, requests are begun without asking for the end of
 * theirs, in milliseconds. To be called back costs what a fifth of a cheap request does where each comes in a turn of
 * its own, as from a proxy; without it a turn may be longer by as much.
 */
const calmMs = 5;

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

/** While so many wait, a connection that has had an answer is not read until it is its turn; and so many are read at once. */
const mostRead = 256;

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
  /** What it came by, where that brings one request after another. */
  readonly connection?: Connection | undefined;
  /** Begins to answer it. Must not throw, nor must the other. */
  readonly begin: () => void;
  /** Answers that it was not begun. */
  readonly refuse: () => void;
}

/** A request that waits, and since when it may have, be it to be read. */
interface Waiting {
  readonly arrival: Arrival;
  readonly sinceMs: number;
}

/** The clock that work is measured by, and how the event loop calls back. */
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
 * Who has had an answer while {@link mostRead} wait is not read until it is their
 * turn, and what they bring is as old as their last answer: it may have come at
 * once. So what waits by HTTP/1.1 waits in the kernel. What waits here, streams of
 * HTTP/2 among it, is begun by its age.
 *
 * To refuse costs a good part of what the cheapest answers cost. So a refusal
 * is held back for a second, in which its connection brings nothing else: five
 * times what can be done would otherwise leave no time to do it.
 */
export class Admission {
  readonly #now: () => number;
  readonly #onTurn: (callback: () => void) => unknown;
  readonly #setTimer: (callback: () => void, ms: number) => unknown;
  /** What waits to be begun: what was read as it came, and what had waited for that. Each is in the order of its age. */
  readonly #waiting = new Fifo<Waiting>();
  readonly #waitingSinceUnread = new Fifo<Waiting>();
  readonly #unread = new UnreadConnections();
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
    return this.#waiting.length + this.#waitingSinceUnread.length;
  }

  /** How many connections are not read until it is their turn. */
  get unreadCount(): number {
    return this.#unread.length;
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

  /** To be called for a connection that has had an answer, and may bring another request. */
  noteAnswered(connection: Connection): void {
    if (this.#unread.length > 0 || this.waitingCount >= mostRead) this.#unread.add(connection, this.#now());
  }

  /** Begins a request now, later or never. */
  enter(arrival: Arrival): void {
    const { atMs, connection } = arrival;
    if (!this.#isTurnOpen) {
      this.#openTurn(atMs);
      this.#turnEndsAtMs = atMs + sliceMs;
      arrival.begin();
      return;
    }
    const sinceMs = connection && this.#unread.findSinceMs(connection);
    const { first } = this.#waiting;
    const comesTooLate =
      sinceMs === undefined && first !== undefined && this.#isOverdue(first.sinceMs, this.#now());
    if (comesTooLate || this.waitingCount >= mostWaiting) this.#hold(arrival);
    else if (sinceMs === undefined) this.#waiting.push({ arrival, sinceMs: atMs });
    else this.#waitingSinceUnread.push({ arrival, sinceMs });
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
    const isIdle = this.waitingCount === 0 && this.#held.length === 0 && this.#unread.isEmpty;
    if (!isIdle || this.#isAccepting) {
      void this.#goOn();
      return;
    }
    this.#closeTurn();
    this.#turnEndsAtMs = this.#now() + calmMs;
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
    const goesOnAccepting = this.#goesOnAccepting(tookMs);
    if (!goesOnAccepting) {
      await this.#beginSlice(nowMs + sliceMs);
      await this.#refuseSlice();
    }
    this.#unread.read(goesOnAccepting ? 0 : mostRead - this.#waitingSinceUnread.length);
    const isDone = this.waitingCount === 0 && this.#unread.isEmpty && !this.#isRefusalDue();
    this.#isAccepting = false;
    if (isDone && !goesOnAccepting) this.#closeTurn();
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
    const sinceMs = Math.min(this.#oldest().first?.sinceMs ?? nowMs, this.#unread.firstSinceMs ?? nowMs);
    const isLate = isLateAt(sinceMs, nowMs);
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
      const next = this.#oldest().shift();
      if (next === undefined) return;
      if (this.#isOverdue(next.sinceMs, nowMs)) {
        this.#hold(next.arrival);
        continue;
      }
      this.#begun += 1;
      next.arrival.begin();
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

  /** The queue whose first has waited for longest. */
  #oldest(): Fifo<Waiting> {
    const { first } = this.#waiting;
    const { first: other } = this.#waitingSinceUnread;
    return other !== undefined && (first === undefined || other.sinceMs < first.sinceMs)
      ? this.#waitingSinceUnread
      : this.#waiting;
  }

  #isOverdue(sinceMs: number, nowMs: number): boolean {
    return this.#lateMs >= latenessMs && isLateAt(sinceMs, nowMs);
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

function isLateAt(sinceMs: number, nowMs: number): boolean {
  return nowMs - sinceMs > longestWaitMs;
}

/** Resolves once all is done that can be at once. A body is read in ticks, which come after all microtasks. */
function atOnceDone(): Promise<void> {
  return new Promise(process.nextTick);
}
