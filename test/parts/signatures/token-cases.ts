/** Tokens of which one thing is odd, under a key that is not. */
import { constants, createHmac, createPublicKey, hash, privateEncrypt, sign } from "node:crypto";
import { type Algorithm, algorithms, encode, makeSigner, type Signer, toBytes, toNumber } from "./signer.ts";

/** What a verifier must say. */
export type Verdict = "accepted" | "refused";

/** A draft with its `alg` set, and who signs it. */
export interface Forge extends Signer {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Name, verdict, and how the token is made. */
export type TokenCase = readonly [name: string, verdict: Verdict, make: (forge: Forge) => string];

type Change = Readonly<Record<string, unknown>>;

/** A token of the draft with members changed; those changed to undefined are left out. */
function sealed({ header, claims, seal }: Forge, change: { header?: Change; claims?: Change } = {}): string {
  return seal(encode({ ...header, ...change.header }), encode({ ...claims, ...change.claims }));
}

/** The good token, its signature replaced by what is made of the right one. */
function withSignature(forge: Forge, change: (signature: Buffer, data: Buffer) => Buffer): string {
  const [header = "", payload = "", signature = ""] = sealed(forge).split(".");
  const data = Buffer.from(`${header}.${payload}`);
  return `${data}.${encode(change(Buffer.from(signature, "base64url"), data))}`;
}

/** Tries one token after the other until one can be made odd. */
function search(forge: Forge, change: (token: string) => string | undefined): string {
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const found = change(sealed(forge, { claims: { attempt } }));
    if (found !== undefined) return found;
  }
  throw new Error("no such token was found");
}

/** JSON whose encoding has bits to spare in its last character. */
function encodeWithSpareBits(value: unknown): string {
  let text = JSON.stringify(value);
  while (text.length % 3 === 0) text += " ";
  return Buffer.from(text).toString("base64url");
}

/** The same bytes in another spelling: a bit is set that means nothing. */
function respell(encoded: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet[alphabet.indexOf(encoded.at(-1) ?? "") + 1] ?? "";
  const other = encoded.slice(0, -1) + last;
  const bytes = Buffer.from(encoded, "base64url");
  if (other === encoded || !Buffer.from(other, "base64url").equals(bytes)) throw new Error("no spare bits");
  return other;
}

/** The parts in another spelling, and signed as they are spelled. */
function spelled(
  part: "header" | "payload" | "signature",
  change: (encoded: string) => string,
): TokenCase[2] {
  return ({ header, claims, seal }) => {
    const parts = [header, claims].map(encodeWithSpareBits);
    const [first = "", second = ""] = parts;
    if (part === "header") return seal(change(first), second);
    if (part === "payload") return seal(first, change(second));
    const [, , signature = ""] = seal(first, second).split(".");
    return `${first}.${second}.${change(signature)}`;
  };
}

const parts = ["header", "payload", "signature"] as const;

const padding = (encoded: string) => "=".repeat((4 - (encoded.length % 4)) % 4);

const spellings: readonly (readonly [string, (encoded: string) => string])[] = [
  ["with padding", (encoded) => encoded + padding(encoded)],
  ["with one sign of padding", (encoded) => `${encoded}=`],
  ["with bits set that mean nothing", respell],
  ["with a character too many", (encoded) => `${encoded}A`],
  ["with a character that is none of base64url's", (encoded) => `${encoded}!`],
  ["with a space within", (encoded) => `${encoded.slice(0, 8)} ${encoded.slice(8)}`],
  ["with a line break within", (encoded) => `${encoded.slice(0, 8)}\n${encoded.slice(8)}`],
  ["with a tabulator at its end", (encoded) => `${encoded}\t`],
  ["with a byte 0 at its end", (encoded) => `${encoded}\0`],
];

/** The compact form (RFC 7515 §7.1), its base64url (RFC 4648 §3.2, §3.3, §3.5) and its JSON. */
const formCases: readonly TokenCase[] = [
  ["nothing odd", "accepted", (forge) => sealed(forge)],
  ...parts.flatMap((part) =>
    spellings.map(([name, change]): TokenCase => [`a ${part} ${name}`, "refused", spelled(part, change)]),
  ),
  [
    "the other alphabet of base64",
    "refused",
    (forge) =>
      search(forge, (token) => {
        const [header, payload, signature = ""] = token.split(".");
        const other = signature.replaceAll("-", "+").replaceAll("_", "/");
        return other === signature ? undefined : `${header}.${payload}.${other}`;
      }),
  ],
  ["a space before it", "refused", (forge) => ` ${sealed(forge)}`],
  ["a line break after it", "refused", (forge) => `${sealed(forge)}\n`],
  ["a dot after it", "refused", (forge) => `${sealed(forge)}.`],
  ["a fourth part", "refused", (forge) => `${sealed(forge)}.e30`],
  ["no signature part", "refused", (forge) => sealed(forge).replace(/\.[^.]*$/, "")],
  ["nothing in its signature part", "refused", (forge) => sealed(forge).replace(/[^.]*$/, "")],
  ["the JSON serialization", "refused", toFlattened],
  [
    "a header that is a list",
    "refused",
    ({ header, claims, seal }) => seal(encode([header]), encode(claims)),
  ],
  ["a header that is null", "refused", ({ claims, seal }) => seal(encode(null), encode(claims))],
  [
    "a payload that is a list",
    "refused",
    ({ header, claims, seal }) => seal(encode(header), encode([claims])),
  ],
  [
    "a payload that is no JSON",
    "refused",
    ({ header, seal }) => seal(encode(header), encode(Buffer.from("{"))),
  ],
  ...(["header", "claims"] as const).flatMap((part): TokenCase[] => [
    [
      `a byte order mark before its ${part}`,
      "refused",
      (forge) => sealBytes(forge, part, (json) => `\ufeff${json}`),
    ],
    [
      `${part} that are not UTF-8`,
      "refused",
      (forge) => sealBytes(forge, part, (json) => `${json.slice(0, -1)},"odd":"\xff"}`, "latin1"),
    ],
  ]),
];

function toFlattened(forge: Forge): string {
  const [encodedHeader, payload, signature] = sealed(forge).split(".");
  return JSON.stringify({ protected: encodedHeader, payload, signature });
}

function sealBytes(
  forge: Forge,
  part: "header" | "claims",
  change: (json: string) => string,
  encoding: BufferEncoding = "utf8",
): string {
  const { header, claims, seal } = forge;
  const odd = encode(Buffer.from(change(JSON.stringify(forge[part])), encoding));
  return part === "header" ? seal(odd, encode(claims)) : seal(encode(header), odd);
}

const withHeader = (name: string, change: (forge: Forge) => Change): TokenCase => [
  name,
  "refused",
  (forge) => sealed(forge, { header: change(forge) }),
];

/** The header: it chooses neither algorithm nor key (RFC 8725 §3.1, §3.5, §3.10; RFC 7515 §4.1). */
const headerCases: readonly TokenCase[] = [
  [
    "alg none and no signature",
    "refused",
    ({ header, claims }) => `${encode({ ...header, alg: "none" })}.${encode(claims)}.`,
  ],
  withHeader("alg none over a good signature", () => ({ alg: "none" })),
  withHeader("no alg", () => ({ alg: undefined })),
  withHeader("alg in lower case", ({ algorithm }) => ({ alg: algorithm.toLowerCase() })),
  withHeader("a list as alg", ({ algorithm }) => ({ alg: [algorithm] })),
  withHeader("alg of another key", ({ algorithm }) => ({ alg: algorithm === "ES256" ? "RS256" : "ES256" })),
  withHeader("alg that every object has", () => ({ alg: "constructor" })),
  ["HS256 with the public key as PEM", "refused", (forge) => macOf(forge, "pem")],
  ["HS256 with the public key as DER", "refused", (forge) => macOf(forge, "der")],
  withHeader("a kid in upper case", ({ header }) => ({ kid: String(header.kid).toUpperCase() })),
  withHeader("a kid with a space after it", ({ header }) => ({ kid: `${header.kid} ` })),
  withHeader("a kid in a list", ({ header }) => ({ kid: [header.kid] })),
  withHeader("an unknown kid", () => ({ kid: "019a0000-0000-7000-8000-00000000dead" })),
  withHeader("the key itself", ({ publicJwk }) => ({ jwk: publicJwk })),
  withHeader("an address of keys", () => ({ jku: "https://keys.example.org" })),
  withHeader("an address of certificates", () => ({ x5u: "https://keys.example.org" })),
  withHeader("a certificate", () => ({ x5c: ["MA=="] })),
  withHeader("a critical member nobody knows", () => ({ crit: ["odd"], odd: 1 })),
  withHeader("an empty list of critical members", () => ({ crit: [] })),
  withHeader("a payload that is not encoded", () => ({ crit: ["b64"], b64: false })),
  withHeader("b64 that is not critical", () => ({ b64: true })),
];

function macOf({ header, claims, publicJwk }: Forge, format: "pem" | "der"): string {
  const key = createPublicKey({ key: publicJwk, format: "jwk" });
  const secret = key.export({ type: "spki", format: format as "pem" });
  const signed = `${encode({ ...header, alg: "HS256" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const odd = (
  name: string,
  change: (signature: Buffer, data: Buffer, forge: Forge) => Buffer,
  verdict: Verdict = "refused",
): TokenCase => [
  name,
  verdict,
  (forge) => withSignature(forge, (signature, data) => change(signature, data, forge)),
];

/** Signatures of every algorithm: one length, one value. */
const signatureCases: readonly TokenCase[] = [
  odd("a signature without its last byte", (signature) => signature.subarray(0, -1)),
  odd("a signature without its first byte", (signature) => signature.subarray(1)),
  odd("half a signature", (signature) => signature.subarray(0, signature.length / 2)),
  odd("a signature and a byte 0", (signature) => Buffer.concat([signature, Buffer.alloc(1)])),
  odd("a byte 0 and a signature", (signature) => Buffer.concat([Buffer.alloc(1), signature])),
  odd("the signature twice", (signature) => Buffer.concat([signature, signature])),
  odd("zeros", (signature) => Buffer.alloc(signature.length)),
  odd("ones", (signature) => Buffer.alloc(signature.length, 0xff)),
  odd("a signature with its first bit changed", (signature) => flipped(signature, 0, 0x80)),
  odd("a signature with its last bit changed", (signature) => flipped(signature, signature.length - 1, 1)),
  odd("the signature of another text", (_, data, { sign: signData }) => signData(data.subarray(1))),
  odd("another key's signature", (_, data, { algorithm }) => strangers(algorithm).sign(data)),
  odd("the signature of the text's hash", (_, data, { sign: signData }) =>
    signData(hash("sha256", data, "buffer")),
  ),
];

function flipped(signature: Buffer, at: number, bit: number): Buffer {
  const changed = Buffer.from(signature);
  changed[at] = (changed[at] ?? 0) ^ bit;
  return changed;
}

const knownStrangers = new Map<Algorithm, Signer>();

function strangers(algorithm: Algorithm): Signer {
  const known = knownStrangers.get(algorithm) ?? makeSigner(algorithm);
  knownStrangers.set(algorithm, known);
  return known;
}

interface Pair {
  readonly r: bigint;
  readonly s: bigint;
  readonly order: bigint;
}

/** Both numbers of an ECDSA signature changed; undefined where one no longer fits. */
function withNumbers(
  signature: Buffer,
  algorithm: Algorithm,
  change: (numbers: Pair) => readonly [r: bigint, s: bigint],
): Buffer | undefined {
  const { curve } = algorithms[algorithm];
  if (curve === undefined) throw new Error("no curve");
  const [r, s] = [signature.subarray(0, curve.bytes), signature.subarray(curve.bytes)].map(toNumber);
  const changed = change({ r: r ?? 0n, s: s ?? 0n, order: curve.order });
  const limit = 1n << BigInt(8 * curve.bytes);
  if (changed.some((number) => number >= limit)) return undefined;
  return Buffer.concat(changed.map((number) => toBytes(number, curve.bytes)));
}

const numbers = (
  name: string,
  change: (numbers: Pair) => readonly [r: bigint, s: bigint],
  verdict: Verdict = "refused",
): TokenCase =>
  odd(
    name,
    (signature, _, { algorithm }) => {
      const changed = withNumbers(signature, algorithm, change);
      if (changed === undefined) throw new Error("does not fit");
      return changed;
    },
    verdict,
  );

/** ECDSA (RFC 7518 §3.4, FIPS 186-5 §6.4.2): 0 < r, s < n, side by side and of full length. */
const ecdsaCases: readonly TokenCase[] = [
  numbers("r 0", ({ s }) => [0n, s]),
  numbers("s 0", ({ r }) => [r, 0n]),
  numbers("r and s 0", () => [0n, 0n]),
  numbers("r 1 and s 1", () => [1n, 1n]),
  numbers("r n", ({ s, order }) => [order, s]),
  numbers("s n", ({ r, order }) => [r, order]),
  numbers("r and s n", ({ order }) => [order, order]),
  numbers("r 0 and s n", ({ order }) => [0n, order]),
  numbers("r n - 1", ({ s, order }) => [order - 1n, s]),
  numbers("r n + 1", ({ s, order }) => [order + 1n, s]),
  numbers("s n + 1", ({ r, order }) => [r, order + 1n]),
  numbers("n - r", ({ r, s, order }) => [order - r, s]),
  numbers("r and s in each other's place", ({ r, s }) => [s, r]),
  // ECDSA has two signatures of everything, and neither is a name: a token is spent by its jti.
  numbers("n - s, the other good one", ({ r, s, order }) => [r, order - s], "accepted"),
  odd("both numbers in DER", (_, data, { algorithm, privateKey }) =>
    sign(algorithms[algorithm].digest, data, { key: privateKey, dsaEncoding: "der" }),
  ),
  odd("both numbers with a byte 0 before them", (signature) => {
    const half = signature.length / 2;
    const zero = Buffer.alloc(1);
    return Buffer.concat([zero, signature.subarray(0, half), zero, signature.subarray(half)]);
  }),
  odd("the signature of another hash", (_, data, { algorithm, privateKey }) =>
    sign(algorithms[algorithm].digest === "sha256" ? "sha512" : "sha256", data, {
      key: privateKey,
      dsaEncoding: "ieee-p1363",
    }),
  ),
];

/** Numbers above n that still fit: on P-521 there is room for them always. */
const roomyCases: readonly TokenCase[] = [
  numbers("r + n", ({ r, s, order }) => [r + order, s]),
  numbers("s + n", ({ r, s, order }) => [r, s + order]),
];

/** Ed25519 (RFC 8032 §5.1.7): R is one encoding of a point, S < L. */
const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n;

const edwards = (name: string, change: (r: Buffer, s: bigint) => readonly [Buffer, bigint]): TokenCase =>
  odd(name, (signature) => {
    const s = toNumber(Buffer.from(signature.subarray(32)).reverse());
    const [r, changed] = change(signature.subarray(0, 32), s);
    return Buffer.concat([r, toBytes(changed, 32).reverse()]);
  });

const ed25519Cases: readonly TokenCase[] = [
  edwards("S + L", (r, s) => [r, s + groupOrder]),
  edwards("S + 2 L", (r, s) => [r, s + 2n * groupOrder]),
  edwards("S L", (r) => [r, groupOrder]),
  edwards("S 0", (r) => [r, 0n]),
  edwards("L - S", (r, s) => [r, groupOrder - s]),
  edwards("S with its highest bit set", (r, s) => [r, s | (1n << 255n)]),
  edwards("the neutral element as R", (_, s) => [toBytes(1n, 32).reverse(), s]),
  edwards("R off the curve", (_, s) => [toBytes(2n, 32).reverse(), s]),
  edwards("-R", (r, s) => [flipped(r, 31, 0x80), s]),
];

/** A raw RSA signature over an encoded message that is put together by hand. */
function signRaw({ privateKey }: Forge, message: Buffer): Buffer {
  return privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, message);
}

const digestInfo = Buffer.from("3031300d060960864801650304020105000420", "hex");
const digestInfoWithoutNull = Buffer.from("302f300b0609608648016503040201" + "0420", "hex");

/** EMSA-PKCS1-v1_5 (RFC 8017 §9.2) with any filling, information and rest. */
function toEncodedMessage(
  data: Buffer,
  { information = digestInfo, rest = "", type = 1, fill = 0xff },
): Buffer {
  const end = Buffer.concat([
    Buffer.alloc(1),
    information,
    hash("sha256", data, "buffer"),
    Buffer.from(rest),
  ]);
  const start = Buffer.concat([Buffer.from([0, type]), Buffer.alloc(256 - 2 - end.length, fill)]);
  return Buffer.concat([start, end]);
}

const pkcs1 = (name: string, odds: Parameters<typeof toEncodedMessage>[1], verdict?: Verdict): TokenCase =>
  odd(name, (_, data, forge) => signRaw(forge, toEncodedMessage(data, odds)), verdict);

function modulusOf({ publicJwk }: Forge): bigint {
  return toNumber(Buffer.from(String(publicJwk.n), "base64url"));
}

/** Every RSA signature: one number below n, of full length (RFC 8017 §8.1.2, §8.2.2). */
const rsaCases: readonly TokenCase[] = [
  odd("1", (signature) => toBytes(1n, signature.length)),
  odd("n - 1", (_, __, forge) => toBytes(modulusOf(forge) - 1n, 256)),
  odd("n", (_, __, forge) => toBytes(modulusOf(forge), 256)),
  odd("n - s", (signature, _, forge) => toBytes(modulusOf(forge) - toNumber(signature), 256)),
  [
    "s + n",
    "refused",
    (forge) =>
      search(forge, (token) => {
        const [header, payload, signature = ""] = token.split(".");
        const sum = toNumber(Buffer.from(signature, "base64url")) + modulusOf(forge);
        return sum < 1n << 2048n ? `${header}.${payload}.${encode(toBytes(sum, 256))}` : undefined;
      }),
  ],
  [
    "a signature without the zero it begins with",
    "refused",
    (forge) =>
      search(forge, (token) => {
        const [header, payload, signature = ""] = token.split(".");
        const bytes = Buffer.from(signature, "base64url");
        return bytes[0] === 0 ? `${header}.${payload}.${encode(bytes.subarray(1))}` : undefined;
      }),
  ],
];

const pkcs1Cases: readonly TokenCase[] = [
  pkcs1("an encoded message made by hand", {}, "accepted"),
  pkcs1("an encoded message of type 2", { type: 2 }),
  pkcs1("an encoded message filled with zeros", { fill: 0 }),
  pkcs1("an encoded message with something behind the hash", { rest: "rest" }),
  pkcs1("an encoded message without the hash's parameters", { information: digestInfoWithoutNull }),
  pkcs1("an encoded message without the hash's name", { information: Buffer.alloc(0) }),
  odd("an RSASSA-PSS signature", (_, data, { privateKey }) =>
    sign("sha256", data, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING }),
  ),
  odd("the signature of another hash", (_, data, { privateKey }) => sign("sha512", data, privateKey)),
  odd("the signature of SHA-1", (_, data, { privateKey }) => sign("sha1", data, privateKey)),
];

const pssWith = (name: string, digest: string, saltLength: number): TokenCase =>
  odd(name, (_, data, { privateKey }) =>
    sign(digest, data, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }),
  );

/** RFC 7518 §3.5: the salt is as long as the hash. */
const pssCases: readonly TokenCase[] = [
  pssWith("no salt", "sha256", 0),
  pssWith("a salt of 20 bytes", "sha256", 20),
  pssWith("the longest salt", "sha256", constants.RSA_PSS_SALTLEN_MAX_SIGN),
  pssWith("the signature of another hash", "sha512", 64),
  odd("an RSASSA-PKCS1-v1_5 signature", (_, data, { privateKey }) => sign("sha256", data, privateKey)),
];

const shared = [...formCases, ...headerCases, ...signatureCases];

/** Signatures of a length that base64url spells without padding and without spare bits have no second spelling. */
const withoutSpareBits = shared.filter(
  ([name]) => !["a signature with padding", "a signature with bits set that mean nothing"].includes(name),
);

/** Every odd token there is of an algorithm. */
export const tokenCases: Record<Algorithm, readonly TokenCase[]> = {
  ES256: [...shared, ...ecdsaCases],
  ES384: [...withoutSpareBits, ...ecdsaCases],
  ES512: [...withoutSpareBits, ...ecdsaCases, ...roomyCases],
  RS256: [...shared, ...rsaCases, ...pkcs1Cases],
  PS256: [...shared, ...rsaCases, ...pssCases],
  EdDSA: [...shared, ...ed25519Cases],
};
