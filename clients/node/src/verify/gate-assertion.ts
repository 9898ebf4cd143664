/**
 * Verifies what Vestibule's gate tells an app about a request: that it came
 * through the gate, and as whom. An assertion is good for a minute and for one
 * origin, and is no credential anywhere.
 */
import { isInstant, isTexts } from "./claims.ts";
import { createTokenVerifier, type TokenVerifierOptions } from "./token-verifier.ts";

/** What an assertion of the gate says. Without an identity, as on public paths, there is no `sub`. */
export interface GateAssertionClaims {
  readonly iss: string;
  /** Origin of the app, as browsers see it. */
  readonly aud: string;
  /** Seconds since 1970, as `exp`. */
  readonly iat: number;
  readonly exp: number;
  /** Who comes in: `<provider>:<subject there>`; for Vestibule's own people and machines their id. */
  readonly sub?: string;
  /** Id of the auth provider that vouches for them. */
  readonly provider?: string;
  /** Only where the provider vouches for it. */
  readonly email?: string;
  readonly email_verified?: true;
  readonly name?: string;
  /** Ids of the organizations that they may be told to be in. */
  readonly org_ids?: readonly string[];
  readonly groups?: readonly string[];
}

/** Whose assertions a verifier takes, and by which keys. */
export interface GateVerifierOptions extends TokenVerifierOptions {
  /** Origins of the app, such as `https://app.example.com`: each one that the gate guards. */
  readonly audience: string | readonly string[];
}

/** Judges assertions of the gate. */
export interface GateVerifier {
  /**
   * Answers the claims of a good assertion, frozen.
   *
   * @throws TokenError when the assertion is not good; its reason says why.
   * @throws KeySetUnavailableError when that cannot be said.
   */
  verifyGateAssertion(token: string): Promise<GateAssertionClaims>;
}

/** @throws TypeError for options that cannot be. */
export function createGateVerifier(options: GateVerifierOptions): GateVerifier {
  const kind = { types: ["vestibule-gate+jwt"], noun: "an assertion of the gate", isClaims };
  return { verifyGateAssertion: createTokenVerifier(kind, options) };
}

/** Whether a payload has every claim that an assertion must have, in its type. */
function isClaims(payload: unknown): payload is GateAssertionClaims {
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return false;
  const { iss, aud, iat, exp, sub, provider, email, email_verified, name, org_ids, groups } =
    payload as Record<string, unknown>;
  return (
    [iss, aud].every(isText) &&
    [iat, exp].every(isInstant) &&
    [sub, provider, email].every((text) => text === undefined || isText(text)) &&
    (name === undefined || typeof name === "string") &&
    // Who somebody is and who says so, or neither; an address only as one that is theirs.
    (sub === undefined) === (provider === undefined) &&
    (sub !== undefined || email === undefined) &&
    email_verified === (email === undefined ? undefined : true) &&
    [org_ids, groups].every((texts) => texts === undefined || isTexts(texts))
  );
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}
