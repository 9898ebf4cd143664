import { createPrivateKey, KeyObject, randomUUID, type webcrypto } from "node:crypto";
import { SignJWT } from "jose";
import type { Credential } from "./credential.ts";

/** How an assertion is signed. */
export type AssertionAlgorithm = "ES256" | "RS256" | "EdDSA";

/** A key pair whose public half is registered with a service user. */
export interface KeyPairOptions {
  /** Id of the service user: `principal_id` of what `CreateServiceUserJWK` answered. */
  readonly serviceUserId: string;
  /** Id of the key: its `kid`. */
  readonly keyId: string;
  /** PEM text (PKCS#8, unencrypted) or a key that was loaded already. */
  readonly privateKey: string | KeyObject | webcrypto.CryptoKey;
  /** Default: the one that fits the key. */
  readonly algorithm?: AssertionAlgorithm;
  /** Who assertions are made out to. Default: the client's `issuer`. */
  readonly audience?: string;
}

/**
 * Long enough for a clock that is minutes behind; `iat` is left out for one that is ahead. An
 * assertion that is stolen later is used up already.
 */
const assertionTtlSeconds = 300;

/**
 * Authenticates by assertions it signs itself (RFC 7523 §2.1): the private key
 * never leaves the process. Each assertion is good for one use.
 *
 * @throws TypeError when the key cannot be read or does not fit the algorithm.
 */
export function keyPair(options: KeyPairOptions): Credential {
  const { serviceUserId, keyId, audience } = options;
  if (!serviceUserId || !keyId) throw new TypeError("keyPair needs serviceUserId and keyId");
  const privateKey = toPrivateKey(options.privateKey);
  const algorithm =
    privateKey instanceof KeyObject ? findAlgorithm(privateKey) : findWebAlgorithm(privateKey);
  if (algorithm === undefined) throw new TypeError("keyPair needs an EC P-256, Ed25519 or RSA key");
  if (options.algorithm !== undefined && options.algorithm !== algorithm) {
    throw new TypeError(`keyPair: a key for ${algorithm} does not sign ${options.algorithm}`);
  }

  /** A new assertion (RFC 7523 §3). */
  async function sign(issuer: string): Promise<string> {
    return await new SignJWT()
      .setProtectedHeader({ alg: algorithm as string, kid: keyId, typ: "JWT" })
      .setIssuer(serviceUserId)
      .setSubject(serviceUserId)
      .setAudience(audience ?? issuer)
      .setJti(randomUUID())
      .setExpirationTime(`${assertionTtlSeconds}s`)
      .sign(privateKey);
  }

  return {
    kind: "key_pair",
    async fetchToken(endpoint) {
      const assertion = await sign(endpoint.issuer);
      return await endpoint.exchange({
        grantType: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion,
      });
    },
  };
}

/** The parser's own error is left out: it may quote what it read. */
function toPrivateKey(key: KeyPairOptions["privateKey"]): KeyObject | webcrypto.CryptoKey {
  try {
    const privateKey = typeof key === "string" ? createPrivateKey(key) : key;
    if (privateKey.type === "private") return privateKey;
  } catch {}
  throw new TypeError("keyPair: privateKey is not an unencrypted private key");
}

function findAlgorithm({
  asymmetricKeyType,
  asymmetricKeyDetails,
}: KeyObject): AssertionAlgorithm | undefined {
  switch (asymmetricKeyType) {
    case "rsa":
      return "RS256";
    case "ed25519":
      return "EdDSA";
    case "ec":
      return asymmetricKeyDetails?.namedCurve === "prime256v1" ? "ES256" : undefined;
    default:
      return undefined;
  }
}

function findWebAlgorithm({ algorithm }: webcrypto.CryptoKey): AssertionAlgorithm | undefined {
  switch (algorithm.name) {
    case "RSASSA-PKCS1-v1_5":
      return (algorithm as webcrypto.RsaHashedKeyAlgorithm).hash.name === "SHA-256" ? "RS256" : undefined;
    case "Ed25519":
      return "EdDSA";
    case "ECDSA":
      return (algorithm as webcrypto.EcKeyAlgorithm).namedCurve === "P-256" ? "ES256" : undefined;
    default:
      return undefined;
  }
}
