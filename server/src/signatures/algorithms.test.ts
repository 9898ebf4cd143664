import { KeyObject } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { expect, test } from "vitest";
import { isNameOf, isSignatureAlgorithm, listNames, signatureAlgorithms } from "./algorithms.ts";
import { readCompactJws } from "./compact-jws.ts";
import { isSignedByOne } from "./foreign-jws.ts";
import { findFittingKeys, readKeySet } from "./key-set.ts";

test.each(signatureAlgorithms)(
  "verifies what is signed with %s, by a key of its kind alone",
  async (name) => {
    const pair = await generateKeyPair(name, { extractable: true });
    const set = readKeySet({ keys: [await exportJWK(pair.publicKey)] });
    const token = await new SignJWT({ a: 1 }).setProtectedHeader({ alg: name }).sign(pair.privateKey);
    const isSigned = (text: string) =>
      isSignedByOne(readCompactJws(text, "token", 10_000), name, findFittingKeys(set, name));
    expect(await isSigned(token)).toBe(true);
    const [header, , signature] = token.split(".");
    expect(await isSigned(`${header}.e30.${signature}`)).toBe(false);
    const kind = signatureAlgorithms.filter((each) => findFittingKeys(set, each).length > 0);
    const expected = name.startsWith("ES")
      ? [name]
      : listNames(name).length > 1
        ? ["EdDSA", "Ed25519"]
        : ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    expect(kind).toEqual(expected);
  },
);

test.each([
  ["RS256", "ES256"],
  ["RS256", "EdDSA"],
  ["RS256", "PS256"],
  ["ES256", "RS256"],
  ["ES256", "ES384"],
  ["EdDSA", "ES256"],
  ["PS256", "ES256"],
] as const)("refuses to verify %s by a key for %s, whoever handed it over", async (name, other) => {
  const pair = await generateKeyPair(other, { extractable: true });
  // A signature that the key itself would take: only the algorithm is another.
  const token = await new SignJWT({ a: 1 }).setProtectedHeader({ alg: other }).sign(pair.privateKey);
  const jws = readCompactJws(token, "token", 10_000);
  const publicKey = KeyObject.from(pair.publicKey);
  const verifying = isSignedByOne(jws, name, [{ publicKey }]);
  // Both are RSA's, and a signature of the one is none of the other.
  if (name === "RS256" && other === "PS256") await expect(verifying).resolves.toBe(false);
  else await expect(verifying).rejects.toThrow();
});

test.each(["ES256", "RS256", "EdDSA"] as const)(
  "takes no signature of %s of another length",
  async (name) => {
    const pair = await generateKeyPair(name, { extractable: true });
    const token = await new SignJWT({ a: 1 }).setProtectedHeader({ alg: name }).sign(pair.privateKey);
    const jws = readCompactJws(token, "token", 10_000);
    const keys = [{ publicKey: KeyObject.from(pair.publicKey) }];
    const isSigned = (signature: Buffer) => isSignedByOne({ ...jws, signature }, name, keys);
    expect(await isSigned(jws.signature)).toBe(true);
    expect(await isSigned(Buffer.alloc(0))).toBe(false);
    expect(await isSigned(jws.signature.subarray(0, -1))).toBe(false);
    expect(await isSigned(Buffer.concat([jws.signature, Buffer.alloc(1)]))).toBe(false);
    expect(await isSigned(Buffer.alloc(jws.signature.length))).toBe(false);
  },
);

test.each(["none", "HS256", "rs256", "RS1", "ES256K", "toString", "", 1, null, undefined, ["RS256"]])(
  "%j is no algorithm",
  (name) => {
    expect(isSignatureAlgorithm(name)).toBe(false);
    expect(isNameOf(name, "RS256")).toBe(false);
  },
);

test("EdDSA has two names", () => {
  expect(isNameOf("Ed25519", "EdDSA")).toBe(true);
  expect(isNameOf("EdDSA", "Ed25519")).toBe(true);
  expect(isNameOf("ES384", "ES256")).toBe(false);
});
