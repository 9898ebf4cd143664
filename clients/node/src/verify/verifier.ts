/**
 * Verifies access tokens where they are used, by the issuer's public keys
 * alone (RFC 9068 §4). Revocations before a token's end are known to the
 * issuer only: ask `/oauth2/introspect` where they matter at once.
 */
import { compactVerify } from "jose";
import { type Clock, systemClock } from "../clock.ts";
import { AccessTokenError } from "./access-token-error.ts";
import { type AccessTokenClaims, isAccessTokenClaims } from "./claims.ts";
import { readCompactHeader } from "./compact-jws.ts";
import { createKeySet, type VerificationKey } from "./key-set.ts";
import { createVerifiedTokens, type VerifiedToken } from "./verified-tokens.ts";

/** Whose access tokens a verifier takes, and by which keys. */
export interface VerifierOptions {
  /** Who has to have issued a token: the server's public URL. */
  readonly issuer: string;
  /** Who a token has to be for: this resource server's name, or names. Vestibule's default is its issuer. */
  readonly audience: string | readonly string[];
  /** Default: `<issuer>/.well-known/jwks.json`. */
  readonly jwksUri?: string;
  /** How far clocks may disagree. Default 60. */
  readonly clockToleranceSeconds?: number;
  /** How many verified tokens are remembered. Default 1000; 0 for none. */
  readonly cacheSize?: number;
  /** Least time between two fetches of the keys, whatever the reason. Default 30. */
  readonly cooldownSeconds?: number;
  /** How long the keys are used past their time while they cannot be fetched, at most 3600, the default. */
  readonly staleIfErrorSeconds?: number;
  /** Limit of one fetch of the keys. Default 5. */
  readonly timeoutSeconds?: number;
  /** Fetches the keys. Default: Node's own. */
  readonly fetch?: typeof fetch;
  /** Default: the process's own. */
  readonly clock?: Clock;
}

/** Judges access tokens. */
export interface Verifier {
  /**
   * Answers the claims of a good token, frozen.
   *
   * @throws AccessTokenError when the token is not good; its reason says why.
   * @throws KeySetUnavailableError when that cannot be said.
   */
  verifyAccessToken(token: string): Promise<AccessTokenClaims>;
}

const longestStaleSeconds = 3600;
const longestToken = 16 * 1024;

/** @throws TypeError for options that cannot be. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, clockToleranceSeconds = 60, clock = systemClock } = options;
  const audiences = toAudiences(options.audience);
  if (!issuer) throw new TypeError("createVerifier needs issuer");
  const keys = createKeySet({
    uri: toKeySetUri(options),
    fetch: options.fetch ?? fetch,
    clock,
    cooldownSeconds: options.cooldownSeconds ?? 30,
    staleIfErrorSeconds: Math.min(options.staleIfErrorSeconds ?? longestStaleSeconds, longestStaleSeconds),
    timeoutSeconds: options.timeoutSeconds ?? 5,
  });
  const verifiedTokens = createVerifiedTokens(options.cacheSize ?? 1000);

  /** Everything that cannot change while the key stays. */
  async function verifyOnce(token: string): Promise<VerifiedToken> {
    const { kid, algorithm } = readHeader(token);
    const key = await keys.find(kid);
    if (key === undefined) throw new AccessTokenError("TOKEN_KEY_UNKNOWN", "the issuer has no such key");
    if (algorithm !== key.algorithm) {
      throw new AccessTokenError("TOKEN_ALGORITHM", "the algorithm is not the key's");
    }
    const claims = readClaims(await verifySignature(token, key));
    if (claims.iss !== issuer) throw new AccessTokenError("TOKEN_ISSUER", "the token is another issuer's");
    if (![claims.aud].flat().some((one) => audiences.includes(one))) {
      throw new AccessTokenError("TOKEN_AUDIENCE", "the token is for another audience");
    }
    return { kid, key, claims };
  }

  function checkTimes({ exp, nbf }: AccessTokenClaims): void {
    const now = clock.now();
    const nowSeconds = now.getTime() / 1000;
    const here = `the clock here says ${now.toISOString()}`;
    if (nowSeconds >= exp + clockToleranceSeconds) {
      throw new AccessTokenError("TOKEN_EXPIRED", `the token expired at ${toInstant(exp)}; ${here}`);
    }
    if (nbf !== undefined && nowSeconds < nbf - clockToleranceSeconds) {
      const text = `the token is not valid before ${toInstant(nbf)}; ${here}`;
      throw new AccessTokenError("TOKEN_NOT_YET_VALID", text);
    }
  }

  return {
    async verifyAccessToken(token) {
      const remembered = verifiedTokens.find(token);
      // The key's end is the token's: both are looked up every time.
      const isStillGood = remembered !== undefined && (await keys.find(remembered.kid)) === remembered.key;
      const verified = isStillGood ? remembered : await verifyOnce(token);
      try {
        checkTimes(verified.claims);
      } catch (error) {
        verifiedTokens.remove(token);
        throw error;
      }
      if (!isStillGood) verifiedTokens.add(token, verified);
      return verified.claims;
    },
  };
}

function toAudiences(audience: string | readonly string[]): readonly string[] {
  const audiences = [audience].flat();
  if (audiences.length === 0 || audiences.some((one) => typeof one !== "string" || one === "")) {
    throw new TypeError("createVerifier needs audience");
  }
  return audiences;
}

function toKeySetUri({ issuer, jwksUri }: VerifierOptions): string {
  const url = URL.parse(jwksUri ?? `${issuer.replace(/\/+$/, "")}/.well-known/jwks.json`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new TypeError("createVerifier: the key set needs an http or https address");
  }
  return url.href;
}

function readHeader(token: string): { kid: string; algorithm: unknown } {
  if (typeof token !== "string" || token.length > longestToken) {
    throw new AccessTokenError("TOKEN_MALFORMED", "the token is too long");
  }
  const { typ, kid, alg } = readCompactHeader(token);
  // RFC 9068 §4: with and without the prefix.
  if (typ !== "at+jwt" && typ !== "application/at+jwt") {
    throw new AccessTokenError("TOKEN_TYPE", "the token is not an access token");
  }
  if (typeof kid !== "string") throw new AccessTokenError("TOKEN_MALFORMED", "the token names no key");
  return { kid, algorithm: alg };
}

async function verifySignature(token: string, { key, algorithm }: VerificationKey): Promise<Uint8Array> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [algorithm] });
    return payload;
  } catch {
    throw new AccessTokenError("TOKEN_SIGNATURE", "the signature is not good");
  }
}

function readClaims(payload: Uint8Array): AccessTokenClaims {
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch {}
  if (!isAccessTokenClaims(claims)) throw new AccessTokenError("TOKEN_CLAIMS", "claims are missing");
  return deepFreeze(claims);
}

/** Requests that bring the same token share its claims, so none may change them. */
function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}

function toInstant(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
