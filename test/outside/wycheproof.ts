/**
 * Wycheproof: vectors of JWS, JWK, ECDSA, RSA and EdDSA that broke others.
 *
 * What vectors of bare signatures sign is no JWS, so they go to what every
 * place stands on: node:crypto as our own keys use it, and WebCrypto, which is
 * what `jose` calls. Whole JWS go through the verification of others' tokens,
 * and before every place, which has to refuse them in order: none is its token.
 */
import assert from "node:assert/strict";
import { createPublicKey, type KeyObject, type webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DomainError } from "../../server/src/lib/errors.ts";
import {
  isSignatureAlgorithm,
  type SignatureAlgorithm,
  type SigningAlgorithm,
  signatureAlgorithms,
} from "../../server/src/signatures/algorithms.ts";
import { readCompactJws } from "../../server/src/signatures/compact-jws.ts";
import { isOfFullLength, isSignedByOne } from "../../server/src/signatures/foreign-jws.ts";
import { createFixedKeys, findSigningKeys } from "../../server/src/signatures/key-set.ts";
import { readPublicKey, UnusableKey } from "../../server/src/signatures/public-key.ts";
import { isSignatureOf } from "../../server/src/signatures/signing.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { openPlaces } from "../parts/signatures/places.ts";
import type { Jwk } from "../parts/signatures/signer.ts";
import { findGoModule } from "../parts/toolchains.ts";

const vectors = "github.com/c2sp/wycheproof@v0.0.0-20260902155932-3fa63dd0344a";

const ownAlgorithms: readonly SignatureAlgorithm[] = ["ES256", "RS256", "EdDSA"];

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly result: "valid" | "invalid" | "acceptable";
  readonly msg: string;
  readonly sig: string;
  /** In JSON serialization (RFC 7515 §7.2) an object. */
  readonly jws?: string | object;
}

interface Group {
  readonly comment?: string;
  readonly publicKeyDer: string;
  readonly public?: Jwk;
  readonly private?: Jwk;
  readonly tests: readonly Vector[];
}

function readGroups(folder: string, file: string): readonly Group[] {
  const text = readFileSync(join(folder, "testvectors_v1", `${file}_test.json`), "utf8");
  return (JSON.parse(text) as { testGroups: Group[] }).testGroups;
}

/** Files of bare signatures, by the algorithm they are of. */
const signatureFiles: Partial<Record<SignatureAlgorithm, readonly string[]>> = {
  ES256: ["ecdsa_secp256r1_sha256_p1363"],
  ES384: ["ecdsa_secp384r1_sha384_p1363"],
  ES512: ["ecdsa_secp521r1_sha512_p1363"],
  RS256: [2048, 3072, 4096, 8192].map((bits) => `rsa_signature_${bits}_sha256`),
  RS384: [2048, 3072, 4096, 8192].map((bits) => `rsa_signature_${bits}_sha384`),
  RS512: [2048, 3072, 4096, 8192].map((bits) => `rsa_signature_${bits}_sha512`),
  PS256: [2048, 3072, 4096].map((bits) => `rsa_pss_${bits}_sha256_mgf1_32`),
  PS384: ["rsa_pss_2048_sha384_mgf1_48", "rsa_pss_4096_sha384_mgf1_48"],
  PS512: ["rsa_pss_4096_sha512_mgf1_64"],
  EdDSA: ["ed25519"],
};

/** Files of ECDSA signatures in DER, which is none of JOSE's encodings: not one of them is good. */
const derFiles: Partial<Record<SignatureAlgorithm, string>> = {
  ES256: "ecdsa_secp256r1_sha256",
  ES384: "ecdsa_secp384r1_sha384",
  ES512: "ecdsa_secp521r1_sha512",
};

type Verify = (key: KeyObject, data: Buffer, signature: Buffer) => boolean | Promise<boolean>;

/** How `jose` asks WebCrypto (RFC 7518 §3.1). */
function toWebCrypto(algorithm: SignatureAlgorithm): webcrypto.AlgorithmIdentifier & webcrypto.RsaPssParams {
  const bits = Number(algorithm.slice(2));
  const hash = `SHA-${bits}`;
  const names: Record<string, object> = {
    RS: { name: "RSASSA-PKCS1-v1_5", hash },
    PS: { name: "RSA-PSS", hash, saltLength: bits / 8 },
    ES: { name: "ECDSA", hash, namedCurve: bits === 512 ? "P-521" : `P-${bits}` },
  };
  return (names[algorithm.slice(0, 2)] ?? { name: "Ed25519" }) as ReturnType<typeof toWebCrypto>;
}

function listVerifiers(algorithm: SignatureAlgorithm): readonly (readonly [string, Verify])[] {
  const parameters = toWebCrypto(algorithm);
  const foreign: Verify = async (key, data, signature) => {
    const imported = key.toCryptoKey(parameters, false, ["verify"]);
    return (
      isOfFullLength(key, signature) && (await crypto.subtle.verify(parameters, imported, signature, data))
    );
  };
  const isOwn = ownAlgorithms.includes(algorithm);
  const own: Verify = (...given) => isSignatureOf(algorithm as SigningAlgorithm, ...given);
  return [["WebCrypto", foreign], ...(isOwn ? [["node:crypto", own] as const] : [])];
}

/** The key if it is one that is taken; every place asks the same function. */
function findKey(jwk: Jwk, accepted: readonly SignatureAlgorithm[]): KeyObject | undefined {
  try {
    return readPublicKey(jwk, accepted).publicKey;
  } catch (error) {
    if (error instanceof UnusableKey) return undefined;
    throw error;
  }
}

function toJwk(der: string): Jwk {
  const key = createPublicKey({ key: Buffer.from(der, "hex"), format: "der", type: "spki" });
  return key.export({ format: "jwk" }) as Jwk;
}

/** Answers how many good signatures are refused because their key is none that is taken. */
async function checkSignatures(context: PartContext, folder: string): Promise<number> {
  let underOtherKeys = 0;
  for (const algorithm of signatureAlgorithms) {
    for (const file of [...(signatureFiles[algorithm] ?? []), derFiles[algorithm] ?? []].flat()) {
      const isDer = file === derFiles[algorithm];
      for (const group of readGroups(folder, file)) {
        const key = findKey(toJwk(group.publicKeyDer), [algorithm]);
        if (key === undefined) {
          underOtherKeys += group.tests.filter(({ result }) => result === "valid").length;
          continue;
        }
        for (const { tcId, comment, result, msg, sig } of group.tests) {
          for (const [name, verify] of listVerifiers(algorithm)) {
            await context.check(`${file} ${tcId} (${comment}) by ${name}`, async () => {
              const isTaken = await verify(key, Buffer.from(msg, "hex"), Buffer.from(sig, "hex"));
              if (isDer) assert.equal(isTaken, false);
              else if (result !== "acceptable") assert.equal(isTaken, result === "valid");
            });
          }
        }
      }
    }
  }
  return underOtherKeys;
}

/** What the verification of others' tokens says of a JWS whose payload may be anything. */
async function isVerified(jws: string, keySet: Jwk): Promise<boolean> {
  try {
    const read = readCompactJws(jws, "JWS", 100_000);
    const { alg, kid } = read.header;
    if (!isSignatureAlgorithm(alg)) return false;
    const keys = await findSigningKeys(createFixedKeys(keySet), alg, kid);
    return keys !== undefined && (await isSignedByOne(read, alg, keys));
  } catch (error) {
    if (error instanceof DomainError) return false;
    throw error;
  }
}

function readAlgorithm(jws: string): unknown {
  return JSON.parse(Buffer.from(jws.split(".")[0] ?? "", "base64url").toString()).alg;
}

/** Symmetric keys verify nothing here, and a key is for the one algorithm that it names. */
function isSpoken(key: Jwk | undefined, jws: string): boolean {
  return isSignatureAlgorithm(key?.alg) && key?.alg === readAlgorithm(jws);
}

/** Answers how many good JWS are refused because their algorithm is none of ours or not their key's. */
async function checkJws(context: PartContext, folder: string): Promise<number> {
  let unspoken = 0;
  const { places, close } = await openPlaces();
  try {
    for (const file of ["json_web_signature", "json_web_key", "json_web_crypto"]) {
      for (const group of readGroups(folder, file)) {
        const published = group.public ?? group.private ?? {};
        const keySet = Array.isArray(published.keys) ? published : { keys: [published] };
        const [key] = keySet.keys as readonly Jwk[];
        const open = places.filter(
          ({ takesForeignKeys }) => takesForeignKeys || findKey(key ?? {}, ownAlgorithms),
        );
        for (const { tcId, comment, result, jws: given } of group.tests) {
          if (given === undefined) continue;
          const jws = typeof given === "string" ? given : JSON.stringify(given);
          const isGood = result === "valid" && isSpoken(key, jws);
          if (result === "valid" && !isGood) unspoken += 1;
          await context.check(`${file} ${tcId} (${comment})`, async () => {
            assert.equal(await isVerified(jws, keySet), isGood);
          });
          for (const place of open) {
            await context.check(`${file} ${tcId} (${comment}) before ${place.name}`, async () => {
              const { judge } = await place.begin();
              assert.equal(await judge({ token: jws, jwk: key ?? {} }), false);
            });
          }
        }
      }
    }
  } finally {
    await close();
  }
  return unspoken;
}

const part: Part = {
  needs: ["go"],
  async run(context) {
    const folder = await findGoModule(vectors);
    const underOtherKeys = await checkSignatures(context, folder);
    const unspoken = await checkJws(context, folder);
    return `refused though good: ${underOtherKeys} under keys that are not taken, ${unspoken} by algorithms that are not spoken`;
  },
};

export default part;
