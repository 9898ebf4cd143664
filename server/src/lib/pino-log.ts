import { type DestinationStream, type Logger, pino } from "pino";
import type { Log } from "./log.ts";
import { openStandardOutput } from "./log-output.ts";

function toLog(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
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
 */
export async function createLog(options: {
  readonly level: Level;
  readonly format: "pretty" | "json";
}): Promise<ProcessLog> {
  const output = openStandardOutput((lostCount) =>
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
 * made by JSON.stringify, to the same text, at a third of that; what it cannot
 * do, an error or a circle, is left to pino.
 */
export function createJsonLog(level: Level, output: DestinationStream): Log {
  const timestamp = createTimestamp();
  const log = toLog(pino(toSettings(level, timestamp), output));
  if (level !== "debug" && level !== "info") return log;
  /** The end of a line with the latest message: nearly all say the same. */
  let latest = { message: "", end: `,"message":""}\n` };
  return {
    ...log,
    info(fields, message) {
      const members = toMembers(fields);
      if (members === undefined) return log.info(fields, message);
      if (message !== latest.message) latest = { message, end: `,"message":${JSON.stringify(message)}}\n` };
      output.write(`{"level":"info"${timestamp()}${members}${latest.end}`);
    },
  };
}

/** The members of an object as they stand in a line that goes on; undefined for what pino has to write. */
function toMembers(fields: object): string | undefined {
  if ("err" in fields) return undefined;
  try {
    const text = JSON.stringify(fields);
    return text === "{}" ? "" : `,${text.slice(1, -1)}`;
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
