/** Checkpoints of SQLite: the write-ahead log goes back into the file without holding up requests. */
import { statSync } from "node:fs";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import type { Log } from "../lib/log.ts";

/** Which file's write-ahead log is written back, and from which size on. */
export interface CheckpointerOptions {
  /** Of the database file. */
  readonly path: string;
  readonly log: Log;
  /** From which size of the log on it is written back here, in bytes. */
  readonly startBytes?: number;
  /** Time from a commit to the checkpoint it asks for, in milliseconds. */
  readonly delayMs?: number;
}

/** Result of one checkpoint, in pages of the log: how many there were, how many are in the file now. */
export interface Checkpoint {
  readonly pages: number;
  readonly writtenBack: number;
}

/** Four MiB, as SQLite's own automatic checkpoint: a server with little to do never starts the thread. */
const defaultStartBytes = 4 * 1024 * 1024;

/**
 * From how many pages on the log is begun anew. Where the writer's rests are
 * shorter than a checkpoint that never comes by itself; the writer then waits
 * for what the passive checkpoint just before has left, without keeping anybody
 * else waiting (`group-commit.ts`).
 */
const restartPages = 4000;

/** How long a transaction under way is waited for then, in milliseconds. */
const lockWaitMs = 500;

/**
 * What the thread runs: CommonJS, so that it is the same from the sources, the
 * bundle and the published package. A passive checkpoint takes what it gets
 * without waiting for anybody, and nobody waits for it.
 */
const program = `
const { parentPort, workerData } = require("node:worker_threads");
const Sqlite = require(workerData.sqlite);
const database = new Sqlite(workerData.path, { fileMustExist: true, timeout: workerData.waitMs });
database.pragma("synchronous = full");
parentPort.on("message", () => {
  try {
    const [{ log, checkpointed }] = database.pragma("wal_checkpoint(passive)");
    if (log >= workerData.restartPages) database.pragma("wal_checkpoint(restart)");
    parentPort.postMessage({ pages: log, writtenBack: checkpointed });
  } catch (error) {
    parentPort.postMessage({ failure: error.message });
  }
});
`;

/**
 * Writes an SQLite file's log back into the file, on a thread of its own: it
 * takes two waits for the disk and up to a thousand pages, in which the thread
 * that serves would serve nobody. Without it nothing is lost or wrong, only
 * slower: the writer checkpoints a log that has grown too long by itself.
 */
export class Checkpointer {
  readonly #path: string;
  readonly #log: Log;
  readonly #startBytes: number;
  readonly #delayMs: number;

  #timer: NodeJS.Timeout | undefined;
  #worker: Worker | undefined;
  #running: Promise<Checkpoint | undefined> | undefined;
  #isClosed = false;

  constructor(options: CheckpointerOptions) {
    this.#path = options.path;
    this.#log = options.log;
    this.#startBytes = options.startBytes ?? defaultStartBytes;
    this.#delayMs = options.delayMs ?? 300;
  }

  /** Takes note of a commit. Cheap. */
  noteCommit(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#logBytes() >= this.#startBytes) void this.checkpoint();
    }, this.#delayMs).unref();
  }

  /** Writes back what is committed; undefined when that failed. Joins one that is under way. Never rejects. */
  checkpoint(): Promise<Checkpoint | undefined> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Ends the thread, once it has finished what it is doing. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    // Nothing else may be left that keeps the process: without this it would end here, and with 0.
    this.#worker?.ref();
    await this.#running;
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #logBytes(): number {
    return statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  #run(): Promise<Checkpoint | undefined> {
    return new Promise((resolve) => {
      const worker = this.#worker ?? this.#start();
      this.#worker = worker;
      const drop = () => {
        if (this.#worker === worker) this.#worker = undefined;
        resolve(undefined);
      };
      const fail = (failure: string) => {
        this.#log.warn({ failure }, "the database's log could not be written back; will try again");
        resolve(undefined);
      };
      worker.removeAllListeners();
      worker.on("message", (answer: Checkpoint | { readonly failure: string }) => {
        if ("failure" in answer) fail(answer.failure);
        else resolve(answer);
      });
      worker.on("error", (error) => {
        fail(error.message);
        drop();
      });
      worker.on("exit", drop);
      worker.postMessage("checkpoint");
    });
  }

  #start(): Worker {
    const workerData = {
      path: this.#path,
      restartPages,
      waitMs: lockWaitMs,
      sqlite: createRequire(import.meta.url).resolve("better-sqlite3"),
    };
    const worker = new Worker(program, {
      eval: true,
      workerData,
      name: "checkpointer",
      // It holds a connection and a page at a time.
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
    });
    worker.unref();
    return worker;
  }
}
