/**
 * Access tokens: JWS in compact form (RFC 7515 §7.1) with the profile of
 * RFC 9068. Signed with the key in use, verified with the algorithm pinned to
 * the key that `kid` names; headers choose nothing else.
 */
import { andThen, atOnce, type Soon } from "../lib/at-once.ts";
import { type Clock, toEpochSeconds } from "../lib/clock.ts";
import type { CredentialOwner } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import type { AccessTokenClaims, TokenSubjects } from "../principals/claims.ts";
import type { KindJudge } from "../principals/judge.ts";
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import { readCompactJws, readJsonPart, refuseJws } from "../signatures/compact-jws.ts";
import { isSignatureOf } from "../signatures/signing.ts";
import { clockSkewMetadata } from "./clock-skew.ts";
import type { Keyring, KeyringSnapshot, SigningKeyInUse, SignToken } from "./keyring.ts";
import { type FitClaims, longestToken } from "./organization-claims.ts";

/** Claims of a token about its principal; the service adds the rest. */
export type AccessTokenSubject = Omit<
  AccessTokenClaims,
  "iss" | "aud" | "iat" | "nbf" | "exp" | "jti" | "gen"
>;

/** What a token is made with besides its subject. */
export interface IssueOptions {
  /** When the credential behind it expires. */
  readonly notAfterAt?: Date | undefined;
  /** Adds claims for which only so much room is left in a token of bounded length. */
  readonly fit?: FitClaims;
}

/** A token as answered. */
export interface IssuedToken {
  readonly token: string;
  readonly jti: string;
  readonly expiresInSeconds: number;
}

/** Keys that access tokens are signed and verified with, and what is the same in all. */
export interface AccessTokenOptions {
  readonly keyring: Pick<Keyring, "get" | "peek">;
  readonly sign: SignToken;
  readonly clock: Clock;
  readonly issuer: string;
  readonly audience: string;
  readonly validitySeconds: number;
  /** Leeway in reading `exp` and `nbf`, in seconds. */
  readonly clockSkewSeconds: number;
  /** Whether the token of a `jti` was revoked before its time. */
  readonly isRevoked: (jti: string) => boolean | Promise<boolean>;
}

/** Issues and verifies this service's access tokens. */
export interface AccessTokens {
  /**
   * Signs a token, valid for the configured time but never past the end of the
   * credential behind it.
   */
  issue(subject: AccessTokenSubject, options?: IssueOptions): Promise<IssuedToken>;
  /**
   * Answers the claims of a good token. Says nothing of its principal, who may
   * have been disabled since.
   *
   * @throws DomainError NOT_AUTHENTICATED for any other; its detail says why.
   */
  verify(token: string): Soon<AccessTokenClaims>;
}

/** Longest token read, in characters: a bound for the work a stranger can cause. */
const longestRead = 8192;

/** Length of each algorithm's signatures in base64url (RFC 7518 §3.3 with 2048 bits, §3.4; RFC 8037 §3.1). */
const signatureLengths: Readonly<Record<SigningAlgorithm, number>> = { ES256: 86, EdDSA: 86, RS256: 342 };

/** How many bytes of JSON a token has room for beside its header and signature. */
function countPayloadBytes({ encodedHeaders, algorithm }: SigningKeyInUse): number {
  const header = encodedHeaders.get("at+jwt")?.length ?? 0;
  return Math.floor(((longestToken - header - signatureLengths[algorithm] - 2) * 3) / 4);
}

const subTypes: ReadonlySet<unknown> = new Set<AccessTokenClaims["sub_type"]>([
  "app/user",
  "app/serviceuser",
  "app/pat",
]);

function isClaims(payload: Record<string, unknown>): payload is Record<string, unknown> & AccessTokenClaims {
  const texts = ["iss", "sub", "aud", "client_id", "jti", "sub_type", "auth_via"];
  return (
    texts.every((name) => typeof payload[name] === "string") &&
    subTypes.has(payload.sub_type) &&
    Number.isSafeInteger(payload.exp) &&
    Number.isSafeInteger(payload.nbf)
  );
}

/** Whose a token of ours is, for the audit of its refusal. A service user and a personal access token have one organization. */
function toOwner(claims: AccessTokenClaims): CredentialOwner {
  const { sub, sub_type, user_id: id = sub, credential_id, org_id } = claims;
  return {
    type: sub_type === "app/serviceuser" ? "serviceuser" : "user",
    id,
    ...(sub_type !== "app/user" && org_id && { orgId: org_id }),
    ...(credential_id && { credentialId: credential_id }),
  };
}

/** @see {@link AccessTokens} */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  const { keyring, sign, clock, issuer, audience, validitySeconds, clockSkewSeconds, isRevoked } = options;

  /** The signature and everything that cannot change while the keys stay. */
  function verifySignature(token: string, snapshot: KeyringSnapshot): AccessTokenClaims {
    const { header, encodedPayload, signed, signature } = readCompactJws(token, "token", longestRead);
    if (header.typ !== "at+jwt") refuseJws("token: typ is not at+jwt");
    const key = typeof header.kid === "string" ? snapshot.verifiers.get(header.kid) : undefined;
    if (key === undefined) refuseJws("token: unknown kid");
    if (header.alg !== key.algorithm) refuseJws("token: alg is not its key's");
    if (!isSignatureOf(key.algorithm, key.publicKey, signed, signature)) refuseJws("token: bad signature");
    const claims = readJsonPart(encodedPayload, "token");
    if (!isClaims(claims)) refuseJws("token: claims are missing");
    if (claims.iss !== issuer) refuseJws("token: another issuer's");
    if (claims.aud !== audience) refuseJws("token: for another audience");
    if (claims.gen !== "system") refuseJws("token: gen is not system");
    return claims;
  }

  function checkTimes(claims: AccessTokenClaims): void {
    const now = toEpochSeconds(clock.now());
    if (now >= claims.exp + clockSkewSeconds) {
      const clocks = clockSkewMetadata("token_expired_at", claims.exp, now);
      refuseJws(`token: expired at ${claims.exp}, now is ${now}`, toOwner(claims), clocks);
    }
    if (now < claims.nbf - clockSkewSeconds) {
      const clocks = clockSkewMetadata("token_valid_from", claims.nbf, now);
      refuseJws(`token: not valid before ${claims.nbf}, now is ${now}`, toOwner(claims), clocks);
    }
  }

  return {
    async issue(subject, { notAfterAt, fit } = {}) {
      const now = clock.now();
      const iat = toEpochSeconds(now);
      const latest = notAfterAt === undefined ? Number.POSITIVE_INFINITY : toEpochSeconds(notAfterAt);
      const exp = Math.min(iat + validitySeconds, latest);
      // In the order of time, as it is a key of the audit: rows that belong together lie together.
      const jti = newId(now);
      const said: AccessTokenClaims = {
        iss: issuer,
        ...subject,
        aud: audience,
        iat,
        nbf: iat,
        exp,
        jti,
        gen: "system",
      };
      let claims = said;
      if (fit !== undefined) {
        const room = countPayloadBytes((keyring.peek() ?? (await keyring.get())).getSigner(now));
        claims = { ...said, ...fit(room - Buffer.byteLength(JSON.stringify(said))) };
      }
      const token = await sign("at+jwt", claims, now);
      return { token, jti, expiresInSeconds: exp - iat };
    },
    verify: (token) =>
      atOnce(() =>
        andThen(keyring.peek() ?? keyring.get(), (snapshot) => {
          const claims = snapshot.verified.get(token) ?? verifySignature(token, snapshot);
          snapshot.verified.set(token, claims);
          checkTimes(claims);
          return andThen(isRevoked(claims.jti), (revoked) => {
            if (revoked) refuseJws("token: revoked", toOwner(claims));
            return claims;
          });
        }),
      ),
  };
}

/** Judges access tokens: by their signature, and by whom they stand for. */
export function createAccessTokenJudge(
  accessTokens: Pick<AccessTokens, "verify">,
  subjects: TokenSubjects,
): KindJudge<"access_token"> {
  return ({ token }) =>
    andThen(accessTokens.verify(token), (claims) => {
      const { sub: id, credential_id: credentialId = "", auth_via: authVia, jti: tokenId } = claims;
      const issuedAt = new Date(claims.iat * 1000);
      const proving = subjects[claims.sub_type]({ id, credentialId, authVia, tokenId, issuedAt });
      return andThen(proving, (principal) => ({ principal, claims }));
    });
}
