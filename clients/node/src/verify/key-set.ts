/**
 * The issuer's public keys (RFC 7517), kept as long as their answer allows.
 *
 * - Refreshed in the background once 80 % of that time has passed.
 * - When refreshing fails they are used for another hour at most.
 * - A key id that is not among them has them fetched again.
 * - Whatever the reason, one fetch at a time and one in thirty seconds:
 *   strangers who invent key ids cannot make more of them.
 */
import { importJWK, type JWK } from "jose";
import type { Clock } from "../clock.ts";
import { fetchKeySet } from "./fetch-key-set.ts";
import { KeySetUnavailableError } from "./token-error.ts";

/** A public key with the one algorithm it verifies. */
export interface VerificationKey {
  readonly algorithm: string;
  readonly key: Awaited<ReturnType<typeof importJWK>>;
}

/** Finds keys by id. */
export interface KeySet {
  /**
   * The key, the same object until its set is fetched anew; undefined when the
   * issuer has no such key.
   *
   * @throws KeySetUnavailableError when there are no keys that may be used, or
   *   the id is unknown and the issuer cannot be asked.
   */
  find(kid: string): Promise<VerificationKey | undefined>;
}

/** Where a key set is fetched, and how long it is kept. */
export interface KeySetOptions {
  readonly uri: string;
  readonly fetch: typeof fetch;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Least time between two fetches. */
  readonly cooldownSeconds: number;
  /** How long keys are used past their time while they cannot be fetched. */
  readonly staleIfErrorSeconds: number;
  /** Limit of one fetch, body included. */
  readonly timeoutSeconds: number;
}

interface HeldKeys {
  readonly byKid: ReadonlyMap<string, VerificationKey>;
  readonly refreshAtMs: number;
  readonly freshUntilMs: number;
  readonly usableUntilMs: number;
}

/** Longest time keys are trusted without asking, whatever the answer allows: a key may be dropped. */
const longestFreshSeconds = 3600;

/** @see {@link KeySet} */
export function createKeySet(options: KeySetOptions): KeySet {
  const { clock, cooldownSeconds, staleIfErrorSeconds } = options;
  let held: HeldKeys | undefined;
  let failure: { readonly cause: unknown } | undefined;
  let attemptedAtMs = Number.NEGATIVE_INFINITY;
  let flight: Promise<void> | undefined;

  async function load(): Promise<void> {
    const askedAtMs = clock.monotonicMs();
    try {
      const { keys, maxAgeSeconds } = await fetchKeySet(options);
      const freshMs = Math.min(Math.max(maxAgeSeconds, cooldownSeconds), longestFreshSeconds) * 1000;
      held = {
        byKid: await importKeys(keys),
        refreshAtMs: askedAtMs + freshMs * 0.8,
        freshUntilMs: askedAtMs + freshMs,
        usableUntilMs: askedAtMs + freshMs + staleIfErrorSeconds * 1000,
      };
      failure = undefined;
    } catch (cause) {
      failure = { cause };
    }
  }

  /** Resolves when the keys are as new as they may be; never rejects. */
  function refresh(): Promise<void> {
    if (flight !== undefined) return flight;
    const nowMs = clock.monotonicMs();
    if (nowMs - attemptedAtMs < cooldownSeconds * 1000) return Promise.resolve();
    attemptedAtMs = nowMs;
    flight = load().finally(() => {
      flight = undefined;
    });
    return flight;
  }

  /** Keys past their time wait for a refresh, unless the last one failed: then it goes on behind. */
  async function freshen(): Promise<void> {
    const nowMs = clock.monotonicMs();
    if (held === undefined || nowMs >= held.usableUntilMs) return await refresh();
    if (nowMs < held.refreshAtMs) return;
    const refreshed = refresh();
    if (nowMs >= held.freshUntilMs && failure === undefined) await refreshed;
  }

  function unavailable(): KeySetUnavailableError {
    const remainingMs = attemptedAtMs + cooldownSeconds * 1000 - clock.monotonicMs();
    return new KeySetUnavailableError(Math.max(1, Math.ceil(remainingMs / 1000)), failure?.cause);
  }

  function getUsable(): HeldKeys["byKid"] {
    if (held === undefined || clock.monotonicMs() >= held.usableUntilMs) throw unavailable();
    return held.byKid;
  }

  return {
    async find(kid) {
      await freshen();
      const known = getUsable().get(kid);
      if (known !== undefined) return known;
      await refresh();
      const found = getUsable().get(kid);
      if (found === undefined && failure !== undefined) throw unavailable();
      return found;
    },
  };
}

/** Keys of other kinds, for other uses or with secret halves are left out. */
async function importKeys(keys: readonly JWK[]): Promise<Map<string, VerificationKey>> {
  const byKid = new Map<string, VerificationKey>();
  for (const jwk of keys) {
    const algorithm = toAlgorithm(jwk);
    if (algorithm === undefined || typeof jwk.kid !== "string" || byKid.has(jwk.kid)) continue;
    try {
      byKid.set(jwk.kid, { algorithm, key: await importJWK(jwk, algorithm) });
    } catch {
      // One key that cannot be read does not take the others away.
    }
  }
  return byKid;
}

/** What a key's members must be: canonical base64url, a coordinate of full length, the exponent that generators take. */
const memberRules: Readonly<Record<string, (bytes: Buffer) => boolean>> = {
  n: (bytes) => bytes.length >= 256,
  e: (bytes) => bytes.equals(Buffer.from([1, 0, 1])),
  x: (bytes) => bytes.length === 32,
  y: (bytes) => bytes.length === 32,
};

function hasSoundMembers(jwk: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(memberRules).every(([name, isSound]) => {
    const value = jwk[name];
    if (value === undefined) return true;
    if (typeof value !== "string") return false;
    const bytes = Buffer.from(value, "base64url");
    return bytes.toString("base64url") === value && isSound(bytes);
  });
}

/** The algorithm a key is pinned to: the one of its kind, which is the one it names if it names any. */
function toAlgorithm(jwk: JWK): string | undefined {
  if (typeof jwk !== "object" || jwk === null || "d" in jwk || "k" in jwk) return undefined;
  if (jwk.use !== undefined && jwk.use !== "sig") return undefined;
  const ofItsKind = { EC: "ES256", RSA: "RS256", OKP: "EdDSA" }[jwk.kty as string];
  if (!hasSoundMembers({ ...jwk }) || (jwk.alg !== undefined && jwk.alg !== ofItsKind)) return undefined;
  return ofItsKind;
}
