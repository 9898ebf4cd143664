/** The two places of a copy, looked at before anything is done to them. */
import type { Reader } from "../db/database.ts";
import { DatabaseRefusedError } from "../db/errors.ts";
import { getSchemaState, refuseNoRoom } from "../db/migrate.ts";
import { findMove, type Move, refuseMoved } from "../db/moves.ts";
import { isPostgresUrl, sqlitePath } from "../db/open-database.ts";
import { findOpenReader } from "../db/open-reader.ts";
import { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import { CopyError } from "./errors.ts";

/** A database's address as it may be shown and kept: where it is, without who may use it. */
export function toPlace(url: string): string {
  if (!isPostgresUrl(url)) return `sqlite:${sqlitePath(url)}`;
  const { host, pathname } = new URL(url);
  return `postgres://${host}${pathname}`;
}

/**
 * Looks at a database without making or changing anything.
 *
 * @param name how it is called where it is refused
 * @throws CopyError where it cannot be reached, or `work` refuses it
 */
export async function inspect<T>(
  url: string,
  name: string,
  work: (reader: Reader | undefined) => Promise<T>,
): Promise<T> {
  try {
    const opened = await findOpenReader({ url, log: silentLog });
    try {
      return await work(opened?.reader);
    } finally {
      await opened?.close();
    }
  } catch (error) {
    if (error instanceof DomainError && error.kind === "unavailable")
      throw new CopyError(`${name}: ${error.detail ?? error.message}`, { cause: error });
    if (error instanceof CopyError || error instanceof DatabaseRefusedError)
      throw new CopyError(`${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** @throws CopyError, DatabaseRefusedError for what cannot be copied */
export async function requireSource(reader: Reader | undefined): Promise<Reader> {
  if (reader === undefined || (await getSchemaState(reader)).isEmpty)
    throw new CopyError("there is nothing to copy: there is no database yet");
  const move = await findMove(reader);
  if (move?.state === "arriving") await refuseMoved(reader);
  await requireSchema(reader);
  // What refuses writes once it is left is a function in that schema: told now, and not when all is copied.
  await refuseNoRoom(reader);
  return reader;
}

/** @throws CopyError, DatabaseRefusedError for a schema that is not this program's */
export async function requireSchema(reader: Reader): Promise<void> {
  const { pending, newer } = await getSchemaState(reader);
  if (newer.length > 0) {
    throw new CopyError(
      `it has the schema of a newer version of vestibule (${newer.join(", ")}, unknown here): copy by that version`,
    );
  }
  if (pending.length > 0) {
    throw new CopyError("it has the schema of an older version of vestibule: run vestibule migrate on it");
  }
}

/** @param move of the source. @throws CopyError, DatabaseRefusedError for what nothing can be copied into */
export async function refuseTarget(reader: Reader | undefined, move: Move | undefined): Promise<void> {
  const isEmpty = reader === undefined || (await getSchemaState(reader)).isEmpty;
  const there = isEmpty ? undefined : await findMove(reader);
  const isOurs = there?.state === "arriving" && there.copyId === move?.copyId;
  if (move?.state === "moved" && !isOurs) {
    throw new CopyError(
      `nothing is copied into it: the source was moved to ${move.place} at ${move.at.toISOString()}; ` +
        "take it back first (vestibule copy --take-back)",
    );
  }
  if (isEmpty) {
    if (reader !== undefined) await refuseNoRoom(reader);
    return;
  }
  if (there?.state === "arriving" && !isOurs) {
    throw new CopyError(
      `it is an unfinished copy of another database, ${there.place}: copy into an empty one`,
    );
  }
  if (!isOurs) throw new CopyError("it has tables already: copy into an empty database");
  const { pending, newer } = await getSchemaState(reader);
  if (pending.length + newer.length === 0) return;
  throw new CopyError(
    "the copy there was begun by another version of vestibule: go on with that one, or copy into an empty database",
  );
}
