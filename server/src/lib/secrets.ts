/**
 * Secrets that are recognised by their looks.
 *
 * `<prefix>_` and 36 bytes as base64url: 32 random ones and their CRC-32. The
 * prefix lets scanners find a leaked secret, the check sum tells a typing
 * error from a guess without a look-up. Only a SHA-256 is ever stored: with
 * 256 random bits a slow hash would protect nothing and cost a core.
 */
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import { fromBase64url } from "./base64url.ts";

/** `vsts` client secret, `vstt` opaque token, `vstk` API key, `vstp` proxy token, `vstu` personal access token. */
export type SecretPrefix = "vsts" | "vstt" | "vstk" | "vstp" | "vstu";

const randomLength = 32;
const checkLength = 4;

/** Makes a new secret. Show it once, store {@link hashSecret} of it. */
export function newSecret(prefix: SecretPrefix): string {
  const bytes = Buffer.alloc(randomLength + checkLength);
  randomBytes(randomLength).copy(bytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, randomLength)), randomLength);
  return `${prefix}_${bytes.toString("base64url")}`;
}

/** Whether a text that carries the prefix was mistyped or cut: its check sum is off. */
export function isMistyped(prefix: SecretPrefix, text: string): boolean {
  if (!text.startsWith(`${prefix}_`)) return false;
  const bytes = fromBase64url(text.slice(prefix.length + 1));
  if (bytes?.length !== randomLength + checkLength) return true;
  return crc32(bytes.subarray(0, randomLength)) !== bytes.readUInt32BE(randomLength);
}

/** SHA-256 of a secret as base64url: what is stored. */
export function hashSecret(secret: string): string {
  return hash("sha256", secret, "base64url");
}

const noHash = hashSecret("");

/**
 * Compares a presented secret with a stored hash in constant time. Without a
 * stored hash it does the same work and answers false, so that an unknown id
 * takes as long as a wrong secret.
 */
export function isSecretOf(secret: string, storedHash: string | undefined): boolean {
  const presented = Buffer.from(hashSecret(secret));
  const stored = Buffer.from(storedHash ?? noHash);
  return timingSafeEqual(presented, stored) && storedHash !== undefined;
}
