/**
 * Encryption at rest.
 *
 * A sealed value is `v1.<key-id>.<nonce>.<ciphertext>`: AES-256-GCM under a
 * subkey that HKDF (RFC 5869) derives for one purpose, with the table, row and
 * column it belongs to as additional data, so that a ciphertext moved to
 * another place does not open there. The first of the configured keys seals,
 * all of them open. The room owns the keys and the check that they are the
 * database's own; it never decides what is to be sealed.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import type { JsonColumn } from "../db/json-column.ts";
import type { Schema } from "../db/schema.ts";
import { fromBase64url, toBase64url } from "../lib/base64url.ts";

/** Which kind of secret is sealed: each has a subkey of its own. */
export type SealPurpose =
  | "signing-key"
  | "auth-flow"
  | "auth-provider"
  | "idempotency"
  | "gate-session"
  | "mailbox-key";

/** The one place a sealed value opens at. */
export interface SealPlace {
  readonly purpose: SealPurpose;
  readonly table: string;
  readonly rowId: string;
  readonly column: string;
}

/** Seals and opens secrets with the configured encryption keys. */
export interface Sealer {
  /** Names the key that seals. */
  readonly keyId: string;
  /** Seals with the first key. */
  seal(place: SealPlace, plaintext: Uint8Array): string;
  /** @throws Error when the key is not configured, or the value is damaged or from another place. */
  open(place: SealPlace, sealed: string): Buffer;
}

const nonceBytes = 12;
const tagBytes = 16;

function derive(key: Buffer, info: string, length: number): Buffer {
  return Buffer.from(hkdfSync("sha256", key, "", `vestibule/v1/${info}`, length));
}

/** Names a key without telling anything of it: 64 bits derived from it. */
export function encryptionKeyId(key: Buffer): string {
  return toBase64url(derive(key, "key-id", 8));
}

/** A value only the holder of `key` can compute: tells the same key from another. */
export function toCheckValue(key: Buffer): string {
  return toBase64url(derive(key, "check", 32));
}

function toAdditionalData(place: SealPlace): Buffer {
  return Buffer.from([place.table, place.rowId, place.column].join("\0"));
}

/** @param keys at least one key of 32 bytes; the first seals. */
export function createSealer(keys: readonly Buffer[]): Sealer {
  const [primary] = keys;
  if (primary === undefined) throw new Error("at least one encryption key is needed");
  const byId = new Map(keys.map((key) => [encryptionKeyId(key), key]));
  const primaryId = encryptionKeyId(primary);
  const subkeys = new Map<string, Buffer>();

  function subkey(keyId: string, purpose: SealPurpose): Buffer {
    const name = `${keyId}/${purpose}`;
    const known = subkeys.get(name);
    if (known !== undefined) return known;
    const key = byId.get(keyId);
    if (key === undefined) throw new Error(`sealed with encryption key ${keyId}, which is not configured`);
    const made = derive(key, `seal/${purpose}`, 32);
    subkeys.set(name, made);
    return made;
  }

  return {
    keyId: primaryId,
    seal(place, plaintext) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv("aes-256-gcm", subkey(primaryId, place.purpose), nonce);
      cipher.setAAD(toAdditionalData(place));
      const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
      return `v1.${primaryId}.${toBase64url(nonce)}.${toBase64url(ciphertext)}`;
    },
    open(place, sealed) {
      const [version, keyId, nonceText, ciphertextText, ...rest] = sealed.split(".");
      const nonce = fromBase64url(nonceText ?? "");
      const ciphertext = fromBase64url(ciphertextText ?? "");
      if (version !== "v1" || keyId === undefined || rest.length > 0) throw new Error("not a sealed value");
      if (nonce?.length !== nonceBytes || ciphertext === undefined || ciphertext.length < tagBytes) {
        throw new Error("a damaged sealed value");
      }
      const decipher = createDecipheriv("aes-256-gcm", subkey(keyId, place.purpose), nonce, {
        authTagLength: tagBytes,
      });
      decipher.setAAD(toAdditionalData(place));
      decipher.setAuthTag(ciphertext.subarray(-tagBytes));
      return Buffer.concat([decipher.update(ciphertext.subarray(0, -tagBytes)), decipher.final()]);
    },
  };
}

/** What names a row: the values of its primary key, in order. */
export type RowKey = readonly (string | number)[];

/**
 * A column that holds sealed values. Whoever seals into one declares it, takes
 * its places from it, and adds it to `sealed-columns.ts`: what is listed there
 * can be sealed anew under another key.
 */
export interface SealedColumn {
  readonly purpose: SealPurpose;
  readonly table: keyof Schema;
  readonly column: string;
  /** Columns of the primary key, in the order of {@link RowKey}. */
  readonly keyColumns: readonly string[];
  /** What names a row to the seal. One primary key of text is its own id. */
  readonly toRowId?: (key: RowKey) => string;
  /** Of a column that is a JSON object whose every property is a sealed value, sealed for that property. */
  readonly byProperty?: JsonColumn<Readonly<Record<string, string>>>;
}

/** The place of a value in a sealed column. @param property of a column that is sealed by property */
export function placeOf(sealed: SealedColumn, key: RowKey, property?: string): SealPlace {
  const { purpose, table, column, toRowId = ([only]) => String(only) } = sealed;
  return {
    purpose,
    table,
    rowId: toRowId(key),
    column: property === undefined ? column : `${column}.${property}`,
  };
}
