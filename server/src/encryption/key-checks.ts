/**
 * Holds the configured keys against the database.
 *
 * The database keeps, for each key in use, a value that only its holder can
 * compute. A process whose keys do not match refuses to start, before it reads
 * or writes anything else: working on with other keys would lose data or let
 * two processes disagree about who is signed in.
 */
import type { Database, Reader } from "../db/database.ts";
import { lockForTransaction } from "../db/dialect.ts";
import type { Clock } from "../lib/clock.ts";
import { encryptionKeyId, toCheckValue } from "./sealer.ts";
import { findKeyChecks, insertKeyCheck, type KeyCheck, removeKeyChecks } from "./store.ts";

/** The keys of a process, as configured or generated. */
export interface ProcessKeys {
  /** The first seals; each has 32 bytes. */
  readonly encryptionKeys: readonly Buffer[];
  readonly sessionHashKey: string;
  readonly sessionBlockKey: string;
  readonly previousSessionHashKeys: readonly string[];
  readonly previousSessionBlockKeys: readonly string[];
}

/** Advisory lock of Postgres that a process takes while it holds its keys against the database. */
export const keyCheckLockKey = 7_400_006;

/** The configured keys are not those of the database. */
export class KeyMismatchError extends Error {
  override readonly name = "KeyMismatchError";
}

interface KeyedPurpose {
  readonly purpose: "encryption" | "session-hash" | "session-block";
  readonly setting: string;
  /** The first is in use from now on; the others are still accepted. */
  readonly keys: readonly Buffer[];
  /** Whether data under every recorded key must stay readable. */
  readonly keepsAll: boolean;
}

function toPurposes(keys: ProcessKeys): readonly KeyedPurpose[] {
  const texts = (current: string, previous: readonly string[]) =>
    [current, ...previous].map((text) => Buffer.from(text));
  return [
    { purpose: "encryption", setting: "encryption_key", keys: keys.encryptionKeys, keepsAll: true },
    {
      purpose: "session-hash",
      setting: "authentication.session.hash_secret_key",
      keys: texts(keys.sessionHashKey, keys.previousSessionHashKeys),
      keepsAll: false,
    },
    {
      purpose: "session-block",
      setting: "authentication.session.block_secret_key",
      keys: texts(keys.sessionBlockKey, keys.previousSessionBlockKeys),
      keepsAll: false,
    },
  ];
}

/** A purpose's keys beside what the database has recorded of them. */
interface ComparedPurpose extends KeyedPurpose {
  /** Of the key in use from now on. */
  readonly current: { readonly checkValue: string; readonly keyId: string };
  readonly isRecorded: boolean;
}

/**
 * Compares the keys with the recorded check values and changes nothing.
 *
 * @returns the settings whose key a start would record as new.
 * @throws KeyMismatchError naming the setting.
 */
export async function compareKeyChecks(reader: Reader, keys: ProcessKeys): Promise<string[]> {
  const compared = await compareAll(reader, keys);
  return compared.filter(({ isRecorded }) => !isRecorded).map(({ setting }) => setting);
}

async function compareAll(reader: Reader, keys: ProcessKeys): Promise<ComparedPurpose[]> {
  const compared: ComparedPurpose[] = [];
  for (const keyed of toPurposes(keys)) {
    const recorded = await findKeyChecks(reader, keyed.purpose);
    const own = keyed.keys.map((key) => ({ checkValue: toCheckValue(key), keyId: encryptionKeyId(key) }));
    const isOwn = (check: KeyCheck) => own.some(({ checkValue }) => checkValue === check.checkValue);
    const missing = recorded.filter((check) => !isOwn(check));
    if (missing.length > 0 && (keyed.keepsAll || missing.length === recorded.length)) {
      throw toMismatch(keyed, missing);
    }
    const [current] = own;
    if (current === undefined) throw new Error(`no key for ${keyed.setting}`);
    const isRecorded = recorded.some(({ checkValue }) => checkValue === current.checkValue);
    compared.push({ ...keyed, current, isRecorded });
  }
  return compared;
}

function toMismatch({ setting }: KeyedPurpose, missing: readonly KeyCheck[]): KeyMismatchError {
  const ids = missing.map(({ keyId }) => keyId).join(", ");
  return new KeyMismatchError(
    `${setting}: the database was written with another key (${ids}); configure that one, or keep it listed behind the new one`,
  );
}

/**
 * Compares the keys with the recorded check values and records new ones, in
 * one transaction. A key is added only beside one that the database already
 * knows: for a rotation the old key stays configured, behind the new one.
 *
 * @throws KeyMismatchError naming the setting; nothing is recorded then.
 */
export async function verifyKeyChecks(database: Database, keys: ProcessKeys, clock: Clock): Promise<void> {
  await database.transaction(async (tx) => {
    // Two processes that start together on an empty database would both find nothing to compare with.
    await lockForTransaction(tx, keyCheckLockKey);
    for (const { purpose, current, isRecorded, keepsAll } of await compareAll(tx, keys)) {
      if (isRecorded) continue;
      if (!keepsAll) await removeKeyChecks(tx, purpose);
      await insertKeyCheck(tx, { purpose, ...current }, clock.now());
    }
  });
}
