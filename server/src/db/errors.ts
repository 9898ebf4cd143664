/** Failures of both drivers, told apart by what they mean here. */
import { DomainError, type Reason } from "../lib/errors.ts";

/**
 * The database is not opened at all: another server holds it, a newer version
 * made it, its address makes no sense. The message is meant for the operator's
 * terminal; nothing of it reaches a caller.
 */
export class DatabaseRefusedError extends Error {
  override readonly name = "DatabaseRefusedError";
}

/**
 * SQLite's result codes that mean "not now", "not on this disk" or, where a
 * trigger refuses, "not here any more" (`moves.ts`). A broken
 * reference is among them: what a row hangs on was deleted between the look and
 * the write, and whoever tries again is told so by the rule that looks.
 */
const unavailableSqliteCodes = [
  "SQLITE_CONSTRAINT_FOREIGNKEY",
  "SQLITE_CONSTRAINT_TRIGGER",
  "SQLITE_BUSY",
  "SQLITE_LOCKED",
  "SQLITE_FULL",
  "SQLITE_IOERR",
  "SQLITE_READONLY",
  "SQLITE_CANTOPEN",
  "SQLITE_CORRUPT",
  "SQLITE_NOTADB",
  "SQLITE_NOMEM",
  "SQLITE_PROTOCOL",
];

/**
 * SQLSTATEs that mean the same: connection (08), a broken reference (23503),
 * rolled back by the server for concurrency (40), resources (53), lock not available (55P03), cancelled by
 * time-out or shutdown (57), system error (58), idle transaction ended (25P03),
 * refused at the door (28), or what the role may not do (42501), which an
 * operator can grant.
 */
const unavailableSqlStates = /^(?:08|23503|40|42501|53|55P03|57|58|25P03|28)/;

const unavailableSystemCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ECONNABORTED",
]);

/** What `pg` says, without a code, of a connection that is gone. */
const lostConnectionText =
  /connection terminated|connection error|not queryable|timeout exceeded|query read timeout/i;

/**
 * SQLSTATEs of a session that is alive and no longer good for anything: it may
 * not write any more (25006), it does not find our tables (42P01, 3F000), or a
 * statement it was prepared with (26000).
 */
const unfitSqlStates = new Set(["25006", "42P01", "3F000", "26000"]);

/** What an operator can do something about, in their words. */
const plainTexts: Readonly<Record<string, string>> = {
  SQLITE_CANTOPEN: "the file cannot be opened",
  SQLITE_FULL: "the disk is full",
  SQLITE_IOERR_WRITE: "the disk cannot be written",
  SQLITE_NOTADB: "the file is no SQLite database",
  SQLITE_READONLY: "the file cannot be written",
  ECONNREFUSED: "nothing answers at its address",
  ENOTFOUND: "its host name is unknown",
  SQLITE_CONSTRAINT_TRIGGER: "it was moved to another place",
  "57000": "it was moved to another place",
  "28P01": "the user or the password is wrong",
  "25006": "the server takes no writes",
  "28000": "the user may not connect",
  "3D000": "it has no database of that name",
  "53300": "it has no connection to spare",
  "55P03": "somebody else keeps a table locked",
};

/** SQLSTATE of what the role has no right to. */
const notPermitted = "42501";

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function isSqliteUnavailable(code: string): boolean {
  return unavailableSqliteCodes.some((primary) => code === primary || code.startsWith(`${primary}_`));
}

/**
 * Whether a failure of `pg` left its connection unusable: everything that the
 * server did not itself answer, and its farewells.
 */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error);
  if (/^[0-9A-Z]{5}$/.test(code) && !unavailableSystemCodes.has(code)) return /^(?:08|57P)/.test(code);
  return (
    unavailableSystemCodes.has(code) || (error instanceof Error && lostConnectionText.test(error.message))
  );
}

/**
 * Whether a failure says that its session, though it is alive, and all that
 * were begun when it was, must not be used again.
 */
export function isSessionUnfit(error: unknown): boolean {
  // The text of a stale plan is the server's language; the place in its source is not.
  const isPlanStale =
    error instanceof Error && "routine" in error && error.routine === "RevalidateCachedQuery";
  return isPlanStale || unfitSqlStates.has(codeOf(error));
}

/**
 * Turns what the database's driver threw into `DomainError` UNAVAILABLE when it
 * means "locked, full or gone"; everything else comes back as it was.
 */
export function toUnavailable(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  const code = codeOf(error);
  const isGone = isConnectionLost(error) || isSessionUnfit(error);
  if (!isSqliteUnavailable(code) && !unavailableSqlStates.test(code) && !isGone) return error;
  // Without a code it is one of the few texts of `lostConnectionText`, which name nothing.
  const detail = plainTextOf(error) ?? (code || firstLineOf(error));
  return new DomainError("UNAVAILABLE", { cause: error, detail: `database: ${detail}` });
}

/**
 * Turns any error of opening a database into UNAVAILABLE: then it is the
 * operator's to mend, and what the driver says is all that is known.
 */
export function toOpeningError(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  const detail = plainTextOf(error) ?? (firstLineOf(error) || codeOf(error));
  return new DomainError("UNAVAILABLE", { cause: error, detail: `database: ${detail}` });
}

function plainTextOf(error: unknown): string | undefined {
  const code = codeOf(error);
  // Names the table, and no value.
  const text = code === notPermitted ? firstLineOf(error) : plainTexts[code];
  return text === undefined ? undefined : `${text} (${code})`;
}

function firstLineOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}

/** Whether Postgres ended a wait for another's lock: for its time, or as each waited for the other. */
export function isLockRefused(error: unknown): boolean {
  return ["55P03", "40P01"].includes(codeOf(error instanceof DomainError ? error.cause : error));
}

/** Whether SQLite refused because another process is writing. */
export function isSqliteBusy(error: unknown): boolean {
  const code = codeOf(error instanceof DomainError ? error.cause : error);
  return code === "SQLITE_BUSY" || code.startsWith("SQLITE_BUSY_");
}

/**
 * Whether a write broke a primary key or a unique index, on either database.
 * The transaction it happened in cannot be continued: let the error end it.
 */
export function isUniqueViolation(error: unknown): boolean {
  const code = codeOf(error);
  return code === "SQLITE_CONSTRAINT_UNIQUE" || code === "SQLITE_CONSTRAINT_PRIMARYKEY" || code === "23505";
}

/** What SQLite says of a table or an index whose name another one has, or a view. */
const takenName = /^(?:table|view|index) \S+ already exists$|^there is already an? (?:table|index) named /;

/** Whether a table or an index could not be made because something there has that name. */
export function isTableTaken(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  return codeOf(error) === "42P07" || takenName.test(error.message);
}

/** What a write answers. @throws DomainError of `reason` when what it would store is there already, by {@link isUniqueViolation} */
export async function orTaken<T>(write: Promise<T>, reason: Reason): Promise<T> {
  try {
    return await write;
  } catch (error) {
    throw isUniqueViolation(error) ? new DomainError(reason, { cause: error }) : error;
  }
}
