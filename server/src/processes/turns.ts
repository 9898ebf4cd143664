/**
 * Turns between processes: at what one of them may do at a time, and what
 * guards itself. That it is another's turn is no promise, only good manners:
 * without it, who has just written would write again before the others have
 * looked, time and again.
 *
 * Whoever has the turn keeps it until another wants it, so that a process that
 * alone has something to do asks nobody.
 */
import type { Turns } from "../lib/siblings.ts";

/** After how long a process goes ahead without its turn, in milliseconds: whoever has it may be stopped. */
const impatientMs = 500;

/** The turns as one process knows them. */
export class TurnTaker implements Turns {
  readonly #send: (type: "want turn" | "end turn") => void;
  #isOurs = false;
  /** Whether it was given to us, and is to be given back. */
  #isGiven = false;
  /** Whether we have said that we want it. */
  #isWanted = false;
  /** Whether somebody else has. */
  #isAskedFor = false;
  #isUnderWay = false;
  #isAlone = false;
  #onOurs: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (type: "want turn" | "end turn") => void) {
    this.#send = send;
  }

  begin(onOurs: () => void): boolean {
    if (this.#isOurs || this.#isAlone) {
      this.#isUnderWay = true;
      return true;
    }
    this.#onOurs = onOurs;
    this.#timer ??= setTimeout(() => this.#goAhead(), impatientMs);
    if (!this.#isWanted) this.#send("want turn");
    this.#isWanted = true;
    return false;
  }

  end(): void {
    this.#isUnderWay = false;
    if (!this.#isGiven) this.#isOurs = false;
    else if (this.#isAskedFor) this.#giveBack();
  }

  /** It is ours. */
  noteGiven(): void {
    this.#isGiven = true;
    this.#isWanted = false;
    this.#goAhead();
  }

  /** Somebody else wants it. */
  noteAskedFor(): void {
    this.#isAskedFor = true;
    if (this.#isGiven && !this.#isUnderWay && this.#onOurs === undefined) this.#giveBack();
  }

  /** Nobody gives turns any more. */
  noteAlone(): void {
    this.#isAlone = true;
    this.#goAhead();
  }

  #goAhead(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isOurs = true;
    const onOurs = this.#onOurs;
    this.#onOurs = undefined;
    onOurs?.();
  }

  #giveBack(): void {
    this.#isOurs = false;
    this.#isGiven = false;
    this.#isAskedFor = false;
    this.#send("end turn");
  }
}

/** Who gives the turns: to those that want them, in order. */
export class TurnGiver {
  readonly #send: (number: number, type: "turn" | "turn wanted") => void;
  readonly #waiting: number[] = [];
  #holder: number | undefined;

  constructor(send: (number: number, type: "turn" | "turn wanted") => void) {
    this.#send = send;
  }

  /** A process wants it. */
  want(number: number): void {
    this.#waiting.push(number);
    if (this.#holder === undefined) this.#giveNext();
    else if (this.#waiting.length === 1) this.#send(this.#holder, "turn wanted");
  }

  /** A process gives it back. */
  end(number: number): void {
    if (this.#holder === number) this.#giveNext();
  }

  /** A process has ended: it neither has nor wants it. */
  leave(number: number): void {
    const at = this.#waiting.indexOf(number);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.end(number);
  }

  #giveNext(): void {
    this.#holder = this.#waiting.shift();
    if (this.#holder === undefined) return;
    this.#send(this.#holder, "turn");
    if (this.#waiting.length > 0) this.#send(this.#holder, "turn wanted");
  }
}
