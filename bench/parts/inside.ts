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
  /** Pauses of the event loop since it was last asked, the shortest left out, and the longest commit. */
  readonly pauses: { readonly pauses: readonly Pause[]; readonly longestCommitMs: number };
  /** Statements that SQLite has run since it was last asked, what begins and ends transactions left out, and commits. */
  readonly statements: { readonly run: number; readonly commits: number };
}

/** For how long nothing else was done, in milliseconds, what other programs had the core for left out. */
export interface Pause {
  readonly allMs: number;
  /** Of it on the core: the rest the disk took. */
  readonly busyMs: number;
}

const tickMs = 1;
/** Shorter ones are nobody's trouble. */
const shortestMs = 2;

let pauses: Pause[] = [];
let longestCommitMs = 0;

let statements = { run: 0, commits: 0 };

/** Counts what runs on any connection of this process: of a file with `synchronous=full`, each commit waits for the disk once. */
function countStatements(): void {
  const probe = new Sqlite(":memory:");
  const prototype = Object.getPrototypeOf(probe.prepare("select 1"));
  probe.close();
  for (const name of ["run", "all", "get"]) {
    const own = prototype[name];
    prototype[name] = function (this: Sqlite.Statement, ...parameters: unknown[]) {
      if (this.source === "commit") return timeCommit(() => own.apply(this, parameters));
      if (!/^(?:begin|savepoint|release|rollback)/.test(this.source)) statements.run++;
      return own.apply(this, parameters);
    };
  }
}

/** A commit takes what the disk takes. */
function timeCommit<T>(commit: () => T): T {
  statements.commits++;
  const startedAt = performance.now();
  try {
    return commit();
  } finally {
    longestCommitMs = Math.max(longestCommitMs, performance.now() - startedAt);
  }
}

/** For how long this thread has been on a core, and has waited for one that had other programs to run, in milliseconds. */
function readCoreMs(): { readonly on: number; readonly waited: number } {
  const [on, waited] = readFileSync("/proc/thread-self/schedstat", "utf8").split(" ");
  return { on: Number(on) / 1e6, waited: Number(waited) / 1e6 };
}

/** A tick that comes late, less the time that other programs had the core: the pause of our own making. */
function watchPauses(): void {
  let lastAt = performance.now();
  let last = readCoreMs();
  setInterval(() => {
    const core = readCoreMs();
    const now = performance.now();
    const allMs = now - lastAt - tickMs - (core.waited - last.waited);
    if (allMs >= shortestMs) pauses.push({ allMs, busyMs: Math.min(allMs, core.on - last.on) });
    [lastAt, last] = [now, core];
  }, tickMs).unref();
}

function answer(ask: keyof Answers): Answers[keyof Answers] {
  if (ask === "pauses") {
    const seen = { pauses, longestCommitMs };
    [pauses, longestCommitMs] = [[], 0];
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
