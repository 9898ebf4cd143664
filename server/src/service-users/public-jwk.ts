/**
 * Public keys that service users sign assertions with: which ones are taken,
 * and the one algorithm each is pinned to.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { fromBase64url } from "../lib/base64url.ts";
import { invalidField } from "../lib/invalid-field.ts";
import { isSoundEd25519Point } from "../signatures/edwards-point.ts";

/** Signature algorithms of assertions, by JOSE name (RFC 7518 §3.1, RFC 8037 §3.1). */
export type KeyAlgorithm = "RS256" | "ES256" | "EdDSA";

/** A public key as stored and answered: canonical members only (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). */
export interface PublicJwk {
  readonly kty: "RSA" | "EC" | "OKP";
  /** The one algorithm that the key may be used with. */
  readonly alg: KeyAlgorithm;
  readonly use: "sig";
  readonly kid: string;
  readonly n?: string;
  readonly e?: string;
  readonly crv?: "P-256" | "Ed25519";
  readonly x?: string;
  readonly y?: string;
}

/** Smallest and largest RSA modulus, in bits; the largest bounds the work of a verification. */
const rsaBits = { least: 2048, most: 8192 } as const;

/** Smallest RSA exponent, and the bound it stays below. */
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

type Members = Readonly<Record<string, unknown>>;

function refuse(member: string, description: string): never {
  throw invalidField(member === "" ? "public_jwk" : `public_jwk.${member}`, description);
}

/** A member of the key as it has to be: canonical base64url. */
function getBytesMember(jwk: Members, name: string): string {
  const value = jwk[name];
  if (typeof value !== "string" || value === "" || value.length > longestMember) {
    refuse(name, "must be a base64url text");
  }
  if (fromBase64url(value) === undefined) refuse(name, "must be base64url without padding");
  return value;
}

function importKey(jwk: Record<string, string>): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    return refuse("", "is not a valid key: a member has a wrong length, or the point is not on the curve");
  }
}

function listPrimesBelow(bound: number): bigint[] {
  const primes: number[] = [];
  for (let each = 2; each < bound; each++) {
    if (primes.every((prime) => each % prime !== 0)) primes.push(each);
  }
  return primes.map(BigInt);
}

function hasSmallFactor(modulus: string): boolean {
  const value = BigInt(`0x${Buffer.from(modulus, "base64url").toString("hex")}`);
  return smallPrimes.some((prime) => value % prime === 0n);
}

function readRsa(jwk: Members): KeyObject {
  const n = getBytesMember(jwk, "n");
  const key = importKey({ kty: "RSA", n, e: getBytesMember(jwk, "e") });
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < rsaBits.least || modulusLength > rsaBits.most) {
    refuse("n", `must have ${rsaBits.least} to ${rsaBits.most} bits`);
  }
  if (hasSmallFactor(n)) refuse("n", "must be a product of two large primes");
  const isSound = publicExponent >= rsaExponent.least && publicExponent < rsaExponent.below;
  if (!isSound || publicExponent % 2n === 0n) refuse("e", "must be odd, at least 65537 and below 2^32");
  return key;
}

function readEc(jwk: Members): KeyObject {
  if (jwk.crv !== "P-256") refuse("crv", "must be P-256");
  return importKey({
    kty: "EC",
    crv: "P-256",
    x: getBytesMember(jwk, "x"),
    y: getBytesMember(jwk, "y"),
  });
}

function readOkp(jwk: Members): KeyObject {
  if (jwk.crv !== "Ed25519") refuse("crv", "must be Ed25519");
  const x = getBytesMember(jwk, "x");
  const key = importKey({ kty: "OKP", crv: "Ed25519", x });
  // node:crypto takes any 32 bytes.
  if (!isSoundEd25519Point(Buffer.from(x, "base64url")))
    refuse("x", "must be a point on the curve, of large order");
  return key;
}

/** `names` are those that the algorithm may be called by in a key that is sent; EdDSA has a newer one (RFC 9864 §2.2). */
const keyTypes: Record<string, { names: readonly string[]; read: (jwk: Members) => KeyObject }> = {
  RSA: { names: ["RS256"], read: readRsa },
  EC: { names: ["ES256"], read: readEc },
  OKP: { names: ["EdDSA", "Ed25519"], read: readOkp },
};

/** `alg`, `use` and `key_ops` may be absent; what is there must allow verifying (RFC 7517 §4.2–4.4). */
function checkPurpose(jwk: Members, names: readonly unknown[]): void {
  if (jwk.alg !== undefined && !names.includes(jwk.alg)) {
    refuse("alg", `must be ${names.join(" or ")} for this key`);
  }
  if (jwk.use !== undefined && jwk.use !== "sig") refuse("use", "must be sig");
  const operations = jwk.key_ops;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    refuse("key_ops", "must contain verify");
  }
}

/**
 * Reads a key that a caller registers. Its own `kid` and members that are not
 * the key's are dropped.
 *
 * @throws DomainError INVALID_REQUEST, naming the member, for a private half, a weak or
 *   malformed key, an unknown type or curve, or a purpose other than signing.
 */
export function readPublicJwk(jwk: Members, kid: string): PublicJwk {
  for (const member of privateMembers) {
    if (member in jwk) refuse(member, "must be absent: send the public half only");
  }
  const type =
    typeof jwk.kty === "string" && Object.hasOwn(keyTypes, jwk.kty) ? keyTypes[jwk.kty] : undefined;
  if (type === undefined) refuse("kty", "must be RSA, EC or OKP");
  checkPurpose(jwk, type.names);
  return toPublicJwk(type.read(jwk), kid);
}

const algorithmsByType: Record<string, KeyAlgorithm> = { rsa: "RS256", ec: "ES256", ed25519: "EdDSA" };

/** The public half of a key, RSA, P-256 or Ed25519, as it is stored and answered. */
export function toPublicJwk(key: KeyObject, kid: string): PublicJwk {
  const alg = algorithmsByType[key.asymmetricKeyType ?? ""];
  if (alg === undefined) throw new Error("a key of a type that is not stored");
  const members = key.export({ format: "jwk" }) as Pick<PublicJwk, "kty" | "n" | "e" | "crv" | "x" | "y">;
  return { ...members, alg, use: "sig", kid };
}

/** A stored key, ready for verifying with the algorithm it names. */
export function toPublicKey(jwk: PublicJwk): KeyObject {
  return createPublicKey({ key: { ...jwk }, format: "jwk" });
}
