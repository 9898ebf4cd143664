/**
 * Commands of the command line: each takes its arguments and a context, and
 * throws what the operator is told in one line. They own no rules; what a
 * command does is done by the rooms it calls, as in the server.
 */
import type { Clock } from "../lib/clock.ts";

/** Environment, folder, clock and terminal that a command runs with. */
export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths start from. */
  readonly cwd: string;
  /** Whether standard output is a terminal. */
  readonly isTty: boolean;
  readonly clock: Clock;
  /** Writes a line to standard output. */
  readonly print: (line: string) => void;
  /** Writes a text to standard output as it is. */
  readonly write: (text: string) => void;
  /** Writes texts to standard output, no faster than they are taken. */
  readonly stream: (texts: AsyncIterable<string>) => Promise<void>;
  /** Standard error: whether it is a terminal, and writing a text to it as it is. */
  readonly errors: Pick<CommandContext, "isTty" | "write">;
  /** Resolves with the signal's name when the process is asked to end. */
  readonly untilStopped: () => Promise<string>;
  /** Calls `listener` at each SIGHUP. */
  readonly onHangUp: (listener: () => void) => void;
}

/** A command of the command line. Resolves when done; throws what {@link UsageError} and its kin say. */
export type Command = (args: readonly string[], context: CommandContext) => Promise<void>;

/** Commands by name, and what those of them have to say that have more than a line of help. */
export interface CommandTable {
  readonly commands: Readonly<Record<string, Command>>;
  readonly helpTexts: Readonly<Record<string, string>>;
}

/** The command line makes no sense. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A command has done what it could, and has to say what it could not. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  /** What the process ends with: not 0. */
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}
