import { type createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import { DomainError } from "../lib/errors.ts";
import { toPublicKey } from "../signatures/public-jwk.ts";
import { readPublicJwk } from "./public-jwk.ts";

type Jwk = Record<string, unknown>;

const kid = "019a0000-0000-7000-8000-000000000001";
const exported = (key: ReturnType<typeof createPublicKey>) => key.export({ format: "jwk" }) as Jwk;
const rsaPair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const rsa = exported(rsaPair.publicKey);
const rsa3072 = exported(generateKeyPairSync("rsa", { modulusLength: 3072 }).publicKey);
const ec = exported(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
const ed = exported(generateKeyPairSync("ed25519").publicKey);

function bytes(hex: string): string {
  return Buffer.from(hex, "hex").toString("base64url");
}

function hexOf(text: unknown): string {
  return Buffer.from(String(text), "base64url").toString("hex");
}

function withoutZeros(text: string): string {
  return bytes(hexOf(text).replace(/^(00)+/, ""));
}

function encode(modulus: bigint): string {
  const hex = modulus.toString(16);
  return bytes(hex.padStart(hex.length + (hex.length % 2), "0"));
}

const countFrom2 = (length: number) => Array.from({ length }, (_, index) => BigInt(index + 2));
const primes = countFrom2(750).filter((each) => !countFrom2(27).some((d) => d < each && each % d === 0n));

/** A modulus of so many bits without a small factor: nothing else is looked at. */
function modulus(bits: number): string {
  let value = 2n ** BigInt(bits) - 1n;
  while (primes.some((prime) => value % prime === 0n)) value -= 2n;
  return encode(value);
}

/** The real modulus, made divisible by a factor at its low end. */
function divisibleBy(factor: bigint): string {
  const value = BigInt(`0x${hexOf(rsa.n)}`);
  return encode(value - (value % factor));
}

/** A modulus of 2048 bits that is a power of 65537 modulo every prime up to 167. */
function guessableModulus(): string {
  const product = primes.filter((prime) => prime > 2n && prime <= 167n).reduce((a, b) => a * b);
  for (let factor = 2n ** 2047n / product + 1n; ; factor += 1n) {
    const value = factor * product + (65537n ** 5n % product);
    if (primes.every((prime) => value % prime !== 0n)) return encode(value);
  }
}

describe("public keys of callers", () => {
  it.each<[string, Jwk, string]>([
    ["RSA of 2048 bits", rsa, "RS256"],
    ["RSA of 3072 bits", rsa3072, "RS256"],
    ["RSA of 8192 bits", { ...rsa, n: modulus(8192) }, "RS256"],
    ["RSA whose modulus has a zero in front", { ...rsa, n: bytes(`00${hexOf(rsa.n)}`) }, "RS256"],
    ["RSA with the largest exponent", { ...rsa, e: bytes("ffffffff") }, "RS256"],
    ["P-256", ec, "ES256"],
    ["Ed25519", ed, "EdDSA"],
    ["a fitting alg", { ...ec, alg: "ES256" }, "ES256"],
    ["the newer name of EdDSA", { ...ed, alg: "Ed25519" }, "EdDSA"],
    ["use sig", { ...ec, use: "sig" }, "ES256"],
    ["key_ops with verify among others", { ...ed, key_ops: ["encrypt", "verify"] }, "EdDSA"],
    ["a kid and members nobody knows", { ...ec, kid: "mine", x5u: "https://example.org", more: 1 }, "ES256"],
  ])("takes %s", (_, jwk, alg) => {
    const read = readPublicJwk(jwk, kid);
    const { kty, n, e, crv, x, y } = jwk;
    const members = Object.entries({ kty, n, e, crv, x, y }).filter(([, value]) => value !== undefined);
    const canonical = {
      ...Object.fromEntries(members),
      ...(typeof n === "string" && { n: withoutZeros(n) }),
    };
    expect(read).toEqual({ ...canonical, alg, use: "sig", kid });
    expect(toPublicKey(read).type).toBe("public");
  });

  it.each<[string, Jwk, string]>([
    ["no key type", {}, "kty"],
    ["a symmetric key", { kty: "oct", k: "c2VjcmV0" }, "kty"],
    ["an unknown type", { kty: "AKP" }, "kty"],
    ["a type that is an object's own", { kty: "constructor" }, "kty"],
    ["a type that is no text", { kty: ["RSA"] }, "kty"],
    ...["d", "p", "q", "dp", "dq", "qi", "oth", "k"].map((member): [string, Jwk, string] => [
      `the private member ${member}`,
      { ...rsa, [member]: "AQAB" },
      member,
    ]),
    ["a private member that is null", { ...ec, d: null }, "d"],
    ["RSA of 2047 bits", { ...rsa, n: modulus(2047) }, "n"],
    ["RSA of 1024 bits", { ...rsa, n: modulus(1024) }, "n"],
    ["RSA of 8193 bits", { ...rsa, n: modulus(8193) }, "n"],
    ["RSA of a megabit", { ...rsa, n: modulus(2 ** 20) }, "n"],
    ["an even modulus", { ...rsa, n: divisibleBy(2n) }, "n"],
    ["a modulus divisible by 3", { ...rsa, n: divisibleBy(3n) }, "n"],
    ["a modulus divisible by 751", { ...rsa, n: divisibleBy(751n) }, "n"],
    ["a modulus of a flawed generator", { ...rsa, n: guessableModulus() }, "n"],
    ["a modulus of ones alone", { ...rsa, n: encode(2n ** 2048n - 1n) }, "n"],
    ["RSA without modulus", { kty: "RSA", e: "AQAB" }, "n"],
    ["RSA without exponent", { kty: "RSA", n: rsa.n }, "e"],
    ["exponent 1", { ...rsa, e: bytes("01") }, "e"],
    ["exponent 3", { ...rsa, e: bytes("03") }, "e"],
    ["exponent 65535", { ...rsa, e: bytes("ffff") }, "e"],
    ["an even exponent", { ...rsa, e: bytes("010002") }, "e"],
    ["an exponent of 33 bits", { ...rsa, e: bytes("0100000001") }, "e"],
    ["base64 with padding", { ...rsa, e: "AQAB==" }, "e"],
    ["base64 of the other alphabet", { ...ec, x: "+/+/" }, "x"],
    ["a modulus that is a number", { ...rsa, n: 65537 }, "n"],
    ["another curve", { ...ec, crv: "P-384" }, "crv"],
    ["a curve of the other type", { ...ec, crv: "Ed25519" }, "crv"],
    ["secp256k1", { ...ec, crv: "secp256k1" }, "crv"],
    ["X25519", { ...ed, crv: "X25519" }, "crv"],
    ["a point off the curve", { ...ec, y: ec.x }, ""],
    ["half a point", { kty: "EC", crv: "P-256", x: ec.x }, "y"],
    ["a short coordinate", { ...ec, x: "AAAA" }, "x"],
    ["a coordinate with a zero too many", { ...ec, x: bytes(`00${hexOf(ec.x)}`) }, "x"],
    ["Ed25519 of 31 bytes", { ...ed, x: Buffer.alloc(31, 1).toString("base64url") }, "x"],
    ["Ed25519 off the curve", { ...ed, x: bytes(`02${"00".repeat(31)}`) }, "x"],
    ["Ed25519's neutral element", { ...ed, x: bytes(`01${"00".repeat(31)}`) }, "x"],
    [
      "an Ed25519 point of order 8",
      { ...ed, x: bytes("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05") },
      "x",
    ],
    ["Ed25519 in two spellings", { ...ed, x: bytes(`ee${"ff".repeat(30)}7f`) }, "x"],
    ["a foreign alg", { ...ec, alg: "RS256" }, "alg"],
    ["Ed25519 for another key", { ...ec, alg: "Ed25519" }, "alg"],
    ["Ed448", { ...ed, alg: "Ed448" }, "alg"],
    ["RSA for PS256", { ...rsa, alg: "PS256" }, "alg"],
    ["alg none", { ...rsa, alg: "none" }, "alg"],
    ["HS256", { ...rsa, alg: "HS256" }, "alg"],
    ["use enc", { ...rsa, use: "enc" }, "use"],
    ["key_ops without verify", { ...rsa, key_ops: ["sign"] }, "key_ops"],
    ["key_ops that is a text", { ...rsa, key_ops: "verify" }, "key_ops"],
  ])("refuses %s", (_, jwk, member) => {
    const field = member === "" ? "public_jwk" : `public_jwk.${member}`;
    let refusal: unknown;
    try {
      readPublicJwk(jwk, kid);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(DomainError);
    const { reason, violations } = refusal as DomainError;
    expect(reason).toBe("INVALID_REQUEST");
    expect(violations.map((violation) => violation.field)).toEqual([field]);
  });

  it("keeps a key that verifies", () => {
    const data = Buffer.from("data");
    const signature = sign("sha256", data, rsaPair.privateKey);
    expect(verify("sha256", data, toPublicKey(readPublicJwk(rsa, kid)), signature)).toBe(true);
  });

  it("takes every key that Ed25519 makes", () => {
    for (let round = 0; round < 50; round += 1) {
      const made = exported(generateKeyPairSync("ed25519").publicKey);
      expect(readPublicJwk(made, kid).x).toBe(made.x);
    }
  });
});
