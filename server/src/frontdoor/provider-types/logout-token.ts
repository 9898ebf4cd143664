/** Logout tokens, by which a provider says that somebody signed out there (OpenID Connect Back-Channel Logout 1.0). */
import { type BearerClock, type BearerRules, type JwtClaims, verifyJwt } from "./bearer-jwt.ts";
import type { LogoutOutcome, ProvenLogout } from "./provider-type.ts";
import { decideBy, refuse } from "./refused.ts";

/** How old a token may be, in seconds, whatever its `exp` says: §2.4 recommends two minutes. */
const oldestSeconds = 300;

/** §2.4 recommends the first; a provider need not say a type. `nonce` and `events` tell an ID token apart. */
const logoutTypes = new Set(["logout+jwt", "application/logout+jwt", "jwt"]);

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout";

/** A name that a database keeps as it is, of any script. */
const storable = /^[^\p{Cc}\p{Cs}]{1,255}$/u;

/**
 * Verifies a logout token as §2.6 has it, but for whether its `jti` was seen
 * before.
 *
 * @param rules of tokens made for the client itself
 */
export async function verifyLogoutToken(
  token: string,
  rules: BearerRules,
  clock: BearerClock,
): Promise<LogoutOutcome> {
  return await decideBy(async () => toLogout(await verifyJwt(token, logoutTypes, rules, clock), clock));
}

/** @throws Refused */
function toLogout(claims: JwtClaims, { clock, clockSkewSeconds }: BearerClock): ProvenLogout {
  checkEvent(claims);
  const { iat, exp } = claims;
  if (typeof iat !== "number") refuse("malformed", "the logout token has no iat: have the provider set it");
  const goodSeconds = Math.min(Number(exp), iat + oldestSeconds) + clockSkewSeconds;
  const goodUntil = new Date(goodSeconds * 1000);
  if (clock.now() >= goodUntil) {
    refuse("expired", "the logout token is too old: set the clocks of the provider and this server");
  }
  const jti = findName(claims, "jti");
  const [subject, sid] = [findName(claims, "sub"), findName(claims, "sid")];
  if (jti === undefined) refuse("malformed", "the logout token has no jti: have the provider set it");
  if (subject === undefined && sid === undefined) {
    refuse("malformed", "the logout token has neither sub nor sid: have the provider say who signed out");
  }
  return {
    allowed: true,
    jti,
    issuedAt: new Date(iat * 1000),
    goodUntil,
    ...(subject !== undefined && { subject }),
    ...(sid !== undefined && { sid }),
  };
}

/** Neither may be missing its mark: an ID token must never end a session, nor this begin one. */
function checkEvent(claims: JwtClaims): void {
  const { events } = claims;
  const event = isObject(events) && Object.hasOwn(events, logoutEvent) ? events[logoutEvent] : undefined;
  if (!isObject(event)) {
    refuse(
      "wrong_token_type",
      "the token's events do not say that somebody signed out: present a logout token",
    );
  }
  if (Object.hasOwn(claims, "nonce")) {
    refuse("wrong_token_type", "the token has a nonce, as ID tokens have: present a logout token");
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function findName(claims: JwtClaims, name: string): string | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value === "string" && storable.test(value)) return value;
  return refuse("malformed", `the logout token's ${name} is no name: have the provider set another`);
}
