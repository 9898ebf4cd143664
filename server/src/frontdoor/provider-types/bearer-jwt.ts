/**
 * Judges a bearer JWT of another issuer (RFC 7519, RFC 8725; for ID tokens
 * OpenID Connect Core §3.1.3.7).
 *
 * Keys come from the provider's own key set and from nowhere else: members of
 * a header that name or carry keys are refused. The algorithm must be allowed,
 * and be one that the key itself is for.
 */
import { type Clock, toEpochSeconds } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import type { JsonValue } from "../../lib/json.ts";
import { isSignatureAlgorithm, type SignatureAlgorithm } from "../../signatures/algorithms.ts";
import { type CompactJws, readCompactJws, readJsonPart } from "../../signatures/compact-jws.ts";
import { isSignedByOne } from "../../signatures/foreign-jws.ts";
import { findSigningKeys, type KeySource } from "../../signatures/key-set.ts";
import { findMissingClaim } from "./claims.ts";
import { refuse } from "./refused.ts";

/** The claims of a token whose signature is good. */
export type JwtClaims = Readonly<Record<string, unknown>>;

/** What a provider asks of a token. */
export interface BearerRules {
  /** `iss` is one of these. */
  readonly issuers: readonly string[];
  /** `aud` holds one of these. */
  readonly audiences: readonly string[];
  /** For tokens made for one client: `azp`, if any, names it, and must where there are several audiences. */
  readonly authorizedParty: string | undefined;
  readonly algorithms: readonly SignatureAlgorithm[];
  /** Claim → the value it must have or contain, or all of the values it must contain. */
  readonly requiredClaims: Readonly<Record<string, JsonValue>>;
  readonly keys: KeySource;
}

/** The clock that tokens of others are held against, and its leeway. */
export interface BearerClock {
  readonly clock: Clock;
  readonly clockSkewSeconds: number;
}

/** Longest token read, in characters; more does not fit into a request's headers either. */
const longestToken = 16_384;

/** Values of `typ` of ID and access tokens, in lower case; every other kind, our gate's assertion too, is refused (RFC 8725 §3.11). */
const tokenTypes = new Set(["jwt", "at+jwt", "application/jwt", "application/at+jwt"]);

/**
 * Answers the claims of a good token; `sub` is a text that is not empty.
 *
 * @throws Refused with the first thing that is wrong; EgressError when the keys cannot be had.
 */
export async function verifyBearerJwt(
  token: string,
  rules: BearerRules,
  clock: BearerClock,
): Promise<JwtClaims> {
  const claims = await verifyJwt(token, tokenTypes, rules, clock);
  if (claims.sub !== undefined && typeof claims.sub !== "string") {
    refuse(
      "claim_mismatch",
      `the token's sub is a ${typeof claims.sub}, which has to be text: have the issuer send one`,
    );
  }
  if (claims.sub === undefined || claims.sub === "") {
    refuse("claim_mismatch", "the token has no sub: have the issuer say whom it is for");
  }
  return claims;
}

/** As {@link verifyBearerJwt}, of another kind and about anybody. @param types what `typ` may be, in lower case */
export async function verifyJwt(
  token: string,
  types: ReadonlySet<string>,
  rules: BearerRules,
  { clock, clockSkewSeconds }: BearerClock,
): Promise<JwtClaims> {
  const { jws, claims } = readToken(token);
  checkType(jws, types);
  checkIssuer(claims, rules);
  const algorithm = getAlgorithm(jws, rules);
  await checkSignature(jws, algorithm, rules.keys);
  checkTimes(claims, toEpochSeconds(clock.now()), clockSkewSeconds);
  checkAudience(claims, rules);
  checkRequired(claims, rules.requiredClaims);
  return claims;
}

function readToken(token: string): { jws: CompactJws; claims: JwtClaims } {
  try {
    const jws = readCompactJws(token, "the token", longestToken);
    return { jws, claims: readJsonPart(jws.encodedPayload, "the token") };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    refuse(
      "malformed",
      `this is not a signed JWT (${error.detail ?? "unreadable"}): present the whole token, as issued`,
    );
  }
}

function checkType({ header: { typ } }: CompactJws, types: ReadonlySet<string>): void {
  if (typ === undefined) return;
  if (typeof typ !== "string" || !types.has(typ.toLowerCase())) {
    refuse("wrong_token_type", `the token's typ is another kind's: present one of ${[...types].join(", ")}`);
  }
}

function checkIssuer({ iss }: JwtClaims, { issuers }: BearerRules): void {
  if (typeof iss === "string" && issuers.includes(iss)) return;
  const expected = issuers.map(toShown).join(" or ");
  refuse(
    "wrong_issuer",
    `the token's iss is ${toShown(iss)}, this provider's issuer is ${expected}: they must be equal to the letter, a slash at the end included`,
  );
}

function getAlgorithm({ header: { alg } }: CompactJws, { algorithms }: BearerRules): SignatureAlgorithm {
  if (isSignatureAlgorithm(alg) && algorithms.includes(alg)) return alg;
  refuse(
    "wrong_algorithm",
    `the token's alg is ${toShown(alg)}, allowed are ${algorithms.join(", ")}: change the allowed algorithms or the issuer's`,
  );
}

async function checkSignature(
  jws: CompactJws,
  algorithm: SignatureAlgorithm,
  source: KeySource,
): Promise<void> {
  const { kid } = jws.header;
  const keys = await findSigningKeys(source, algorithm, kid);
  if (keys === undefined) {
    refuse(
      "unknown_key",
      kid === undefined
        ? `the token names no kid and the issuer has not exactly one key for ${algorithm}: have the issuer set kid`
        : `the issuer's key set has no key ${toShown(kid)} for ${algorithm}: the token is another issuer's, or the key was rotated out`,
    );
  }
  if (await isSignedByOne(jws, algorithm, keys)) return;
  refuse(
    "bad_signature",
    "the token's signature does not fit its claims: present the token unchanged, as issued",
  );
}

function checkTimes(claims: JwtClaims, now: number, skew: number): void {
  const exp = readInstant(claims, "exp");
  if (exp === undefined) refuse("expired", "the token has no exp: have the issuer set one");
  if (now >= exp + skew) {
    refuse(
      "expired",
      `the token expired at ${toTime(exp)}, this server's clock says ${toTime(now)}: get a new one, or, if it is new, set the clocks of the issuer and this server (${skew} s apart is allowed)`,
    );
  }
  for (const name of ["nbf", "iat"]) {
    const from = readInstant(claims, name);
    if (from === undefined || from <= now + skew) continue;
    refuse(
      "not_yet_valid",
      `the token's ${name} is ${toTime(from)}, this server's clock says ${toTime(now)}: set the clocks of the issuer and this server (${skew} s apart is allowed)`,
    );
  }
}

/** Beyond this, in seconds, an instant has no date. */
const latestInstant = 8.64e12;

function readInstant(claims: JwtClaims, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value === "number" && Math.abs(value) <= latestInstant) return value;
  refuse("malformed", `the token's ${name} is not a number of seconds`);
}

function toTime(epochSeconds: number): string {
  return new Date(Math.floor(epochSeconds) * 1000).toISOString().replace(".000Z", "Z");
}

function checkAudience(claims: JwtClaims, { audiences, authorizedParty }: BearerRules): void {
  const presented: readonly unknown[] = [claims.aud].flat();
  if (!presented.some((aud) => typeof aud === "string" && audiences.includes(aud))) {
    refuse(
      "wrong_audience",
      `the token's aud is ${presented.slice(0, 5).map(toShown).join(", ")}, accepted is ${audiences.map(toShown).join(" or ")}: ask the issuer for a token meant for this audience, or add its aud to the provider`,
    );
  }
  if (authorizedParty === undefined) return;
  const { azp } = claims;
  if (azp === undefined && presented.length > 1) {
    refuse(
      "wrong_audience",
      "the token has several audiences and no azp: name the accepted ones in audiences",
    );
  }
  if (azp !== undefined && azp !== authorizedParty) {
    refuse(
      "wrong_audience",
      `the token was made for the client ${toShown(azp)} (azp), not for ${toShown(authorizedParty)}: get it as that client`,
    );
  }
}

/** @throws Refused for the first claim that is not as required */
export function checkRequired(claims: JwtClaims, required: BearerRules["requiredClaims"]): void {
  const missing = findMissingClaim(claims, required);
  if (missing === undefined) return;
  const found = Object.hasOwn(claims, missing) ? "has another value" : "is not in the token";
  refuse(
    "claim_mismatch",
    `the required claim ${toShown(missing)} ${found}: have the issuer set it, or change requiredClaims`,
  );
}

/** A value from outside, short and in quotes, as details show it. */
export function toShown(value: unknown): string {
  if (value === undefined) return "missing";
  const text = typeof value === "string" ? value : `(${Array.isArray(value) ? "array" : typeof value})`;
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
