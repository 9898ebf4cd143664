/**
 * Signatures of this service's own keys, on node:crypto directly: synchronous
 * signing is five times as fast here as by way of WebCrypto, and the algorithm
 * is pinned to the key, never read from a token.
 */
import { generateKeyPair, type KeyObject, sign, verify } from "node:crypto";
import { promisify } from "node:util";
import type { SigningAlgorithm } from "./algorithms.ts";

const generate = promisify(generateKeyPair);

/** Length of each of the two numbers of a P-256 signature, in bytes. */
const p256Length = 32;

/**
 * A P-256 signature in JOSE's form (RFC 7518 §3.4) from the DER that OpenSSL
 * makes. Asking node:crypto for the JOSE form takes an options object beside
 * the key, and with that a signature costs twice the time.
 */
export function fromDerSignature(der: Buffer): Buffer {
  const joined = Buffer.alloc(2 * p256Length);
  let at = 2;
  for (const end of [p256Length, 2 * p256Length]) {
    const stop = at + 2 + (der[at + 1] ?? 0);
    const start = Math.max(at + 2, stop - p256Length);
    der.copy(joined, end - (stop - start), start, stop);
    at = stop;
  }
  return joined;
}

/** The reverse of {@link fromDerSignature}; undefined for what has another length. */
export function toDerSignature(joined: Buffer): Buffer | undefined {
  if (joined.length !== 2 * p256Length) return undefined;
  const numbers = [joined.subarray(0, p256Length), joined.subarray(p256Length)].map(toDerNumber);
  const body = Buffer.concat(numbers);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

/** As short as it may be, and with a zero in front if it would look negative (X.690 §8.3). */
function toDerNumber(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.subarray(start);
  const sign = (digits[0] ?? 0) >= 0x80 ? [0] : [];
  return Buffer.concat([Buffer.from([0x02, digits.length + sign.length, ...sign]), digits]);
}

function verifyP256(data: Buffer, key: KeyObject, signature: Buffer): boolean {
  const der = toDerSignature(signature);
  return der !== undefined && verify("sha256", data, key, der);
}

interface Algorithm {
  generate(): Promise<{ privateKey: KeyObject; publicKey: KeyObject }>;
  sign(data: Buffer, key: KeyObject): Buffer;
  verify(data: Buffer, key: KeyObject, signature: Buffer): boolean;
}

const algorithms: Record<SigningAlgorithm, Algorithm> = {
  ES256: {
    generate: () => generate("ec", { namedCurve: "P-256" }),
    sign: (data, key) => fromDerSignature(sign("sha256", data, key)),
    verify: verifyP256,
  },
  RS256: {
    generate: () => generate("rsa", { modulusLength: 2048 }),
    sign: (data, key) => sign("sha256", data, key),
    verify: (data, key, signature) => verify("sha256", data, key, signature),
  },
  EdDSA: {
    generate: () => generate("ed25519"),
    sign: (data, key) => sign(null, data, key),
    verify: (data, key, signature) => verify(null, data, key, signature),
  },
};

/** Makes a key pair for an algorithm: P-256, RSA of 2048 bits or Ed25519. */
export function generateSigningKeyPair(algorithm: SigningAlgorithm): ReturnType<Algorithm["generate"]> {
  return algorithms[algorithm].generate();
}

/** Signs `data` and answers the raw JWS signature (RFC 7515 §5.1). */
export function signWith(algorithm: SigningAlgorithm, key: KeyObject, data: Buffer): Buffer {
  return algorithms[algorithm].sign(data, key);
}

/** Whether `signature` is that of `data` under the key's own algorithm. */
export function isSignatureOf(
  algorithm: SigningAlgorithm,
  key: KeyObject,
  data: Buffer,
  signature: Buffer,
): boolean {
  return algorithms[algorithm].verify(data, key, signature);
}
