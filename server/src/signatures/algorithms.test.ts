import { createPublicKey } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { expect, test } from "vitest";
import { fitsKey, isSignatureAlgorithm, isSignatureBy, signatureAlgorithms } from "./algorithms.ts";
import { findFittingKeys, readKeySet } from "./key-set.ts";

test.each(signatureAlgorithms)(
  "verifies what another library signs with %s, and nothing else",
  async (name) => {
    const pair = await generateKeyPair(name, { extractable: true });
    const jwk = await exportJWK(pair.publicKey);
    const token = await new SignJWT({ a: 1 }).setProtectedHeader({ alg: name }).sign(pair.privateKey);
    const [header = "", payload = "", encoded = ""] = token.split(".");
    const signature = Buffer.from(encoded, "base64url");
    const [key] = findFittingKeys(readKeySet({ keys: [jwk] }), name);
    if (key === undefined) throw new Error("no fitting key");
    const isSigned = (data: string, by = signature) =>
      isSignatureBy(name, key.publicKey, Buffer.from(data), by);
    expect(isSigned(`${header}.${payload}`)).toBe(true);
    expect(isSigned(`${header}.${payload}x`)).toBe(false);
    for (const other of [Buffer.alloc(0), signature.subarray(1), Buffer.concat([signature, signature])]) {
      expect(isSigned(`${header}.${payload}`, other)).toBe(false);
    }
    const families = signatureAlgorithms.filter((each) => fitsKey(each, key.keyType, key.curve));
    expect(families).toContain(name);
    expect(createPublicKey({ key: jwk, format: "jwk" }).asymmetricKeyType).toBe(
      key.publicKey.asymmetricKeyType,
    );
  },
);

test("a key fits its own curve alone", () => {
  expect(fitsKey("ES256", "EC", "P-256")).toBe(true);
  expect(fitsKey("ES256", "EC", "P-384")).toBe(false);
  expect(fitsKey("ES256", "EC", undefined)).toBe(false);
  expect(fitsKey("ES256", "RSA", undefined)).toBe(false);
  expect(fitsKey("EdDSA", "OKP", "X25519")).toBe(false);
});

test.each(["none", "HS256", "rs256", "RS1", "ES256K", "toString", "", 1, null, undefined, ["RS256"]])(
  "%j is no algorithm",
  (name) => {
    expect(isSignatureAlgorithm(name)).toBe(false);
  },
);
