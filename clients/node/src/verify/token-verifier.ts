/**
 * Verifies what an issuer signed, by its public keys alone: the signature by
 * the one algorithm that the key is for, the type, who it is from and for, and
 * its times.
 */
import { compactVerify } from "jose";
import { type Clock, systemClock } from "../clock.ts";
import { readCompactHeader } from "./compact-jws.ts";
import { createKeySet, type VerificationKey } from "./key-set.ts";
import { TokenError } from "./token-error.ts";
import { createVerifiedTokens, type VerifiedToken } from "./verified-tokens.ts";

/** Whose tokens a verifier takes, and by which keys. */
export interface TokenVerifierOptions {
  /** Who has to have issued a token: the server's public URL. */
  readonly issuer: string;
  /** Who a token has to be for: one of these. */
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

/** What every token says. */
interface CommonClaims {
  readonly iss: string;
  readonly aud: string | readonly string[];
  readonly exp: number;
  readonly nbf?: number;
}

/** A kind of token that an issuer signs. */
export interface TokenKind<C extends CommonClaims> {
  /** Values of `typ` that say so. */
  readonly types: readonly string[];
  /** What it is called: `an access token`. */
  readonly noun: string;
  /** Whether a payload has every claim that it must have, in its type. */
  isClaims(payload: unknown): payload is C;
}

/**
 * Answers the claims of a good token, frozen.
 *
 * @throws TokenError when the token is not good; its reason says why.
 * @throws KeySetUnavailableError when that cannot be said.
 */
export type VerifyToken<C> = (token: string) => Promise<C>;

const longestStaleSeconds = 3600;
const longestToken = 16 * 1024;

/** @throws TypeError for options that cannot be. */
export function createTokenVerifier<C extends CommonClaims>(
  kind: TokenKind<C>,
  options: TokenVerifierOptions,
): VerifyToken<C> {
  const { issuer, clockToleranceSeconds = 60, clock = systemClock } = options;
  const audiences = toAudiences(options.audience);
  if (!issuer) throw new TypeError("a verifier needs issuer");
  const keys = createKeySet({
    uri: toKeySetUri(options),
    fetch: options.fetch ?? fetch,
    clock,
    cooldownSeconds: options.cooldownSeconds ?? 30,
    staleIfErrorSeconds: Math.min(options.staleIfErrorSeconds ?? longestStaleSeconds, longestStaleSeconds),
    timeoutSeconds: options.timeoutSeconds ?? 5,
  });
  const verifiedTokens = createVerifiedTokens<C>(options.cacheSize ?? 1000);

  /** Everything that cannot change while the key stays. */
  async function verifyOnce(token: string): Promise<VerifiedToken<C>> {
    const { kid, algorithm } = readHeader(kind, token);
    const key = await keys.find(kid);
    if (key === undefined) throw new TokenError("TOKEN_KEY_UNKNOWN", "the issuer has no such key");
    if (algorithm !== key.algorithm) {
      throw new TokenError("TOKEN_ALGORITHM", "the algorithm is not the key's");
    }
    const claims = readClaims(kind, await verifySignature(token, key));
    if (claims.iss !== issuer) throw new TokenError("TOKEN_ISSUER", "the token is another issuer's");
    if (![claims.aud].flat().some((one) => audiences.includes(one))) {
      throw new TokenError("TOKEN_AUDIENCE", "the token is for another audience");
    }
    return { kid, key, claims };
  }

  function checkTimes({ exp, nbf }: C): void {
    const now = clock.now();
    const nowSeconds = now.getTime() / 1000;
    const here = `the clock here says ${now.toISOString()}`;
    if (nowSeconds >= exp + clockToleranceSeconds) {
      throw new TokenError("TOKEN_EXPIRED", `the token expired at ${toInstant(exp)}; ${here}`);
    }
    if (nbf !== undefined && nowSeconds < nbf - clockToleranceSeconds) {
      const text = `the token is not valid before ${toInstant(nbf)}; ${here}`;
      throw new TokenError("TOKEN_NOT_YET_VALID", text);
    }
  }

  return async (token) => {
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
  };
}

function toAudiences(audience: string | readonly string[]): readonly string[] {
  const audiences = [audience].flat();
  if (audiences.length === 0 || audiences.some((one) => typeof one !== "string" || one === "")) {
    throw new TypeError("a verifier needs audience");
  }
  return audiences;
}

function toKeySetUri({ issuer, jwksUri }: TokenVerifierOptions): string {
  const url = URL.parse(jwksUri ?? `${issuer.replace(/\/+$/, "")}/.well-known/jwks.json`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new TypeError("the key set needs an http or https address");
  }
  return url.href;
}

function readHeader(
  { types, noun }: Pick<TokenKind<CommonClaims>, "types" | "noun">,
  token: string,
): { kid: string; algorithm: unknown } {
  if (typeof token !== "string" || token.length > longestToken) {
    throw new TokenError("TOKEN_MALFORMED", "the token is too long");
  }
  const { typ, kid, alg } = readCompactHeader(token);
  if (typeof typ !== "string" || !types.includes(typ)) {
    throw new TokenError("TOKEN_TYPE", `the token is not ${noun}`);
  }
  if (typeof kid !== "string") throw new TokenError("TOKEN_MALFORMED", "the token names no key");
  return { kid, algorithm: alg };
}

async function verifySignature(token: string, { key, algorithm }: VerificationKey): Promise<Uint8Array> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [algorithm] });
    return payload;
  } catch {
    throw new TokenError("TOKEN_SIGNATURE", "the signature is not good");
  }
}

function readClaims<C extends CommonClaims>({ isClaims }: TokenKind<C>, payload: Uint8Array): C {
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch {}
  if (!isClaims(claims)) throw new TokenError("TOKEN_CLAIMS", "claims are missing");
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
