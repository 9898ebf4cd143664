/** Who waits for their turn: requests of one HTTP/2 connection, and connections of HTTP/1.1 that are not read. */
import type { Http2Session } from "node:http2";
import { isGone, type NodeRequest, type NodeResponse } from "../http/node-http.ts";
import type { DoWork } from "../lib/request.ts";
import { canceled } from "./errors/library-errors.ts";

/** Requests of one HTTP/2 connection that are worked on at once. */
const atOnce = 128;

/**
 * Bounds the work that the requests of one HTTP/2 connection have done at once;
 * on HTTP/1.1 they come one by one. The rest wait, first come, first served, each
 * with its body read and its time running.
 *
 * A request whose caller goes away while it waits is dropped. One that is worked
 * on keeps its place until the work is over, whatever becomes of its stream:
 * resets (CVE-2023-44487) and short deadlines would be ways to have any amount of
 * work done. A stream is no work once there is one: it may have nothing to send
 * for long.
 */
export function createTurns(): (request: NodeRequest, response: NodeResponse) => DoWork | undefined {
  const bySession = new WeakMap<Http2Session, Turns>();
  return (request, response) => {
    if (!("stream" in request)) return undefined;
    return (work) => {
      const { session } = request.stream;
      if (session === undefined || isGone(response)) return Promise.reject(canceled());
      const turns = bySession.get(session) ?? new Turns();
      bySession.set(session, turns);
      return turns.take(response, work);
    };
  };
}

/** A request that waits. Neither of the two throws. */
interface Waiting {
  readonly response: NodeResponse;
  begin(): void;
  drop(): void;
}

class Turns {
  readonly #waiting = new Set<Waiting>();
  #working = 0;
  #isHandingOut = false;

  take<T>(response: NodeResponse, work: () => T | Promise<T>): T | Promise<T> {
    if (this.#working < atOnce) return this.#do(work);
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        response,
        begin: () => {
          try {
            resolve(this.#do(work));
          } catch (error) {
            reject(error);
          }
        },
        drop: () => reject(canceled()),
      };
      this.#waiting.add(waiting);
      response.once("close", () => {
        if (this.#waiting.delete(waiting)) waiting.drop();
      });
    });
  }

  #do<T>(work: () => T | Promise<T>): T | Promise<T> {
    this.#working += 1;
    let isUnderWay = false;
    try {
      const working = work();
      if (!(working instanceof Promise)) return working;
      isUnderWay = true;
      return working.finally(() => this.#end());
    } finally {
      if (!isUnderWay) this.#end();
    }
  }

  #end(): void {
    this.#working -= 1;
    this.#next();
  }

  /** Begins those whose turn it is. A loop: work that waits for nothing ends where it begins, and so may that of all who wait. */
  #next(): void {
    if (this.#isHandingOut) return;
    this.#isHandingOut = true;
    for (const waiting of this.#waiting) {
      if (this.#working >= atOnce) break;
      this.#waiting.delete(waiting);
      // Its time was over before its turn came.
      if (waiting.response.headersSent) waiting.drop();
      else waiting.begin();
    }
    this.#isHandingOut = false;
  }
}

/** First in, first out, in constant time. */
export class Fifo<T> {
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

/** A connection that brings one request after another, and can be left unread for a while: a socket of HTTP/1.1. */
export interface Connection {
  readonly destroyed: boolean;
  isPaused(): boolean;
  pause(): unknown;
  resume(): unknown;
}

/**
 * Connections that are not read until it is their turn, first come, first
 * served. Until then the kernel keeps what they bring, which costs the process
 * nothing: a request that has been read and waits is some kilobytes of objects,
 * which each collection of garbage copies.
 */
export class UnreadConnections {
  readonly #unread = new Fifo<{ readonly connection: Connection; readonly sinceMs: number }>();
  /** Those that are read in this turn, and since when they were not. */
  readonly #read = new Map<Connection, number>();

  /** How many are not read. */
  get length(): number {
    return this.#unread.length;
  }

  /** Whether none is left unread, nor was until this turn. */
  get isEmpty(): boolean {
    return this.#unread.length === 0 && this.#read.size === 0;
  }

  /** Since when the one whose turn is next is not read. */
  get firstSinceMs(): number | undefined {
    return this.#unread.first?.sinceMs;
  }

  /** Reads the connection no more until it is its turn. One that pipelines has several answers, and one turn. */
  add(connection: Connection, sinceMs: number): void {
    if (connection.isPaused()) return;
    connection.pause();
    this.#unread.push({ connection, sinceMs });
  }

  /** Has the next turn of the event loop read so many of them. */
  read(count: number): void {
    this.#read.clear();
    while (this.#read.size < count) {
      const next = this.#unread.shift();
      if (next === undefined) return;
      if (next.connection.destroyed) continue;
      this.#read.set(next.connection, next.sinceMs);
      next.connection.resume();
    }
  }

  /** Since when a request may have waited that a connection brings now, if it was left unread until this turn. */
  findSinceMs(connection: Connection): number | undefined {
    return this.#read.get(connection);
  }
}
