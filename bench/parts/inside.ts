/**
 * Loaded into a server under measurement (`--import`), for what only the
 * process itself can tell its parent: what it holds after a collection, and
 * for how long nothing else could be done.
 */
import { readFileSync } from "node:fs";
import Sqlite from "better-sqlite3";

/** What the parent may ask, and what it is answered. */
export interface Answers {
  /** Bytes of heap and of memory outside of it that objects hold, after a collection. */
  readonly memory: number;
  /** Pauses of the event loop since it was last asked, in milliseconds, the shortest left out. */
  readonly pauses: readonly number[];
  /** Statements that SQLite has run since it was last asked, what begins and ends transactions left out, and commits. */
  readonly statements: { readonly run: number; readonly commits: number };
}

const tickMs = 1;
/** Shorter ones are nobody's trouble. */
const shortestMs = 2;

let pauses: number[] = [];

let statements = { run: 0, commits: 0 };

/** Counts what runs on any connection of this process: of a file with `synchronous=full`, each commit waits for the disk once. */
function countStatements(): void {
  const probe = new Sqlite(":memory:");
  const prototype = Object.getPrototypeOf(probe.prepare("select 1"));
  probe.close();
  for (const name of ["run", "all", "get"]) {
    const own = prototype[name];
    prototype[name] = function (this: Sqlite.Statement, ...parameters: unknown[]) {
      if (this.source === "commit") statements.commits++;
      else if (!/^(?:begin|savepoint|release|rollback)/.test(this.source)) statements.run++;
      return own.apply(this, parameters);
    };
  }
}

/** How long this thread has waited for a core that had other programs to run, in milliseconds. */
function readWaitMs(): number {
  return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[1]) / 1e6;
}

/** A tick that comes late, less the time that other programs had the core: the pause of our own making. */
function watchPauses(): void {
  let lastAt = performance.now();
  let lastWaitMs = readWaitMs();
  setInterval(() => {
    const waitMs = readWaitMs();
    const now = performance.now();
    const pauseMs = now - lastAt - tickMs - (waitMs - lastWaitMs);
    if (pauseMs >= shortestMs) pauses.push(pauseMs);
    [lastAt, lastWaitMs] = [now, waitMs];
  }, tickMs).unref();
}

function answer(ask: keyof Answers): Answers[keyof Answers] {
  if (ask === "pauses") {
    const seen = pauses;
    pauses = [];
    return seen;
  }
  if (ask === "statements") {
    const seen = statements;
    statements = { run: 0, commits: 0 };
    return seen;
  }
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

if (process.send !== undefined) {
  process.on("message", (ask: keyof Answers) => process.send?.({ answer: answer(ask) }));
  process.channel?.unref();
  watchPauses();
  countStatements();
}
