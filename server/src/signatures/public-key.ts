/**
 * Public keys of others (RFC 7517 §4): the one rule for which are taken,
 * whether a caller registers them, an operator writes them into a provider or
 * an issuer publishes them.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { fromBase64url } from "../lib/base64url.ts";
import { getKeyType, isNameOf, type SignatureAlgorithm } from "./algorithms.ts";
import { isSoundEd25519Point } from "./edwards-point.ts";

/** A JWK as it came. */
export type Jwk = Readonly<Record<string, unknown>>;

/** A key that may verify. */
export interface VerifyingKey {
  readonly kid: string | undefined;
  /** What it may verify; one alone where the key names it. */
  readonly algorithms: readonly SignatureAlgorithm[];
  readonly publicKey: KeyObject;
}

/** A key is not taken: which member is wrong, and what it has to be. Repeats nothing of the key. */
export class UnusableKey extends Error {
  override readonly name = "UnusableKey";
  /** Empty when it is the key as a whole. */
  readonly member: string;

  constructor(member: string, expected: string) {
    super(expected);
    this.member = member;
  }
}

/** Smallest and largest RSA modulus, in bits; the largest bounds the work of a verification. */
const rsaBits = { least: 2048, most: 8192 } as const;

/** Smallest RSA exponent, and the bound it stays below (FIPS 186-5 §5.1). */
const rsaExponent = { least: 65537n, below: 2n ** 32n } as const;

/**
 * No modulus that a generator makes has a factor among them (SP 800-89 §5.3.3
 * checks the same), and one that has is soon factored, its private half anyone's.
 */
const smallPrimes = listPrimesBelow(752);

/** Members of private and symmetric keys (RFC 7518 §6). */
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/** Longest coordinate or modulus that is looked at, in characters. */
const longestMember = (2 * rsaBits.most) / 8;

/** Length of a coordinate, in bytes (RFC 7518 §6.2.1.2, RFC 8032 §5.1.2). */
const coordinateBytes: Readonly<Record<string, number>> = {
  "P-256": 32,
  "P-384": 48,
  "P-521": 66,
  Ed25519: 32,
};

function refuse(member: string, expected: string): never {
  throw new UnusableKey(member, expected);
}

/**
 * Reads a key that is to verify signatures of one of these algorithms.
 *
 * @throws UnusableKey for a private half, which makes the signature anyone's; a
 *   weak or malformed key, members that are not canonical base64url included; a
 *   kind, a curve or a purpose that is for something else.
 */
export function readPublicKey(jwk: Jwk, accepted: readonly SignatureAlgorithm[]): VerifyingKey {
  const algorithms = selectAlgorithms(jwk, accepted);
  for (const member of privateMembers) {
    if (member in jwk) refuse(member, "must be absent: send the public half only");
  }
  checkPurpose(jwk);
  const { kid, kty } = jwk;
  const publicKey = kty === "RSA" ? readRsa(jwk) : kty === "EC" ? readEc(jwk) : readOkp(jwk);
  return { kid: typeof kid === "string" ? kid : undefined, algorithms, publicKey };
}

/** By `kty`, `crv` and, where it is there, `alg`. */
function selectAlgorithms(
  { kty, crv, alg }: Jwk,
  accepted: readonly SignatureAlgorithm[],
): readonly SignatureAlgorithm[] {
  const ofType = accepted.filter((algorithm) => getKeyType(algorithm).keyType === kty);
  if (ofType.length === 0) refuse("kty", "must be RSA, EC or OKP");
  const curves = [...new Set(ofType.map((algorithm) => getKeyType(algorithm).curve))];
  if (!curves.includes(undefined) && !curves.some((curve) => curve === crv)) {
    refuse("crv", `must be ${curves.join(" or ")}`);
  }
  const fitting = ofType.filter((algorithm) => [undefined, crv].includes(getKeyType(algorithm).curve));
  if (alg === undefined) return fitting;
  const named = fitting.filter((algorithm) => isNameOf(alg, algorithm));
  if (named.length === 0) refuse("alg", `must be ${fitting.join(" or ")} for this key`);
  return named;
}

/** `use` and `key_ops` may be absent; what is there must allow verifying (RFC 7517 §4.2, §4.3). */
function checkPurpose({ use, key_ops: operations }: Jwk): void {
  if (use !== undefined && use !== "sig") refuse("use", "must be sig");
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    refuse("key_ops", "must contain verify");
  }
}

/** A member of the key as it has to be: canonical base64url. */
function getBytesMember(jwk: Jwk, name: string): { readonly text: string; readonly bytes: Buffer } {
  const text = jwk[name];
  if (typeof text !== "string" || text === "" || text.length > longestMember) {
    refuse(name, "must be a base64url text");
  }
  const bytes = fromBase64url(text);
  if (bytes === undefined) refuse(name, "must be base64url without padding");
  return { text, bytes };
}

function getCoordinate(jwk: Jwk, name: string): string {
  const { text, bytes } = getBytesMember(jwk, name);
  const length = coordinateBytes[String(jwk.crv)];
  if (bytes.length !== length) refuse(name, `must be of ${length} bytes`);
  return text;
}

/** Of the key's own members alone. */
function importKey(members: Record<string, string>): KeyObject {
  try {
    return createPublicKey({ key: members, format: "jwk" });
  } catch {
    return refuse("", "is not a valid key: a member has a wrong length, or the point is not on the curve");
  }
}

function readRsa(jwk: Jwk): KeyObject {
  const n = getBytesMember(jwk, "n");
  const key = importKey({ kty: "RSA", n: n.text, e: getBytesMember(jwk, "e").text });
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < rsaBits.least || modulusLength > rsaBits.most) {
    refuse("n", `must have ${rsaBits.least} to ${rsaBits.most} bits`);
  }
  const modulus = BigInt(`0x${n.bytes.toString("hex")}`);
  if (hasSmallFactor(modulus)) refuse("n", "must be a product of two large primes");
  if (isGuessable(modulus)) refuse("n", "must come of a generator without the flaw of CVE-2017-15361");
  const isSound = publicExponent >= rsaExponent.least && publicExponent < rsaExponent.below;
  if (!isSound || publicExponent % 2n === 0n) refuse("e", "must be odd, at least 65537 and below 2^32");
  return key;
}

function readEc(jwk: Jwk): KeyObject {
  return importKey({
    kty: "EC",
    crv: String(jwk.crv),
    x: getCoordinate(jwk, "x"),
    y: getCoordinate(jwk, "y"),
  });
}

function readOkp(jwk: Jwk): KeyObject {
  const x = getCoordinate(jwk, "x");
  // node:crypto takes any 32 bytes.
  if (!isSoundEd25519Point(Buffer.from(x, "base64url"))) {
    refuse("x", "must be a point on the curve, of large order");
  }
  return importKey({ kty: "OKP", crv: "Ed25519", x });
}

function listPrimesBelow(bound: number): bigint[] {
  const primes: number[] = [];
  for (let each = 2; each < bound; each++) {
    if (primes.every((prime) => each % prime !== 0)) primes.push(each);
  }
  return primes.map(BigInt);
}

function hasSmallFactor(modulus: bigint): boolean {
  return smallPrimes.some((prime) => modulus % prime === 0n);
}

/**
 * Whether both primes look like those that a widely sold chip made, which are
 * found in weeks (CVE-2017-15361): modulo every small prime a power of 65537.
 */
function isGuessable(modulus: bigint): boolean {
  return smallPrimes
    .filter((prime) => prime > 2n && prime <= 167n)
    .every((prime) => isPowerOf(65537n, modulus % prime, prime));
}

function isPowerOf(base: bigint, value: bigint, prime: bigint): boolean {
  let power = 1n;
  do {
    if (power === value) return true;
    power = (power * base) % prime;
  } while (power !== 1n);
  return false;
}
