/**
 * The life of signing keys: published, signing, verifying, gone.
 *
 * A successor is published before it signs, so that every verifier has fetched
 * it by then, and its predecessor verifies until the last token it signed has
 * expired. Which key signs follows from the clock alone: no write and no
 * restart happens at the change-over. Each step here is one transaction under
 * a lock that all processes share, so two of them never rotate at once.
 */
import type { AuditAgent, AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import { lockForTransaction } from "../db/dialect.ts";
import { placeOf, type SealedColumn, type Sealer, type SealPlace } from "../encryption/sealer.ts";
import type { Clock } from "../lib/clock.ts";
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import { toPublicJwk, toThumbprint } from "../signatures/public-jwk.ts";
import { generateSigningKeyPair } from "../signatures/signing.ts";
import { findSigner, isVerifying, type SigningKey } from "./signing-key.ts";
import { deleteSigningKey, findSigningKeys, insertSigningKey, updateSigningKeyTimes } from "./store.ts";

/** Time for which a key is published before it signs. */
export const publishAheadSeconds = 15 * 60;

/** Time for which a key signs before its successor does. */
export const rotationSeconds = 30 * 24 * 3600;

/** How far the clocks of two processes may be apart, in seconds. */
const processSkewSeconds = 60;

/** Subject of every change to the signing keys: they are read as one. */
export const keyringSubject = "all";

/** Advisory lock of Postgres that whoever changes the signing keys takes. */
const rotationLockKey = 7_400_004;

/** Where signing keys are kept, and when one takes over from another. */
export interface KeyRotationOptions {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly audit: Pick<AuditTrail, "recordOwn">;
  /** On whose behalf keys change: the server's own, or the operator's commands. */
  readonly agent: AuditAgent;
  readonly algorithm: SigningAlgorithm;
  /** Longest life of a token plus the skew allowed in reading its `exp`. */
  readonly longestTokenSeconds: number;
}

/** Creates, replaces and drops signing keys. */
export interface KeyRotation {
  /**
   * Makes what is missing and rotates what is due: the first key, a successor
   * after 30 days or for another algorithm; removes keys that have retired.
   * Does nothing when nothing is due.
   */
  maintain(): Promise<void>;
  /**
   * Publishes a successor, which signs 15 minutes later or, with `now`, at
   * once. A successor that is already waiting is not made anew.
   */
  rotate(options: { now: boolean }): Promise<SigningKey>;
  /**
   * Drops a key: its tokens are refused from then on. If it was the one that
   * signs, the next one takes over at once, never an older one; if it was
   * waiting to sign, another is published in its place.
   *
   * @returns false when there is no such key.
   */
  revoke(kid: string): Promise<boolean>;
}

function addSeconds(instant: Date, seconds: number): Date {
  return new Date(instant.getTime() + seconds * 1000);
}

/** @see {@link KeyRotation} */
export function createKeyRotation(options: KeyRotationOptions): KeyRotation {
  const { database, feed, sealer, clock, audit, agent, algorithm, longestTokenSeconds } = options;

  async function newKey(signsFromAt: Date): Promise<SigningKey> {
    const { privateKey, publicKey } = await generateSigningKeyPair(algorithm);
    const kid = await toThumbprint(publicKey);
    const der = privateKey.export({ type: "pkcs8", format: "der" });
    return {
      kid,
      algorithm,
      publicJwk: toPublicJwk(publicKey, kid),
      sealedPrivateKey: sealer.seal(signingKeyPlace(kid), der),
      createdAt: clock.now(),
      signsFromAt,
    };
  }

  /** Stores or hastens the successor and says until when the others verify. */
  async function succeed(tx: Tx, keys: readonly SigningKey[], fresh: SigningKey): Promise<SigningKey> {
    const waiting = keys.find((key) => key.signsFromAt > clock.now() && key.algorithm === algorithm);
    const signsFromAt =
      waiting !== undefined && waiting.signsFromAt < fresh.signsFromAt
        ? waiting.signsFromAt
        : fresh.signsFromAt;
    const successor = { ...(waiting ?? fresh), signsFromAt };
    if (waiting === undefined) await insertSigningKey(tx, successor);
    else await updateSigningKeyTimes(tx, successor.kid, { signsFromAt });
    const isChanged = signsFromAt.getTime() !== waiting?.signsFromAt.getTime();
    if (isChanged) {
      await audit.recordOwn(tx, agent, {
        action: waiting === undefined ? "signing_key.create" : "signing_key.hasten",
        target: successor.kid,
        details: { algorithm, signs_from: signsFromAt.toISOString() },
      });
    }
    for (const key of keys) {
      if (key.kid === successor.kid || key.retiresAt !== undefined) continue;
      await updateSigningKeyTimes(tx, key.kid, { retiresAt: addSeconds(signsFromAt, longestTokenSeconds) });
    }
    return successor;
  }

  function isDue(keys: readonly SigningKey[]): boolean {
    const newest = keys.find((key) => key.retiresAt === undefined);
    if (newest === undefined || newest.algorithm !== algorithm) return true;
    return addSeconds(newest.signsFromAt, rotationSeconds - publishAheadSeconds) <= clock.now();
  }

  function nextSignsFromAt(keys: readonly SigningKey[], now: boolean): Date {
    const immediately = now || findSigner(keys, clock.now()) === undefined;
    return addSeconds(clock.now(), immediately ? 0 : publishAheadSeconds);
  }

  /**
   * Since when the key that takes over from a revoked one signs: for a minute
   * already, but after all others. A process whose clock is behind would
   * otherwise fall back on an older key, or have none.
   */
  function takeOverAt(rest: readonly SigningKey[]): Date {
    const now = clock.now();
    const past = rest.map(({ signsFromAt }) => signsFromAt).filter((instant) => instant <= now);
    return new Date(
      Math.max(addSeconds(now, -processSkewSeconds).getTime(), ...past.map((instant) => instant.getTime())),
    );
  }

  /** When a key retires now that tokens live longer than they did; undefined if nothing changed. */
  function findLaterRetirement(keys: readonly SigningKey[], index: number): Date | undefined {
    const { retiresAt } = keys[index] ?? {};
    const successor = keys[index + 1];
    if (retiresAt === undefined || successor === undefined) return undefined;
    const due = addSeconds(successor.signsFromAt, longestTokenSeconds);
    return due > retiresAt ? due : undefined;
  }

  /** Runs a step over the keys as they are, alone among all processes. */
  async function exclusively<T>(step: (tx: Tx, keys: SigningKey[]) => Promise<T>): Promise<T> {
    return await database.transaction(async (tx) => {
      await lockForTransaction(tx, rotationLockKey);
      const result = await step(tx, await findSigningKeys(tx));
      await feed.append(tx, { topic: "signing-keys", subject: keyringSubject });
      return result;
    });
  }

  return {
    async maintain() {
      const stored = await findSigningKeys(database.reader);
      const now = clock.now();
      const isSettled = stored.every(
        (key, index) => isVerifying(key, now) && findLaterRetirement(stored, index) === undefined,
      );
      if (isSettled && !isDue(stored)) return;
      const fresh = await newKey(nextSignsFromAt(stored, false));
      await exclusively(async (tx, keys) => {
        for (const [index, key] of keys.entries()) {
          const retiresAt = findLaterRetirement(keys, index);
          if (!isVerifying(key, now)) {
            if (await deleteSigningKey(tx, key.kid))
              await audit.recordOwn(tx, agent, { action: "signing_key.delete", target: key.kid });
          } else if (retiresAt !== undefined) await updateSigningKeyTimes(tx, key.kid, { retiresAt });
        }
        if (isDue(keys)) await succeed(tx, keys, { ...fresh, signsFromAt: nextSignsFromAt(keys, false) });
      });
    },
    async rotate({ now }) {
      const fresh = await newKey(clock.now());
      return await exclusively((tx, keys) =>
        succeed(tx, keys, { ...fresh, signsFromAt: nextSignsFromAt(keys, now) }),
      );
    },
    async revoke(kid) {
      const fresh = await newKey(clock.now());
      return await exclusively(async (tx, keys) => {
        const wasSigning = findSigner(keys, clock.now())?.kid === kid;
        if (!(await deleteSigningKey(tx, kid))) return false;
        await audit.recordOwn(tx, agent, { action: "signing_key.revoke", target: kid });
        const rest = keys.filter((key) => key.kid !== kid);
        if (wasSigning) await succeed(tx, rest, { ...fresh, signsFromAt: takeOverAt(rest) });
        else if (!rest.some((key) => key.retiresAt === undefined)) {
          await succeed(tx, rest, { ...fresh, signsFromAt: nextSignsFromAt(rest, false) });
        }
        return true;
      });
    },
  };
}

/** The column in which private halves of signing keys are sealed. */
export const signingKeyColumn: SealedColumn = {
  purpose: "signing-key",
  table: "signing_keys",
  column: "sealed_private_key",
  keyColumns: ["kid"],
};

/** Names the row and column in which the private half of a signing key is sealed. */
export function signingKeyPlace(kid: string): SealPlace {
  return placeOf(signingKeyColumn, [kid]);
}
