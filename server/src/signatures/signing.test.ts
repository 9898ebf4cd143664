import { sign, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { SigningAlgorithm } from "./algorithms.ts";
import {
  fromDerSignature,
  generateSigningKeyPair,
  isSignatureOf,
  signWith,
  toDerSignature,
} from "./signing.ts";

const data = Buffer.from("data");

describe.each<SigningAlgorithm>(["ES256", "RS256", "EdDSA"])("%s", (algorithm) => {
  it("takes its own signatures and no others", async () => {
    const { privateKey, publicKey } = await generateSigningKeyPair(algorithm);
    const signature = signWith(algorithm, privateKey, data);
    expect(isSignatureOf(algorithm, publicKey, data, signature)).toBe(true);
    expect(isSignatureOf(algorithm, publicKey, Buffer.from("other"), signature)).toBe(false);
    for (const wrong of [Buffer.alloc(0), Buffer.alloc(64), signature.subarray(1), Buffer.alloc(500, 1)]) {
      expect(isSignatureOf(algorithm, publicKey, data, wrong)).toBe(false);
    }
  });
});

describe("signatures of P-256", () => {
  // Numbers that need padding or a sign byte come up every few hundred times.
  it("convert to and from DER, whatever their numbers", async () => {
    const { privateKey, publicKey } = await generateSigningKeyPair("ES256");
    const lengths = new Set<number>();
    for (let round = 0; round < 2000; round++) {
      const message = Buffer.from(String(round));
      const der = sign("sha256", message, privateKey);
      lengths.add(der.length);
      const joined = fromDerSignature(der);
      expect(toDerSignature(joined)).toEqual(der);
      if (round % 20 === 0) {
        const options = { key: publicKey, dsaEncoding: "ieee-p1363" } as const;
        expect(verify("sha256", message, options, joined)).toBe(true);
      }
    }
    expect(lengths.size).toBeGreaterThan(2);
  });

  it("are never taken as DER", async () => {
    const { privateKey, publicKey } = await generateSigningKeyPair("ES256");
    const der = sign("sha256", data, privateKey);
    expect(isSignatureOf("ES256", publicKey, data, der)).toBe(false);
  });

  it.each([
    ["nothing", "00".repeat(64), "3006020100020100"],
    ["the smallest", `${"00".repeat(31)}01${"00".repeat(31)}7f`, "300602010102017f"],
    ["what looks negative", `${"00".repeat(31)}80${"00".repeat(30)}ff00`, "300902020080020300ff00"],
  ])("convert %s", (_, joined, der) => {
    expect(toDerSignature(Buffer.from(joined, "hex"))?.toString("hex")).toBe(der);
    expect(fromDerSignature(Buffer.from(der, "hex")).toString("hex")).toBe(joined);
  });
});
