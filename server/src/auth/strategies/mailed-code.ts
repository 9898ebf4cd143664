import { createHash, randomBytes, randomInt, timingSafeEqual } from "node:crypto";

/** Without vowels, so that no words appear, and without 0, 1, O and I, which look alike. */
const alphabet = "23456789BCDFGHJKLMNPQRSTVWXYZ";

/** How many symbols a code has: with three tries a guess is right once in 200 million. */
const codeLength = 6;

/** Makes a code for a person to type. */
export function newCode(): string {
  return Array.from({ length: codeLength }, () => alphabet[randomInt(alphabet.length)]).join("");
}

/**
 * What may stand between the symbols of a code, or come along when it is copied: spaces and dashes of
 * every kind, the minus and the long vowel that some keyboards have for one, and what nobody sees.
 */
const between = /[\s\p{Z}\p{Pd}\p{Cf}\u2212\u30fc\uff70]+/gu;

/** A code as typed, as it was mailed: full-width letters and digits are those of ASCII, and case is ignored. */
export function normalizeCode(typed: string): string {
  return typed.replace(between, "").normalize("NFKC").replace(between, "").toUpperCase();
}

/** What a flow keeps of a secret it has sent out: nothing that could be sent again. */
export type SecretDigest = {
  readonly salt: string;
  readonly digest: string;
};

function digestOf(salt: string, secret: string): Buffer {
  return createHash("sha256").update(salt).update("\0").update(secret).digest();
}

/** Digests a secret under a salt of its own. */
export function toDigest(secret: string): SecretDigest {
  const salt = randomBytes(16).toString("base64url");
  return { salt, digest: digestOf(salt, secret).toString("base64url") };
}

/** Compares in constant time. */
export function isDigestOf(kept: SecretDigest, secret: string): boolean {
  const expected = Buffer.from(kept.digest, "base64url");
  const presented = digestOf(kept.salt, secret);
  return expected.length === presented.length && timingSafeEqual(expected, presented);
}
