/**
 * What every command needs before it can do anything: the database, migrated,
 * and the keys, held against it.
 */
import { existsSync } from "node:fs";
import type { AuditAgent } from "./audit/audit.ts";
import { type Mailboxes, openMailboxes } from "./audit/mailboxes.ts";
import { DatabaseAuditTrail } from "./audit/trail.ts";
import { ChangeFeed } from "./changes/feed.ts";
import type { Config } from "./config/config.ts";
import {
  listOpenToGroup,
  noteUsedKeys,
  prepareDataDir,
  refuseUsedKeys,
  resolveSecrets,
  type Secrets,
} from "./config/data-dir.ts";
import type { OpenDatabase } from "./db/kysely-database.ts";
import { isEmptyDatabase, migrate } from "./db/migrate.ts";
import { openDatabase } from "./db/open-database.ts";
import { verifyKeyChecks } from "./encryption/key-checks.ts";
import { createSealer, encryptionKeyId, type Sealer } from "./encryption/sealer.ts";
import type { Clock } from "./lib/clock.ts";
import type { Log } from "./lib/log.ts";
import type { Siblings } from "./lib/siblings.ts";
import type { Tracing } from "./lib/tracing.ts";
import { createKeyRotation, type KeyRotation } from "./tokens/key-rotation.ts";
import { toEmail } from "./users/email.ts";
import { findUserByEmail } from "./users/store.ts";

/** The opened database and what stands directly on it. */
export interface Storage {
  readonly database: OpenDatabase;
  readonly feed: ChangeFeed;
  readonly audit: DatabaseAuditTrail;
  readonly mailboxes: Mailboxes;
  readonly secrets: Secrets;
  readonly sealer: Sealer;
  readonly rotation: KeyRotation;
  /** Names of the migrations that were applied now. */
  readonly applied: readonly string[];
  close(): Promise<void>;
}

/** The address of the configured database. */
export function toDatabaseUrl(config: Config): string {
  return config.database.dialect === "sqlite" ? `sqlite:${config.database.path}` : config.database.url;
}

/** A server that runs on while the database is copied to another place: what it knew is no longer true. */
function retireOnceMoved(database: OpenDatabase, feed: ChangeFeed, log: Log): void {
  feed.subscribe({
    onChange: ({ topic, subject }) => {
      if (topic !== "database") return;
      log.error({ place: subject }, "the database was moved: nothing is read or written here any more");
      database.retire(`it was moved to ${subject}`);
    },
    onReset: () => {},
  });
}

/**
 * Opens the database, brings its schema up to date and holds the keys against
 * it. Keys are generated only for a database that has no tables yet, and such a
 * one is refused beside keys that have sealed another.
 *
 * @param agent who is going to change things of its own accord.
 * @throws ConfigError, DatabaseRefusedError, KeyMismatchError; nothing stays open then.
 */
export async function openStorage(
  config: Config,
  log: Log,
  clock: Clock,
  agent: AuditAgent,
  tracing?: Tracing,
  siblings?: Siblings,
): Promise<Storage> {
  prepareDataDir(config.dataDir);
  // Before an empty one is made in its place.
  if (config.database.dialect === "sqlite" && !existsSync(config.database.path)) {
    refuseUsedKeys(config, encryptionKeyId);
  }
  const database = await openDatabase({ url: toDatabaseUrl(config), log, tracing, siblings });
  try {
    const isEmpty = await isEmptyDatabase(database);
    if (isEmpty) refuseUsedKeys(config, encryptionKeyId);
    const secrets = resolveSecrets(config, { mayGenerate: isEmpty });
    const { applied, newer } = await migrate(database);
    if (newer.length > 0)
      log.warn({ migrations: newer }, "the database is newer than this program, which may serve on it");
    await verifyKeyChecks(database, secrets, clock);
    noteUsedKeys(config, secrets.encryptionKeys.map(encryptionKeyId));
    const paths = listOpenToGroup(config);
    if (paths.length > 0) log.warn({ paths }, "the group of these may use them: nobody else is to be in it");
    const feed = new ChangeFeed({ database, log, clock });
    retireOnceMoved(database, feed, log);
    const sealer = createSealer(secrets.encryptionKeys);
    const mailboxes = await openMailboxes({ database, sealer, toEmail, findUserByEmail });
    const audit = new DatabaseAuditTrail({ database, log, clock, mailboxes });
    const { token, clockSkewSeconds } = config.authentication;
    const rotation = createKeyRotation({
      database,
      feed,
      sealer,
      clock,
      audit,
      agent,
      algorithm: token.algorithm,
      longestTokenSeconds: token.validitySeconds + clockSkewSeconds,
    });
    const close = async (): Promise<void> => {
      await audit.close();
      await feed.stop();
      await database.close();
    };
    return { database, feed, audit, mailboxes, secrets, sealer, rotation, applied, close };
  } catch (error) {
    await database.close();
    throw error;
  }
}
