/** Key sets of other issuers (RFC 7517 §5), read for verifying signatures. */
import { type SignatureAlgorithm, signatureAlgorithms } from "./algorithms.ts";
import { type Jwk, readPublicKey, UnusableKey, type VerifyingKey } from "./public-key.ts";

/** What a key set is good for. */
export interface KeySet {
  readonly keys: readonly VerifyingKey[];
  /** How many more it has that cannot be used, for each cause. */
  readonly unusable: ReadonlyMap<string, number>;
}

/** A JSON document that should be a key set. */
type Document = Readonly<Record<string, unknown>>;

/** Where the keys are. Both throw what the documents' source throws when they cannot be had. */
export interface KeySource {
  get(): Promise<KeySet>;
  /** Asks anew if that is due: when a key is missing. */
  refresh(): Promise<KeySet>;
}

/** Documents by URL, kept for a while. */
export interface DocumentSource {
  get(url: string): Promise<Document>;
  /** The document, asked for anew unless that was done a moment ago. */
  refresh(url: string): Promise<Document>;
}

/** Keys read of one set; real ones have a handful. */
const maxKeys = 100;

const readSets = new WeakMap<object, KeySet>();

/**
 * Reads a key set; what is no key, or is none for verifying, is counted and
 * passed over (RFC 7517 §5). The same object is read once.
 */
export function readKeySet(document: Document): KeySet {
  const known = readSets.get(document);
  if (known !== undefined) return known;
  const listed = Array.isArray(document.keys) ? document.keys.slice(0, maxKeys) : [];
  const keys: VerifyingKey[] = [];
  const unusable = new Map<string, number>();
  for (const jwk of listed) {
    const key = readKey(jwk);
    if (typeof key === "string") unusable.set(key, (unusable.get(key) ?? 0) + 1);
    else keys.push(key);
  }
  const set = { keys, unusable };
  readSets.set(document, set);
  return set;
}

/** The key, or why it cannot be used. */
function readKey(jwk: unknown): VerifyingKey | string {
  if (typeof jwk !== "object" || jwk === null) return "that is no key";
  try {
    return readPublicKey(jwk as Jwk, signatureAlgorithms);
  } catch (error) {
    if (!(error instanceof UnusableKey)) throw error;
    return error.member === "" ? `that ${error.message}` : `whose ${error.member} ${error.message}`;
  }
}

/** Keys of the set that may have made a signature of the algorithm. */
export function findFittingKeys({ keys }: KeySet, algorithm: SignatureAlgorithm): readonly VerifyingKey[] {
  return keys.filter((key) => key.algorithms.includes(algorithm));
}

/**
 * Keys that may have signed what names this `kid`, compared to the letter; what
 * names none was signed by the only fitting key. undefined when there is none,
 * also not after asking anew.
 */
export async function findSigningKeys(
  source: KeySource,
  algorithm: SignatureAlgorithm,
  kid: unknown,
): Promise<readonly VerifyingKey[] | undefined> {
  return selectKeys(await source.get(), algorithm, kid) ?? selectKeys(await source.refresh(), algorithm, kid);
}

function selectKeys(
  set: KeySet,
  algorithm: SignatureAlgorithm,
  kid: unknown,
): readonly VerifyingKey[] | undefined {
  const fitting = findFittingKeys(set, algorithm);
  const named = kid === undefined ? fitting : fitting.filter((key) => key.kid === kid);
  if (named.length === 0 || (kid === undefined && named.length > 1)) return undefined;
  return named;
}

/** The keys at a fixed address. */
export function createRemoteKeys(documents: DocumentSource, url: string): KeySource {
  return {
    get: async () => readKeySet(await documents.get(url)),
    refresh: async () => readKeySet(await documents.refresh(url)),
  };
}

/** Keys that are at hand. */
export function createFixedKeys(document: Document): KeySource {
  const get = async () => readKeySet(document);
  return { get, refresh: get };
}
