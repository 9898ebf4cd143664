/**
 * The session cookie.
 *
 * Its value is the base64url of nonce, AES-256-GCM ciphertext, GCM tag and an
 * HMAC-SHA-256 over all of these: encrypted under `block_secret_key`,
 * authenticated under `hash_secret_key`, each by a subkey (RFC 5869). What it
 * holds is the session's secret, 256 random bits that the database knows as a
 * hash only: neither the keys nor the database alone make a cookie.
 *
 * By https a companion goes with it, `__Host-vestibule-bind`: another 256 random
 * bits, which the session's row knows by their hash. A neighbour under the same
 * domain can put a session of its own into a browser, but not the companion.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { isIP } from "node:net";
import { fromBase64url, toBase64url } from "../lib/base64url.ts";
import { companionCookieName, sessionCookieName } from "../principals/presented.ts";

const secretBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const macBytes = 32;
const sealedBytes = nonceBytes + secretBytes + tagBytes;

/** Bound to every ciphertext: names the format. */
const format = Buffer.from("vestibule session cookie 1");

/** Keys and attributes of the session cookie (RFC 6265bis §4.1). */
export interface SessionCookieOptions {
  /** 32 characters each. The first makes cookies, all of them are accepted. */
  readonly hashKeys: readonly string[];
  /** 32 characters each. The first makes cookies, all of them are accepted. */
  readonly blockKeys: readonly string[];
  /** Host name that browsers see. */
  readonly host: string;
  /** Absent, the cookie belongs to the public host alone. */
  readonly domain: string | undefined;
  readonly sameSite: "lax" | "strict" | "none";
  readonly secure: boolean;
  /** Whether the cookie is tied to this host by a companion. */
  readonly isBound: boolean;
}

/** Makes and reads session cookies. */
export interface SessionCookies {
  /** A new session's secret: 256 random bits. */
  newSecret(): Buffer;
  /** The value of a cookie that holds a secret; never the same twice. */
  encode(secret: Buffer): string;
  /** The secret in a value; undefined when it was not made with one of the keys. */
  decode(value: string): Buffer | undefined;
  /** `Set-Cookie` of a session that ends at `expiresAt`, and of its companion. */
  toSetCookies(values: SessionCookieValues, now: Date, expiresAt: Date): readonly string[];
  /** `Set-Cookie` that makes the browser forget both. */
  toClearCookies(): readonly string[];
  /**
   * `Set-Cookie` that makes the browser forget cookies of that name which are
   * not ours, as far as this host may: those of the domains above it, and where
   * ours has a domain the host's own.
   */
  toClearStrays(): readonly string[];
}

/** Values of the session cookie and its companion in one browser. */
export interface SessionCookieValues {
  readonly cookie: string;
  readonly companion: string;
}

function derive(key: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", Buffer.from(key), "", `vestibule/v1/session-${purpose}`, 32));
}

const sameSiteNames = { lax: "Lax", strict: "Strict", none: "None" } as const;

/** A host and the domains above it, without the topmost; none for an address. Browsers overlook public suffixes. */
function listDomains(host: string): string[] {
  const labels = isIP(host.replace(/^\[|\]$/g, "")) === 0 ? host.split(".") : [];
  return labels.slice(0, -1).map((_, index) => labels.slice(index).join("."));
}

/** @throws Error without a key */
export function createSessionCookies(options: SessionCookieOptions): SessionCookies {
  const { domain, sameSite, secure, isBound } = options;
  const hashKeys = options.hashKeys.map((key) => derive(key, "hash"));
  const blockKeys = options.blockKeys.map((key) => derive(key, "block"));
  const [hashKey] = hashKeys;
  const [blockKey] = blockKeys;
  if (hashKey === undefined || blockKey === undefined) throw new Error("session cookies need keys");
  const attributesFor = (scope: string | undefined) => [
    "Path=/",
    "HttpOnly",
    `SameSite=${sameSiteNames[sameSite]}`,
    ...(secure ? ["Secure"] : []),
    ...(scope === undefined ? [] : [`Domain=${scope}`]),
  ];

  function toLine(name: string, value: string, lifetime: readonly string[], scope?: string): string {
    return [`${name}=${value}`, ...lifetime, ...attributesFor(scope)].join("; ");
  }

  /** Both cookies, with one lifetime. */
  function toLines({ cookie, companion }: SessionCookieValues, lifetime: readonly string[]): string[] {
    const own = toLine(sessionCookieName, cookie, lifetime, domain);
    return isBound ? [own, toLine(companionCookieName, companion, lifetime)] : [own];
  }

  const over = ["Max-Age=0", `Expires=${new Date(0).toUTCString()}`];
  const cleared = toLines({ cookie: "", companion: "" }, over);
  const strays = [undefined, ...listDomains(options.host)]
    .filter((scope) => scope !== domain)
    .map((scope) => toLine(sessionCookieName, "", over, scope));

  function authenticate(key: Buffer, sealed: Buffer): Buffer {
    return createHmac("sha256", key).update(format).update(sealed).digest();
  }

  function open(key: Buffer, sealed: Buffer): Buffer | undefined {
    const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, nonceBytes), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(format);
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    const secret = decipher.update(sealed.subarray(nonceBytes, -tagBytes));
    try {
      decipher.final();
      return secret;
    } catch {
      return undefined;
    }
  }

  return {
    newSecret: () => randomBytes(secretBytes),

    encode(secret) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv("aes-256-gcm", blockKey, nonce);
      cipher.setAAD(format);
      const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
      const sealed = Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]);
      return toBase64url(Buffer.concat([sealed, authenticate(hashKey, sealed)]));
    },

    decode(value) {
      const bytes = fromBase64url(value);
      if (bytes?.length !== sealedBytes + macBytes) return undefined;
      const sealed = bytes.subarray(0, sealedBytes);
      const mac = bytes.subarray(sealedBytes);
      if (!hashKeys.some((key) => timingSafeEqual(authenticate(key, sealed), mac))) return undefined;
      for (const key of blockKeys) {
        const secret = open(key, sealed);
        if (secret !== undefined) return secret;
      }
      return undefined;
    },

    toSetCookies(values, now, expiresAt) {
      const maxAgeSeconds = Math.max(0, Math.floor((expiresAt.getTime() - now.getTime()) / 1000));
      return toLines(values, [`Max-Age=${maxAgeSeconds}`, `Expires=${expiresAt.toUTCString()}`]);
    },

    toClearCookies: () => cleared,
    toClearStrays: () => strays,
  };
}
