import { writeSync } from "node:fs";
import { type DestinationStream, type Logger, pino } from "pino";
import type { Log } from "./log.ts";

function toLog(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    infoText: (members, message) => {
      if (logger.isLevelEnabled("info")) logger.info(JSON.parse(`{${members}}`), message);
    },
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => toLog(logger.child(fields)),
  };
}

type Level = "debug" | "info" | "warn" | "error";

function toSettings(level: Level, timestamp: () => string) {
  return {
    level,
    base: null,
    messageKey: "message",
    formatters: { level: (name: string) => ({ level: name }) },
    timestamp,
  };
}

/** The log of a process. */
export interface ProcessLog {
  readonly log: Log;
  /** Where its lines go. */
  readonly output: { readonly lostCount: number };
}

/**
 * A logger to standard output: one JSON object a line, or lines for people.
 * The printer for people is loaded only when asked for.
 *
 * @param isShared whether other processes write there as well.
 */
export async function createLog(
  options: { readonly level: Level; readonly format: "pretty" | "json" },
  isShared = false,
): Promise<ProcessLog> {
  const output = openStandardOutput(isShared, (lostCount) =>
    log.error({ lostCount }, "the log can be written again; lines of it are lost"),
  );
  const log =
    options.format === "json"
      ? createJsonLog(options.level, output)
      : await createPrettyLog(options.level, output);
  return { log, output };
}

async function createPrettyLog(level: Level, output: DestinationStream): Promise<Log> {
  const { default: pretty } = await import("pino-pretty");
  const print = pretty.prettyFactory({
    colorize: true,
    ignore: "pid,hostname",
    messageKey: "message",
    singleLine: true,
  });
  return toLog(pino(toSettings(level, createTimestamp()), { write: (line) => output.write(print(line)) }));
}

/**
 * A logger that writes one JSON object a line.
 *
 * Every request logs one line at `info`, and pino makes a line value by value,
 * which costs a cheap request more than all else the edge does. So those are
 * made by JSON.stringify or come as texts, to the same line, at a third of that;
 * what it cannot do, an error or a circle, is left to pino.
 */
export function createJsonLog(level: Level, output: DestinationStream): Log {
  const timestamp = createTimestamp();
  const log = toLog(pino(toSettings(level, timestamp), output));
  if (level !== "debug" && level !== "info") return log;
  /** The end of a line with the latest message: nearly all say the same. */
  let latest = { message: "", end: `,"message":""}\n` };
  function infoText(members: string, message: string): void {
    if (message !== latest.message) latest = { message, end: `,"message":${JSON.stringify(message)}}\n` };
    output.write(`{"level":"info"${timestamp()}${members === "" ? "" : ","}${members}${latest.end}`);
  }
  return {
    ...log,
    info(fields, message) {
      const members = toMembers(fields);
      if (members === undefined) log.info(fields, message);
      else infoText(members, message);
    },
    infoText,
  };
}

/** The members of an object in JSON; undefined for what pino has to write. */
function toMembers(fields: object): string | undefined {
  if ("err" in fields) return undefined;
  try {
    return JSON.stringify(fields).slice(1, -1);
  } catch {
    return undefined;
  }
}

/** The time member of a line. Made once for all lines of the same millisecond. */
function createTimestamp(): () => string {
  let madeAtMs = Number.NaN;
  let made = "";
  return () => {
    const nowMs = Date.now();
    if (nowMs !== madeAtMs) {
      madeAtMs = nowMs;
      made = `,"time":"${new Date(nowMs).toISOString()}"`;
    }
    return made;
  };
}

/** How many characters of lines wait at most while they can be written, and for how long. */
const waitingLength = 65_536;
const waitingMs = 5;

/** How many wait at most for a reader that does not read. */
const stalledLength = 4 * 1024 * 1024;

/** How long a process that exits goes on trying to write what is left. */
const lastTryMs = 500;

const lineFeed = 10;

/** How lines leave the process, and who hears that some were lost. */
export interface LogOutputOptions {
  /** Writes some of the bytes and says how many; throws as `writeSync` does. */
  readonly write: (bytes: Buffer) => number;
  /** Called when lines are written again after some were lost, with how many that were since the start. */
  readonly onBack: (lostCount: number) => void;
}

/**
 * Where lines of the log go. Nothing that becomes of them there may end or
 * hold up the process: a disk that is full, a reader that has gone or one that
 * does not read costs lines, which are counted.
 *
 * Written once for all lines of some milliseconds: writing each costs twice
 * what making it does, and a turn of the event loop brings but one or two cheap
 * requests.
 */
export class LogOutput {
  readonly #write: (bytes: Buffer) => number;
  readonly #onBack: (lostCount: number) => void;
  #waiting = "";
  /** What was begun to be written, and did not all go. */
  #begun: Buffer = Buffer.alloc(0);
  #timer: NodeJS.Timeout | undefined;
  #lost = 0;
  /** Whether lines were lost that nobody has been told of. */
  #isLossUnsaid = false;
  /** Whether the last that was written is half a line. */
  #isTorn = false;

  constructor(options: LogOutputOptions) {
    this.#write = options.write;
    this.#onBack = options.onBack;
  }

  /** How many lines could not be written. */
  get lostCount(): number {
    return this.#lost;
  }

  /** Takes a line with its end. Never throws. */
  write(line: string): void {
    this.#timer ??= setTimeout(() => this.flush(), waitingMs).unref();
    this.#waiting += line;
    if (this.#waiting.length <= waitingLength) return;
    if (this.#begun.length === 0) this.flush();
    else if (this.#waiting.length > stalledLength) this.#dropWaiting();
  }

  /** Writes what waits, as far as it goes at once. Never throws. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#begun.length > 0 || this.#waiting !== "") {
      if (this.#begun.length === 0) this.#begin();
      if (!this.#goOn()) break;
    }
    if (this.#begun.length > 0 || this.#waiting !== "") {
      this.#timer ??= setTimeout(() => this.flush(), waitingMs).unref();
    }
  }

  /** Writes what waits, with some patience for a slow reader: nothing comes after it. */
  finish(): void {
    const endsAtMs = performance.now() + lastTryMs;
    this.flush();
    while (this.#begun.length > 0 && performance.now() < endsAtMs) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, waitingMs);
      this.flush();
    }
    clearTimeout(this.#timer);
  }

  #begin(): void {
    // A line that could not be written whole ends here, and harms none but itself.
    this.#begun = Buffer.from(this.#isTorn ? `\n${this.#waiting}` : this.#waiting);
    this.#waiting = "";
  }

  /** Writes on; false when nothing goes for now. */
  #goOn(): boolean {
    try {
      while (this.#begun.length > 0) {
        const written = this.#write(this.#begun);
        if (written > 0) this.#isTorn = this.#begun[written - 1] !== lineFeed;
        this.#begun = this.#begun.subarray(written);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return false;
      this.#dropBegun();
      this.#dropWaiting();
      return false;
    }
    if (this.#isLossUnsaid) {
      this.#isLossUnsaid = false;
      this.#onBack(this.#lost);
    }
    return true;
  }

  #dropBegun(): void {
    this.#lose(this.#begun.reduce((lines, byte) => lines + Number(byte === lineFeed), 0));
    this.#begun = Buffer.alloc(0);
  }

  #dropWaiting(): void {
    this.#lose(this.#waiting.split("\n").length - 1);
    this.#waiting = "";
  }

  #lose(lines: number): void {
    if (lines === 0) return;
    this.#lost += lines;
    this.#isLossUnsaid = true;
  }
}

/** As much as is written to a pipe at once or not at all, on every system (`PIPE_BUF`, pipe(7)), in bytes. */
const pipeBytes = 4_096;

/**
 * How many bytes to write at once to a pipe that others write to as well, so
 * that nothing of theirs comes into the middle of a line: whole lines, unless
 * one is longer than that can be promised for.
 */
export function toWholeLines(bytes: Buffer): number {
  if (bytes.length <= pipeBytes) return bytes.length;
  const end = bytes.lastIndexOf(lineFeed, pipeBytes - 1);
  return end >= 0 ? end + 1 : bytes.indexOf(lineFeed) + 1 || bytes.length;
}

/** Writes to standard output. What still waits when the process exits is written then. */
function openStandardOutput(isShared: boolean, onBack: (lostCount: number) => void): LogOutput {
  const write = (bytes: Buffer) => writeSync(1, bytes, 0, isShared ? toWholeLines(bytes) : bytes.length);
  const output = new LogOutput({ write, onBack });
  process.on("exit", () => output.finish());
  return output;
}
