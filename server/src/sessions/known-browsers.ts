/**
 * Browsers that have signed in to an account, and are known to it from then on.
 *
 * A browser keeps one key, 256 random bits in a cookie; every account that it
 * signs in to keeps a hash of the key together with the account's id, so that
 * no two rows tell that they are of one browser, and a key says nothing to an
 * account that it never signed in to. It proves nobody: it only has the guesses
 * and mails of who comes with it counted apart from those of strangers
 * (`limits/mailbox-limits.ts`), who then cannot use them up. An account whose
 * address nobody has proven may be a stranger's to that mailbox, and each of its
 * sign-ins could be another browser: until then it gives no budget.
 */
import { randomBytes } from "node:crypto";
import type { Reader, Tx } from "../db/database.ts";
import { findCookies } from "../http/node-http.ts";
import { fromBase64url, toBase64url } from "../lib/base64url.ts";
import type { Clock } from "../lib/clock.ts";
import { hashSecret } from "../lib/secrets.ts";
import * as store from "./known-browser-store.ts";

const keyBytes = 32;

/**
 * Name of the cookie. By https it has the prefix that only this very host can
 * set (RFC 6265bis §4.1.3.2): no neighbour has a browser known by a key of its own.
 */
const plainCookieName = "vestibule_device";
const hostCookieName = `__Host-${plainCookieName}`;

/** How many cookies of the name are read: a browser has one, and each costs a hash. */
const keysPerRequest = 4;

/** Whose an address is, as far as anybody has shown. */
interface Owner {
  readonly id: string;
  readonly emailProven: boolean;
}

/** How the cookie is set, and where accounts are found. */
export interface KnownBrowsersOptions {
  readonly clock: Clock;
  /** Whether browsers come by https. */
  readonly secure: boolean;
  /** Whether pages of other sites may sign in: the session's `same_site` is `none`. */
  readonly crossSite: boolean;
  readonly findUserByEmail: (reader: Reader, email: string) => Promise<Owner | undefined>;
}

/** @see the head of this file */
export class KnownBrowsers {
  readonly #options: KnownBrowsersOptions;
  readonly #cookieName: string;
  readonly #attributes: string;

  constructor(options: KnownBrowsersOptions) {
    this.#options = options;
    const { secure, crossSite } = options;
    this.#cookieName = secure ? hostCookieName : plainCookieName;
    // Never `SameSite=Strict`: providers send people back from their own site.
    const sameSite = crossSite ? "None" : "Lax";
    const maxAge = store.knownForMs / 1000;
    this.#attributes = `Max-Age=${maxAge}; Path=/; HttpOnly; SameSite=${sameSite}${secure ? "; Secure" : ""}`;
  }

  /** Keys that a request comes with, usually one. */
  readKeys(header: Headers): readonly string[] {
    const wellFormed = findCookies(header, this.#cookieName).filter(isKey);
    return wellFormed.slice(0, keysPerRequest);
  }

  /** `Set-Cookie` that has the browser keep its key. */
  toSetCookie(key: string): string {
    return `${this.#cookieName}=${key}; ${this.#attributes}`;
  }

  /**
   * Makes a browser known to an account that it signs in to, with `tx`; the
   * account's longest unseen beyond {@link store.browsersPerUser} are forgotten.
   *
   * @returns the key that the browser is to keep: its own, or a new one.
   */
  async remember(tx: Tx, userId: string, keys: readonly string[]): Promise<string> {
    const key = keys[0] ?? toBase64url(randomBytes(keyBytes));
    await store.upsertKnownBrowser(tx, userId, toKeyHash(userId, key), this.#options.clock.now());
    return key;
  }

  /**
   * The hash by which the account of a proven address knows a browser with one
   * of these keys; undefined where it knows none. Asks the database as often
   * whether or not there is such an account.
   */
  async find(reader: Reader, email: string, keys: readonly string[]): Promise<string | undefined> {
    if (keys.length === 0) return undefined;
    const { findUserByEmail, clock } = this.#options;
    const owner = await findUserByEmail(reader, email);
    const id = owner?.emailProven ? owner.id : "";
    const hashes = keys.map((key) => toKeyHash(id, key));
    return await store.findKnownBrowser(reader, id, hashes, clock.now());
  }

  /** Has an account forget all browsers but those with the keys to keep, with `tx`. */
  async forget(tx: Tx, userId: string, keepKeys: readonly string[]): Promise<void> {
    await store.deleteKnownBrowsers(
      tx,
      userId,
      keepKeys.map((key) => toKeyHash(userId, key)),
    );
  }
}

function isKey(value: string): boolean {
  return fromBase64url(value)?.length === keyBytes;
}

function toKeyHash(userId: string, key: string): string {
  return hashSecret(`${userId} ${key}`);
}
