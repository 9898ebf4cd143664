import { type DestinationStream, type Logger, pino } from "pino";
import type { Log } from "./log.ts";

function toLog(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => toLog(logger.child(fields)),
  };
}

/**
 * A logger to standard output: one JSON object a line, or lines for people.
 * The printer for people is loaded only when asked for.
 */
export async function createLog(options: {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly format: "pretty" | "json";
}): Promise<Log> {
  const settings = {
    level: options.level,
    base: null,
    messageKey: "message",
    formatters: { level: (level: string) => ({ level }) },
    timestamp: createTimestamp(),
  };
  if (options.format === "json") return toLog(pino(settings, openOutput()));
  const { default: pretty } = await import("pino-pretty");
  const stream = pretty({
    colorize: true,
    ignore: "pid,hostname",
    messageKey: "message",
    sync: true,
    singleLine: true,
  });
  return toLog(pino(settings, stream));
}

/** How many characters of lines wait at most. */
const waitingLength = 65_536;

/**
 * Standard output, written once for all lines of a turn of the event loop: a
 * system call a line would cost a request more than making the line does. What
 * still waits when the process exits is written then.
 */
function openOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: true });
  let waiting = "";
  const flush = () => {
    if (waiting !== "") output.write(waiting);
    waiting = "";
  };
  process.on("exit", flush);
  return {
    write(line) {
      if (waiting === "") setImmediate(flush);
      waiting += line;
      if (waiting.length > waitingLength) flush();
    },
  };
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
