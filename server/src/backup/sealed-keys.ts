/**
 * Keys in a backup, sealed by a passphrase: scrypt (RFC 7914) makes the key,
 * AES-256-GCM seals. What it takes to open them stands beside them, so that a
 * later version may ask for more.
 */
import { createCipheriv, createDecipheriv, randomBytes, type ScryptOptions, scrypt } from "node:crypto";
import type { KeySettings } from "../config/data-dir.ts";
import { BackupError } from "./errors.ts";

/** Keys as they stand in a backup; bytes in base64. */
export interface SealedKeys {
  readonly kdf: "scrypt";
  /** Cost, block size and parallelization (RFC 7914 §2): 128 MiB and about a second. */
  readonly n: number;
  readonly r: number;
  readonly p: number;
  readonly salt: string;
  readonly nonce: string;
  readonly sealed: string;
}

const cost = { n: 2 ** 17, r: 8, p: 1 };

/** Most memory that opening a backup may take, whatever its header asks for; a pass over it takes seconds. */
const mostBytes = 1024 * 1024 * 1024;

/** Most passes (RFC 7914 §2, parallelization), for the same reason. */
const mostPasses = 16;

const place = Buffer.from("vestibule backup keys 1");
const tagBytes = 16;

/** Shortest passphrase that is taken: whoever has the file may try as many as they like. */
const shortestPassphrase = 12;

/** Seals keys. @throws BackupError for a passphrase that is too short */
export async function sealKeys(keys: KeySettings, passphrase: string): Promise<SealedKeys> {
  if (passphrase.length < shortestPassphrase) {
    throw new BackupError(`the passphrase must have at least ${shortestPassphrase} characters`);
  }
  const [salt, nonce] = [randomBytes(16), randomBytes(12)];
  const cipher = createCipheriv("aes-256-gcm", await derive(passphrase, salt, cost), nonce);
  cipher.setAAD(place);
  const sealed = Buffer.concat([cipher.update(JSON.stringify(keys)), cipher.final(), cipher.getAuthTag()]);
  const [saltText, nonceText] = [salt.toString("base64"), nonce.toString("base64")];
  return { kdf: "scrypt", ...cost, salt: saltText, nonce: nonceText, sealed: sealed.toString("base64") };
}

/** Opens what {@link sealKeys} sealed. @throws BackupError when the passphrase is another, or the keys were altered */
export async function openKeys(sealed: SealedKeys, passphrase: string): Promise<KeySettings> {
  const bytes = Buffer.from(sealed.sealed, "base64");
  const nonce = Buffer.from(sealed.nonce, "base64");
  const key = await derive(passphrase, Buffer.from(sealed.salt, "base64"), sealed);
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(place).setAuthTag(bytes.subarray(-tagBytes));
    const text = Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]);
    return JSON.parse(text.toString("utf8")) as KeySettings;
  } catch {
    throw new BackupError("the keys cannot be opened: the passphrase is another, or they were altered");
  }
}

function derive(
  passphrase: string,
  salt: Buffer,
  { n, r, p }: Pick<SealedKeys, "n" | "r" | "p">,
): Promise<Buffer> {
  const options: ScryptOptions = { N: n, r, p, maxmem: mostBytes };
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  try {
    if (p > mostPasses) throw new RangeError(`p is ${p}`);
    scrypt(passphrase.normalize("NFC"), salt, 32, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  } catch {
    reject(new BackupError("the keys cannot be opened: their header asks for what no backup of ours does"));
  }
  return promise;
}
