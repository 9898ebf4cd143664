/**
 * Keys of others of which one thing is odd. Wherever the mathematics allow it
 * the token is one that a verifier without a rule against the key takes.
 */
import { createHmac, generateKeyPairSync, hash, type KeyObject, sign } from "node:crypto";
import {
  type Algorithm,
  algorithms,
  type Draft,
  encode,
  type Jwk,
  makeSigner,
  type Presented,
  type Signer,
  toBytes,
  toNumber,
  toSigner,
} from "./signer.ts";
import type { Verdict } from "./token-cases.ts";

/** Name, verdict, algorithm of the token, and how both are made; the key's `kid` is the draft's. */
export type KeyCase = readonly [
  name: string,
  verdict: Verdict,
  algorithm: Algorithm,
  make: (draft: Draft) => Presented,
];

/** Makes a key at its first use: each place sees the same. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const signers = new Map<Algorithm, () => Signer>();

function signerOf(algorithm: Algorithm): Signer {
  const signer = signers.get(algorithm) ?? once(() => makeSigner(algorithm));
  signers.set(algorithm, signer);
  return signer();
}

function sealed({ seal }: Pick<Signer, "seal">, algorithm: string, { header, claims }: Draft): string {
  return seal(encode({ ...header, alg: algorithm }), encode(claims));
}

/** A good key with members changed, and a token that its private half signed. */
function changed(
  name: string,
  algorithm: Algorithm,
  change: (signer: Signer) => Jwk,
  verdict: Verdict = "refused",
  signer?: Signer,
): KeyCase {
  return [
    name,
    verdict,
    algorithm,
    (draft) => {
      const signs = signer ?? signerOf(algorithm);
      const jwk = { ...signs.publicJwk, kid: draft.header.kid, ...change(signs) };
      return { jwk, token: sealed(signs, algorithm, draft) };
    },
  ];
}

function bytesOf(member: unknown): Buffer {
  return Buffer.from(String(member), "base64url");
}

const zero = Buffer.alloc(1);

/** `alg`, `use` and `key_ops` (RFC 7517 §4.2, §4.3, §4.4), and whose halves are told. */
const purposeCases: readonly KeyCase[] = (["ES256", "RS256", "EdDSA"] as const).flatMap((algorithm) => {
  const symmetric = { k: encode(Buffer.from("a secret that is none of anybody")) };
  const cases: readonly (readonly [string, Jwk | ((signer: Signer) => Jwk), Verdict?])[] = [
    ["nothing odd", {}, "accepted"],
    ["use sig", { use: "sig" }, "accepted"],
    ["key_ops with verify", { key_ops: ["verify"] }, "accepted"],
    ["its own alg", { alg: algorithm }, "accepted"],
    ["members nobody knows", { odd: 1, x5t: "MA" }, "accepted"],
    ["use enc", { use: "enc" }],
    ["an empty use", { use: "" }],
    ["use null", { use: null }],
    ["use in a list", { use: ["sig"] }],
    ["key_ops for signing", { key_ops: ["sign"] }],
    ["key_ops for encrypting", { use: "sig", key_ops: ["encrypt", "wrapKey"] }],
    ["no key_ops", { key_ops: [] }],
    ["key_ops as a text", { key_ops: "verify" }],
    ["alg of another key", { alg: algorithm === "ES256" ? "RS256" : "ES256" }],
    ["alg for encrypting", { alg: "ECDH-ES" }],
    ["alg none", { alg: "none" }],
    ["alg null", { alg: null }],
    ["alg in a list", { alg: [algorithm] }],
    ["alg that every object has", { alg: "constructor" }],
    ["its private half", ({ privateKey }) => privateKey.export({ format: "jwk" }) as Jwk],
    ["d alone", { d: "AQAB" }],
    ["d null", { d: null }],
    ["a symmetric key beside it", symmetric],
    ["no kty", { kty: undefined }],
    ["another kty", { kty: algorithm === "RS256" ? "EC" : "RSA" }],
    ["kty in lower case", ({ publicJwk }) => ({ kty: String(publicJwk.kty).toLowerCase() })],
    ["a kty that every object has", { kty: "constructor" }],
  ];
  return cases.map(([name, change, verdict]) =>
    changed(
      `${algorithm}: ${name}`,
      algorithm,
      (signer) => (typeof change === "function" ? change(signer) : change),
      verdict,
    ),
  );
});

/** The same bytes in another spelling: a bit is set that means nothing. */
function respell(encoded: unknown): string {
  const text = String(encoded);
  const bytes = bytesOf(text);
  for (const last of "BCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
    const other = text.slice(0, -1) + last;
    if (other !== text && bytesOf(other).equals(bytes)) return other;
  }
  throw new Error("no spare bits");
}

/** Members: canonical base64url, of the one right length (RFC 7518 §6.2.1, §6.3.1; RFC 8037 §2). */
const memberCases: readonly KeyCase[] = (
  [
    ["ES256", "x"],
    ["ES256", "y"],
    ["RS256", "n"],
    ["EdDSA", "x"],
  ] as const
).flatMap(([algorithm, member]) => {
  const oddly = (name: string, change: (encoded: unknown) => unknown): KeyCase =>
    changed(`${algorithm}: ${member} ${name}`, algorithm, ({ publicJwk }) => ({
      [member]: change(publicJwk[member]),
    }));
  return [
    oddly("with padding", (encoded) => `${encoded}${"=".repeat((4 - (String(encoded).length % 4)) % 4)}`),
    oddly("with bits set that mean nothing", respell),
    oddly("in the other alphabet", (encoded) => `${String(encoded).slice(0, -2)}+/`),
    oddly("with a line break at its end", (encoded) => `${encoded}\n`),
    oddly("empty", () => ""),
    oddly("missing", () => undefined),
    oddly("in a list", (encoded) => [encoded]),
    ...(member === "n"
      ? []
      : [
          oddly("without its last byte", (encoded) => encode(bytesOf(encoded).subarray(0, -1))),
          oddly("with a byte 0 before it", (encoded) => encode(Buffer.concat([zero, bytesOf(encoded)]))),
          oddly("with a byte 0 behind it", (encoded) => encode(Buffer.concat([bytesOf(encoded), zero]))),
        ]),
  ];
});

/** Points (SEC 1 §3.2.2.1) and curves. */
const curveCases: readonly KeyCase[] = [
  ...(["ES256", "ES384", "ES512"] as const).flatMap((algorithm): KeyCase[] => {
    const length = algorithms[algorithm].curve?.bytes ?? 0;
    const point = (name: string, change: (signer: Signer) => Jwk) =>
      changed(`${algorithm}: ${name}`, algorithm, change);
    return [
      point("a point off the curve", ({ publicJwk }) => ({ y: publicJwk.x })),
      point("the point 0, 0", () => ({ x: encode(Buffer.alloc(length)), y: encode(Buffer.alloc(length)) })),
      point("coordinates beyond the field", () => ({
        x: encode(Buffer.alloc(length, 0xff)),
        y: encode(Buffer.alloc(length, 0xff)),
      })),
      point("another curve's name", () => ({ crv: algorithm === "ES384" ? "P-256" : "P-384" })),
      point("no curve's name", () => ({ crv: undefined })),
      point("a curve's name in lower case", ({ publicJwk }) => ({
        crv: String(publicJwk.crv).toLowerCase(),
      })),
    ];
  }),
  foreignCurve("ES256: a key of P-384 under ES256", "P-384"),
  foreignCurve("ES256: a key of secp256k1", "secp256k1"),
  foreignCurve("ES256: a key of secp256k1 said to be of P-256", "secp256k1", "P-256"),
  [
    "EdDSA: a key of X25519",
    "refused",
    "EdDSA",
    (draft) => {
      const { x } = generateKeyPairSync("x25519").publicKey.export({ format: "jwk" });
      const jwk = { kty: "OKP", crv: "X25519", x, kid: draft.header.kid };
      return { jwk, token: sealed(signerOf("EdDSA"), "EdDSA", draft) };
    },
  ],
  [
    "EdDSA: a key of Ed448",
    "refused",
    "EdDSA",
    (draft) => {
      const { privateKey, publicKey } = generateKeyPairSync("ed448");
      const signer = toSigner("EdDSA", privateKey, publicKey.export({ format: "jwk" }) as Jwk);
      return { jwk: { ...signer.publicJwk, kid: draft.header.kid }, token: sealed(signer, "EdDSA", draft) };
    },
  ],
  [
    "EdDSA: a symmetric key",
    "refused",
    "EdDSA",
    (draft) => {
      const secret = Buffer.alloc(32, 7);
      const signed = `${encode({ ...draft.header, alg: "HS256" })}.${encode(draft.claims)}`;
      const mac = createHmac("sha256", secret).update(signed).digest("base64url");
      return { jwk: { kty: "oct", k: encode(secret), kid: draft.header.kid }, token: `${signed}.${mac}` };
    },
  ],
];

function foreignCurve(name: string, namedCurve: string, crv?: string): KeyCase {
  return [
    name,
    "refused",
    "ES256",
    (draft) => {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve });
      const jwk = publicKey.export({ format: "jwk" }) as Jwk;
      const signed = `${encode({ ...draft.header, alg: "ES256" })}.${encode(draft.claims)}`;
      const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
      return {
        jwk: { ...jwk, ...(crv !== undefined && { crv }), kid: draft.header.kid },
        token: `${signed}.${encode(signature)}`,
      };
    },
  ];
}

/** The order of the group (RFC 8032 §5.1). */
const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n;

/** Under a point of small order anyone can sign; not even the private half is needed (RFC 8032 §5.1.7). */
const smallOrderCases: readonly KeyCase[] = [
  ["the neutral element", `01${"00".repeat(31)}`],
  ["the neutral element with a sign", `01${"00".repeat(30)}80`],
  ["the neutral element in another spelling", `ee${"ff".repeat(30)}7f`],
  ["a point of order 2", `ec${"ff".repeat(30)}7f`],
  ["a point of order 2 with a sign", `ec${"ff".repeat(31)}`],
  ["a point of order 4", "00".repeat(32)],
  ["the other point of order 4", `${"00".repeat(31)}80`],
  ["a point of order 4 in another spelling", `ed${"ff".repeat(30)}7f`],
  ["a point of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"],
  ["a point of order 8 with a sign", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"],
  ["another point of order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"],
  [
    "another point of order 8 with a sign",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  ],
].map(
  ([name = "", hex = ""]): KeyCase => [
    `EdDSA: ${name}`,
    "refused",
    "EdDSA",
    (draft) => {
      const jwk = { kty: "OKP", crv: "Ed25519", x: encode(Buffer.from(hex, "hex")), kid: draft.header.kid };
      return { jwk, token: forgeUnder(jwk, draft) };
    },
  ],
);

/**
 * R is the base point and S is 1, for a text whose challenge is a multiple of
 * 8: under a point of small order that is a signature for whoever lets it pass.
 */
function forgeUnder(jwk: Jwk, { header, claims }: Draft): string {
  const basePoint = Buffer.from(`58${"66".repeat(31)}`, "hex");
  for (let attempt = 0; ; attempt++) {
    const signed = `${encode({ ...header, alg: "EdDSA" })}.${encode({ ...claims, attempt })}`;
    const hashed = hash("sha512", Buffer.concat([basePoint, bytesOf(jwk.x), Buffer.from(signed)]), "buffer");
    const challenge = toNumber(hashed.reverse()) % groupOrder;
    if (challenge % 8n !== 0n) continue;
    return `${signed}.${encode(Buffer.concat([basePoint, toBytes(1n, 32).reverse()]))}`;
  }
}

/** Moduli and exponents (RFC 7518 §3.3; FIPS 186-5 §5.1: odd and above 2^16). */
const rsaCases: readonly KeyCase[] = [
  ...(["RS256", "PS256"] as const).flatMap((algorithm): KeyCase[] => [
    withSize(`${algorithm}: a modulus of 1024 bits`, algorithm, { modulusLength: 1024 }, "refused"),
    withSize(`${algorithm}: a modulus of 2040 bits`, algorithm, { modulusLength: 2040 }, "refused"),
    withSize(`${algorithm}: exponent 3`, algorithm, { publicExponent: 3 }, "refused"),
    withSize(`${algorithm}: a modulus of 3072 bits`, algorithm, { modulusLength: 3072 }, "accepted"),
  ]),
  changed(
    "RS256: a modulus with a byte 0 before it",
    "RS256",
    ({ publicJwk }) => ({ n: encode(Buffer.concat([zero, bytesOf(publicJwk.n)])) }),
    "accepted",
  ),
  changed("RS256: an even modulus", "RS256", ({ publicJwk }) => {
    const n = bytesOf(publicJwk.n);
    n[n.length - 1] = (n.at(-1) ?? 0) & 0xfe;
    return { n: encode(n) };
  }),
  changed("RS256: e with padding", "RS256", () => ({ e: "AQAB====" })),
  changed("RS256: e 0", "RS256", () => ({ e: "AA" })),
  changed("RS256: e missing", "RS256", () => ({ e: undefined })),
  ["RS256: exponent 1, under which the message is its own signature", "refused", "RS256", forgeByOne],
  ["RS256: an even exponent", "refused", "RS256", signByEven],
];

function withSize(
  name: string,
  algorithm: Algorithm,
  rsa: { modulusLength?: number; publicExponent?: number },
  verdict: Verdict,
): KeyCase {
  const make = once(() => makeSigner(algorithm, rsa));
  return [
    name,
    verdict,
    algorithm,
    (draft) => {
      const signer = make();
      return { jwk: { ...signer.publicJwk, kid: draft.header.kid }, token: sealed(signer, algorithm, draft) };
    },
  ];
}

/** EMSA-PKCS1-v1_5 with SHA-256 for a modulus of 2048 bits (RFC 8017 §9.2). */
function toEncodedMessage(signed: string): Buffer {
  const end = Buffer.concat([
    Buffer.from("003031300d060960864801650304020105000420", "hex"),
    hash("sha256", signed, "buffer"),
  ]);
  return Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(256 - 2 - end.length, 0xff), end]);
}

function forgeByOne({ header, claims }: Draft): Presented {
  const signed = `${encode({ ...header, alg: "RS256" })}.${encode(claims)}`;
  return {
    jwk: { ...signerOf("RS256").publicJwk, e: "AQ", kid: header.kid },
    token: `${signed}.${encode(toEncodedMessage(signed))}`,
  };
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  let square = base % modulus;
  for (let bits = exponent; bits > 0n; bits >>= 1n) {
    if (bits & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

/** An RSA key both of whose primes leave 3 when divided by 4, so that square roots are one power. */
const getBlumKey = once((): { key: KeyObject; p: bigint; q: bigint } => {
  for (;;) {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const { p, q } = privateKey.export({ format: "jwk" });
    const [first, second] = [p, q].map((member) => toNumber(bytesOf(member)));
    if (first !== undefined && second !== undefined && first % 4n === 3n && second % 4n === 3n) {
      return { key: publicKey, p: first, q: second };
    }
  }
});

/** Exponent 131074, which is 2 · 65537: a 65537th root and a square root, for a message that has one. */
function signByEven({ header, claims }: Draft): Presented {
  const { key, p, q } = getBlumKey();
  const n = p * q;
  const jwk = {
    ...(key.export({ format: "jwk" }) as Jwk),
    e: encode(Buffer.from("020002", "hex")),
    kid: header.kid,
  };
  for (let attempt = 0; ; attempt++) {
    const signed = `${encode({ ...header, alg: "RS256" })}.${encode({ ...claims, attempt })}`;
    const message = toNumber(toEncodedMessage(signed));
    const roots = [p, q].map((prime) => rootOf(message, prime));
    const [ofP, ofQ] = roots;
    if (ofP === undefined || ofQ === undefined) continue;
    // The Chinese remainder theorem puts both together.
    const root = (ofP + p * (((ofQ - ofP + q * p) * power(p, q - 2n, q)) % q)) % n;
    return { jwk, token: `${signed}.${encode(toBytes(((root % n) + n) % n, 256))}` };
  }
}

/** The 131074th root modulo a prime that leaves 3 when divided by 4; undefined where there is none. */
function rootOf(message: bigint, prime: bigint): bigint | undefined {
  const square = power(message, (prime + 1n) / 4n, prime);
  if ((square * square) % prime !== message % prime) return undefined;
  // The key was made for exponent 65537, so that has an inverse.
  const rooted = power(message, inverseOf(65537n, prime - 1n), prime);
  return power(rooted, (prime + 1n) / 4n, prime);
}

function inverseOf(value: bigint, modulus: bigint): bigint {
  let [r, next] = [modulus, value % modulus];
  let [t, nextT] = [0n, 1n];
  while (next !== 0n) {
    const quotient = r / next;
    [r, next] = [next, r - quotient * next];
    [t, nextT] = [nextT, t - quotient * nextT];
  }
  return ((t % modulus) + modulus) % modulus;
}

/** Every odd key. */
export const keyCases: readonly KeyCase[] = [
  ...purposeCases,
  ...memberCases,
  ...curveCases,
  ...smallOrderCases,
  ...rsaCases,
];
