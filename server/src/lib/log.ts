/** What the house asks of a logger: pino's call shape, without pino. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  /**
   * As `info`, of fields that are JSON already, without the braces around
   * them: for what is said so often that to make an object of it would cost more
   * than the line.
   */
  infoText(members: string, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds the fields to every line. */
  child(fields: object): Log;
}

/** Says nothing. For tests and for tools that print their own output. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  infoText: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};
