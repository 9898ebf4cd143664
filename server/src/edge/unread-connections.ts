import { Fifo } from "../lib/fifo.ts";

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
