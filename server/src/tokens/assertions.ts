/**
 * JWT assertions (RFC 7523): a machine proves itself by signing a short text
 * with a key pair of which this service holds the public half.
 *
 * The key is found by its id and nothing else in the assertion; the algorithm
 * is the key's own. An assertion is good once: its `jti` is consumed in the
 * database all processes share.
 */
import { hash } from "node:crypto";
import { type Clock, toEpochSeconds } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import type { AssertionKey, AssertionKeySource } from "../principals/assertion-key.ts";
import type { AssertionRules, AssertionUse } from "../principals/presented.ts";
import type { ServiceUserPrincipal } from "../principals/principal.ts";
import { listNames } from "../signatures/algorithms.ts";
import { type CompactJws, readCompactJws, readJsonPart, refuseJws } from "../signatures/compact-jws.ts";
import { isSignedByOne } from "../signatures/foreign-jws.ts";
import { clockSkewMetadata } from "./clock-skew.ts";

/** Whose keys verify an assertion (RFC 7523 §3), and for which audiences. */
export interface AssertionOptions {
  readonly keys: AssertionKeySource;
  readonly clock: Clock;
  /** Any one of these is who an assertion may be meant for: the issuer, the token endpoint. */
  readonly audiences: readonly string[];
  /** Leeway in reading `exp`, `nbf` and `iat`, in seconds. */
  readonly clockSkewSeconds: number;
  /**
   * Marks an assertion as used until `expiresAt`; false when it was already.
   * Must be atomic across all processes.
   */
  readonly consume: (id: string, expiresAt: Date) => Promise<boolean>;
}

/** Proves service users by assertion. */
export interface AssertionAuthenticator {
  /**
   * Proves the owner of the key that signed, and uses the assertion up.
   *
   * @throws DomainError NOT_AUTHENTICATED for a bad or used one, its detail
   *   says why; PRINCIPAL_DISABLED, ORGANIZATION_DISABLED; UNAVAILABLE when its
   *   use cannot be recorded.
   */
  authenticate(assertion: string, use: AssertionUse, rules: AssertionRules): Promise<ServiceUserPrincipal>;
}

/** Longest assertion read, in characters. */
const longestAssertion = 16_384;

/** Longest `kid` and `jti` read, in characters. */
const longestId = 512;

/** How far away an assertion's `exp` may be. */
const longestLifeSeconds = 24 * 3600;

/** Values of `typ` that mean an assertion, in lower case; none of ours is among them (RFC 8725 §3.11). */
const assertionTypes = new Set(["jwt", "client-authentication+jwt", "authorization-grant+jwt"]);

/** The claims of an assertion whose signature is good. */
type Claims = Readonly<Record<string, unknown>>;

/** Refuses an assertion whose owner is known. @param metadata for the caller */
type Refuse = (detail: string, metadata?: Readonly<Record<string, string>>) => never;

function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= longestId;
}

function checkType({ header }: CompactJws): void {
  const { typ } = header;
  if (typ === undefined) return;
  if (typeof typ !== "string" || !assertionTypes.has(typ.toLowerCase())) {
    refuseJws("assertion: its typ is another kind of token's");
  }
}

/** Frontier's clients put it into the payload (RFC 7515 §4.1.4 into the header). */
function readKeyId(jws: CompactJws, claims: Claims): string {
  const ids = [jws.header.kid, claims.kid].filter((id) => id !== undefined);
  const [first, second = first] = ids;
  if (!isId(first) || second !== first) refuseJws("assertion: no kid, or two");
  return first;
}

function refuseUnknown(kid: string): never {
  throw new DomainError("NOT_AUTHENTICATED", {
    detail: "assertion: unknown kid",
    // Anything else might be a secret in the wrong place.
    ...(isUuid(kid) && { unknownCredentialId: kid.toLowerCase() }),
  });
}

function readInstant(claims: Claims, name: string, refuse: Refuse): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isFinite(value)) return refuse(`${name} is not a number`);
  return value;
}

/** @see {@link AssertionAuthenticator} */
export function createAssertionAuthenticator(options: AssertionOptions): AssertionAuthenticator {
  const { keys, clock, audiences, clockSkewSeconds, consume } = options;

  async function getKey(jws: CompactJws, claims: Claims): Promise<AssertionKey> {
    const kid = readKeyId(jws, claims);
    const key = await keys.findAssertionKey(kid);
    if (key === undefined) refuseUnknown(kid);
    const algorithm = listNames(key.algorithm).find((name) => name === jws.header.alg);
    if (algorithm === undefined) refuseJws("assertion: alg is not its key's");
    if (!(await isSignedByOne(jws, algorithm, [key]))) refuseJws("assertion: bad signature");
    return key;
  }

  /** RFC 7523 §3, points 4 to 6. Answers `exp`. */
  function checkTimes(claims: Claims, refuse: Refuse): number {
    const now = toEpochSeconds(clock.now());
    const exp = readInstant(claims, "exp", refuse);
    if (exp === undefined) return refuse("no exp");
    const end = clockSkewMetadata("assertion_expires_at", exp, now);
    if (now >= exp + clockSkewSeconds) return refuse(`expired at ${exp}, now is ${now}`, end);
    if (exp > now + longestLifeSeconds) return refuse(`exp ${exp} is over 24 h away, now is ${now}`, end);
    for (const name of ["nbf", "iat"]) {
      const from = readInstant(claims, name, refuse) ?? 0;
      const start = clockSkewMetadata("assertion_valid_from", from, now);
      if (from > now + clockSkewSeconds) return refuse(`${name} is ${from}, now is ${now}`, start);
    }
    return exp;
  }

  /** Exactly one audience, this service: an assertion for two could be replayed by one at the other. */
  function checkAudience({ aud }: Claims, { relaxed }: AssertionRules, refuse: Refuse): void {
    if (aud === undefined && relaxed) return;
    const [only, ...more] = Array.isArray(aud) ? aud : [aud];
    if (typeof only !== "string" || more.length > 0) refuse("not exactly one aud");
    if (!audiences.includes(only)) refuse("for another audience");
  }

  function checkSubject(claims: Claims, owner: string, { relaxed }: AssertionRules, refuse: Refuse): void {
    if (claims.sub !== owner) refuse("sub is not the key's service user");
    if (!relaxed && claims.iss !== owner) refuse("iss is not sub");
  }

  async function useUp(
    { jti }: Claims,
    exp: number,
    owner: string,
    { relaxed }: AssertionRules,
    refuse: Refuse,
  ): Promise<void> {
    if (jti === undefined && relaxed) return;
    if (!isId(jti)) return refuse("no jti");
    const id = hash("sha256", `${owner}\n${jti}`, "base64url");
    const refusedFromAt = new Date((Math.ceil(exp) + clockSkewSeconds) * 1000);
    if (!(await consume(id, refusedFromAt))) refuse("its jti was used before");
  }

  return {
    async authenticate(assertion, use, rules) {
      const jws = readCompactJws(assertion, "assertion", longestAssertion);
      checkType(jws);
      const claims = readJsonPart(jws.encodedPayload, "assertion");
      const key = await getKey(jws, claims);
      const owner = key.serviceUserId;
      // The signature is good: from here on its owner is told in the audit what is wrong.
      const { orgId, credentialId } = key;
      const refuse: Refuse = (detail, metadata) =>
        refuseJws(
          `assertion by key ${credentialId}: ${detail}`,
          { type: "serviceuser", id: owner, orgId, credentialId },
          metadata,
        );
      const exp = checkTimes(claims, refuse);
      checkAudience(claims, rules, refuse);
      checkSubject(claims, owner, rules, refuse);
      const principal = await keys.authenticateKey(key, use);
      await useUp(claims, exp, owner, rules, refuse);
      return principal;
    },
  };
}
