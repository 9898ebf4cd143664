/** The data directory: made for this process alone, and the home of keys that were not configured. */
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { toBase64url } from "../lib/base64url.ts";
import { makeFolder } from "../lib/make-folder.ts";
import { ValueError } from "../lib/value-error.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { findKeyText, flushFolder, isOpenToGroup, makeKeyFile, refuseForeignAccess } from "./key-file.ts";
import { encryptionKeyBytes, parseEncryptionKeys, parseSessionKey, sessionKeyCharacters } from "./values.ts";

/** The keys of a process, wherever they come from. Never logged. */
export interface Secrets {
  /** At least one, 32 bytes each; the first encrypts. */
  readonly encryptionKeys: readonly Buffer[];
  /** 32 ASCII characters. */
  readonly sessionHashKey: string;
  /** 32 ASCII characters. */
  readonly sessionBlockKey: string;
  /** Accepted on reading a cookie. */
  readonly previousSessionHashKeys: readonly string[];
  /** Accepted on reading a cookie. */
  readonly previousSessionBlockKeys: readonly string[];
}

/** A key that a file may hold, in the very form that its setting takes. */
interface KeyFile {
  readonly file: string;
  readonly setting: string;
  /** @throws ValueError */
  parse(text: string): unknown;
  generate(): string;
}

type KeyName = "encryption" | "sessionHash" | "sessionBlock";

const keyFiles: Readonly<Record<KeyName, KeyFile>> = {
  encryption: {
    file: "encryption.key",
    setting: "encryption_key",
    parse: parseEncryptionKeys,
    generate: () => toBase64url(randomBytes(encryptionKeyBytes)),
  },
  sessionHash: {
    file: "session-hash.key",
    setting: "authentication.session.hash_secret_key",
    parse: parseSessionKey,
    generate: generateSessionKey,
  },
  sessionBlock: {
    file: "session-block.key",
    setting: "authentication.session.block_secret_key",
    parse: parseSessionKey,
    generate: generateSessionKey,
  },
};

/** Ids of the encryption keys that a database beside this file was written with, one a line. */
const usedKeysFile = "encryption.used";

const keyNames = Object.keys(keyFiles) as readonly KeyName[];

function generateSessionKey(): string {
  return toBase64url(randomBytes((sessionKeyCharacters * 3) / 4));
}

/**
 * Makes the data directory, mode 0700, or looks at the one there is. Its
 * modes are never changed: one that everybody may enter is refused.
 *
 * @throws ConfigError
 */
export function prepareDataDir(path: string): void {
  try {
    const made = makeFolder(path, 0o700);
    if (made !== undefined) flushFolder(dirname(made));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError([
      `data_dir (or VESTIBULE_DATA_DIR): must be a folder that can be made or used, got ${code}`,
    ]);
  }
  refuseForeignAccess(path, statSync(path), "700");
}

/**
 * Looks at the data directory as {@link prepareDataDir} does and makes none.
 *
 * @returns false if there is none yet.
 * @throws ConfigError
 */
export function hasDataDir(path: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return false;
  if (!stats.isDirectory()) throw new ConfigError(["data_dir (or VESTIBULE_DATA_DIR): must be a folder"]);
  refuseForeignAccess(path, stats, "700");
  return true;
}

/** The data directory and those of its key files that the group may use as well; to be warned of. */
export function listOpenToGroup({ dataDir }: Pick<Config, "dataDir">): string[] {
  const paths = [dataDir, ...keyNames.map((name) => join(dataDir, keyFiles[name].file))];
  return paths.filter((path) => {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats !== undefined && isOpenToGroup(stats);
  });
}

/**
 * Finds the keys of this process: those configured, and for the others the
 * files of the data directory, which has to be there ({@link prepareDataDir}).
 *
 * Makes missing files only where `mayGenerate` allows it, that is where there
 * is no database yet: new keys over old data would lose it. With Postgres no
 * file is read or made.
 *
 * @throws ConfigError naming each file that is missing or unfit; nothing has
 * been made then.
 */
export function resolveSecrets(config: Config, { mayGenerate }: { readonly mayGenerate: boolean }): Secrets {
  const { session } = config.authentication;
  const keys = resolveKeys(config, mayGenerate, toConfiguredKeys(config));
  return {
    encryptionKeys: parseEncryptionKeys(keys.encryption).map((key) => Buffer.from(key, "base64url")),
    sessionHashKey: keys.sessionHash,
    sessionBlockKey: keys.sessionBlock,
    previousSessionHashKeys: session.previousHashSecretKeys,
    previousSessionBlockKeys: session.previousBlockSecretKeys,
  };
}

/** The keys of a server as texts, in the very form that their settings take. Never logged. */
export interface KeySettings {
  readonly encryptionKey: string;
  readonly sessionHashKey: string;
  readonly sessionBlockKey: string;
}

/** Finds the keys of this process as texts, and makes none. @throws ConfigError as {@link resolveSecrets} */
export function readKeyTexts(config: Config): KeySettings {
  const { encryption, sessionHash, sessionBlock } = resolveKeys(config, false, toConfiguredKeys(config));
  return { encryptionKey: encryption, sessionHashKey: sessionHash, sessionBlockKey: sessionBlock };
}

function findMissingKeys(config: Config) {
  const configured = toConfiguredKeys(config);
  return keyNames.filter(
    (name) => configured[name] === undefined && findKey(config, keyFiles[name]) === undefined,
  );
}

/** Paths of the key files that are missing and whose key is not configured. @throws ConfigError for one that is unfit */
export function listMissingKeyFiles(config: Config): string[] {
  return findMissingKeys(config).map((name) => join(config.dataDir, keyFiles[name].file));
}

/**
 * Makes the key files that are missing and whose key is not configured, on
 * SQLite, and answers what removes those that it made.
 *
 * @throws ConfigError; nothing has been made then
 */
export function putKeyFiles(
  config: Config,
  { encryptionKey, sessionHashKey, sessionBlockKey }: KeySettings,
): () => void {
  const texts = { encryption: encryptionKey, sessionHash: sessionHashKey, sessionBlock: sessionBlockKey };
  const missing = findMissingKeys(config);
  for (const name of missing) keyFiles[name].parse(texts[name]);
  const paths = missing.map((name) => join(config.dataDir, keyFiles[name].file));
  const remove = () => {
    for (const path of paths) rmSync(path, { force: true });
  };
  try {
    for (const name of missing) makeKeyFile(join(config.dataDir, keyFiles[name].file), texts[name]);
  } catch (error) {
    remove();
    throw error;
  }
  return remove;
}

/**
 * Paths of the key files that a first start would make: those that are not
 * there and whose key is not configured. Makes none.
 *
 * @throws ConfigError for a file that is unfit, or with Postgres for a key that is not configured.
 */
export function findKeyFilesToMake(config: Config): string[] {
  const configured = toConfiguredKeys(config);
  return keyNames
    .filter((name) => configured[name] === undefined && findKey(config, keyFiles[name]) === undefined)
    .map((name) => join(config.dataDir, keyFiles[name].file));
}

/**
 * Writes down that a database is written with these keys, for
 * {@link refuseUsedKeys}. With Postgres nothing is read or made.
 *
 * @throws ConfigError when it cannot be written.
 */
export function noteUsedKeys({ database, dataDir }: Config, keyIds: readonly string[]): void {
  if (database.dialect === "postgres") return;
  const path = join(dataDir, usedKeysFile);
  const known = findUsedKeys(path);
  const fresh = keyIds.filter((id) => !known.includes(id));
  if (fresh.length === 0) return;
  try {
    appendFileSync(path, fresh.map((id) => `${id}\n`).join(""), { mode: 0o600, flush: true });
    flushFolder(dataDir);
  } catch (error) {
    throw new ConfigError([`${path}: cannot be written, got ${(error as NodeJS.ErrnoException).code}`]);
  }
}

/**
 * Call it where the database is empty or missing: refuses that if a database
 * has been written with the keys there are. Then it is that one which is meant.
 *
 * @throws ConfigError
 */
export function refuseUsedKeys(config: Config, toKeyId: (key: Buffer) => string): void {
  if (config.database.dialect === "postgres") return;
  const path = join(config.dataDir, usedKeysFile);
  const used = findUsedKeys(path);
  const keys = toConfiguredKeys(config).encryption ?? findKey(config, keyFiles.encryption);
  if (keys === undefined || used.length === 0) return;
  const ids = parseEncryptionKeys(keys).map((key) => toKeyId(Buffer.from(key, "base64url")));
  if (!ids.some((id) => used.includes(id))) return;
  throw new ConfigError([
    `${config.database.path}: is ${existsSync(config.database.path) ? "empty" : "missing"}, and the encryption key has ` +
      `sealed another database: put that one in its place; only to begin with an empty one, remove ${path}`,
  ]);
}

function findUsedKeys(path: string): readonly string[] {
  return findKeyText(path)?.split("\n") ?? [];
}

type KeyTexts<T> = Readonly<Record<KeyName, T>>;

function toConfiguredKeys({ encryptionKeys, authentication }: Config): KeyTexts<string | undefined> {
  return {
    encryption: encryptionKeys.length > 0 ? encryptionKeys.join(",") : undefined,
    sessionHash: authentication.session.hashSecretKey,
    sessionBlock: authentication.session.blockSecretKey,
  };
}

function resolveKeys(
  config: Config,
  mayGenerate: boolean,
  configured: KeyTexts<string | undefined>,
): KeyTexts<string> {
  const known: Partial<Record<KeyName, string>> = {};
  const problems: string[] = [];
  // Every file is looked at before one is made, and all faults are told at once.
  for (const name of keyNames) {
    try {
      const text = configured[name] ?? findKey(config, keyFiles[name]);
      if (text !== undefined) known[name] = text;
      else if (!mayGenerate) problems.push(toMissing(config, keyFiles[name]));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const take = (name: KeyName): string => known[name] ?? generateKey(config, keyFiles[name]);
  return {
    encryption: take("encryption"),
    sessionHash: take("sessionHash"),
    sessionBlock: take("sessionBlock"),
  };
}

function findKey({ database, dataDir }: Config, { file, setting, parse }: KeyFile): string | undefined {
  if (database.dialect === "postgres") {
    throw new ConfigError([
      `${setting}: must be given: with postgres:// all keys come from the configuration`,
    ]);
  }
  const path = join(dataDir, file);
  const text = findKeyText(path);
  try {
    if (text !== undefined) parse(text);
    return text;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new ConfigError([`${path}: ${error.message} (its text is read as ${setting})`]);
  }
}

function toMissing({ dataDir }: Config, { file, setting }: KeyFile): string {
  const path = join(dataDir, file);
  return `${path}: is missing, and there is a database already; restore the file, or give its key as ${setting}`;
}

function generateKey(config: Config, key: KeyFile): string {
  makeKeyFile(join(config.dataDir, key.file), key.generate());
  const text = findKey(config, key);
  if (text === undefined)
    throw new ConfigError([`${join(config.dataDir, key.file)}: vanished while it was made`]);
  return text;
}
