/** Keys, and JWS put together by hand, so that any one part can be odd. */
import {
  constants,
  generateKeyPairSync,
  type KeyObject,
  type SigningOptions,
  sign,
  type webcrypto,
} from "node:crypto";

export type Jwk = Readonly<Record<string, unknown>>;

/** Algorithms of the corpus, by JOSE name. */
export type Algorithm = "ES256" | "ES384" | "ES512" | "RS256" | "PS256" | "EdDSA";

/** What a place that verifies wants to read: good in everything until a case changes it. */
export interface Draft {
  /** Its `kid` names the key; the signer adds `alg`. */
  readonly header: Readonly<Record<string, unknown>> & { readonly kid: string };
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A token and the key that it is to be verified with. */
export interface Presented {
  readonly token: string;
  readonly jwk: Jwk;
}

const joined = { dsaEncoding: "ieee-p1363" } as const;

/** How each algorithm signs, and the size and order of its curve (SEC 2 §2.4, §2.5, §2.6). */
export const algorithms: Record<
  Algorithm,
  {
    readonly digest: string | null;
    readonly options: SigningOptions;
    readonly curve?: { readonly name: string; readonly bytes: number; readonly order: bigint };
  }
> = {
  ES256: {
    digest: "sha256",
    options: joined,
    curve: {
      name: "P-256",
      bytes: 32,
      order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    },
  },
  ES384: {
    digest: "sha384",
    options: joined,
    curve: {
      name: "P-384",
      bytes: 48,
      order:
        0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
    },
  },
  ES512: {
    digest: "sha512",
    options: joined,
    curve: {
      name: "P-521",
      bytes: 66,
      order:
        0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
    },
  },
  RS256: { digest: "sha256", options: {} },
  PS256: {
    digest: "sha256",
    options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
  },
  EdDSA: { digest: null, options: {} },
};

/** Encodes bytes, text, or a value as JSON. */
export function encode(value: unknown): string {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value));
  return bytes.toString("base64url");
}

export function toNumber(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex") || "0"}`);
}

/** @throws RangeError when it does not fit. */
export function toBytes(value: bigint, length: number): Buffer {
  const hex = value.toString(16).padStart(length * 2, "0");
  if (hex.length > length * 2) throw new RangeError("does not fit");
  return Buffer.from(hex, "hex");
}

/** A key pair that signs with one algorithm. */
export interface Signer {
  readonly algorithm: Algorithm;
  readonly privateKey: KeyObject;
  readonly publicJwk: Jwk;
  /** Signs as the algorithm says. */
  sign(data: Buffer): Buffer;
  /** A JWS over two parts as they are spelled. */
  seal(header: string, payload: string): string;
}

/** A signer by a key that may be odd. */
export function toSigner(algorithm: Algorithm, privateKey: KeyObject, publicJwk: Jwk): Signer {
  const { digest, options } = algorithms[algorithm];
  const signData = (data: Buffer) => sign(digest, data, { key: privateKey, ...options });
  return {
    algorithm,
    privateKey,
    publicJwk,
    sign: signData,
    seal: (header, payload) =>
      `${header}.${payload}.${encode(signData(Buffer.from(`${header}.${payload}`)))}`,
  };
}

/** Makes a key pair: RSA of 2048 bits unless told otherwise, or of the algorithm's curve. */
export function makeSigner(
  algorithm: Algorithm,
  rsa: { modulusLength?: number; publicExponent?: number } = {},
) {
  const { curve } = algorithms[algorithm];
  const { privateKey, publicKey } =
    curve !== undefined
      ? generateKeyPairSync("ec", { namedCurve: curve.name })
      : algorithm === "EdDSA"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("rsa", { modulusLength: 2048, ...rsa });
  return toSigner(algorithm, privateKey, publicKey.export({ format: "jwk" }) as webcrypto.JsonWebKey as Jwk);
}
