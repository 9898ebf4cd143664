/** What the house asks of a logger: pino's call shape, without pino. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds the fields to every line. */
  child(fields: object): Log;
}

/** Says nothing. For tests and for tools that print their own output. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};
