import { type Logger, pino } from "pino";
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
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  };
  if (options.format === "json") return toLog(pino(settings, pino.destination({ dest: 1, sync: true })));
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
