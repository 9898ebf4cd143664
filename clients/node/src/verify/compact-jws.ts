import { isUtf8 } from "node:buffer";
import { TokenError } from "./token-error.ts";

/** Header members that tell where to find a key, or must be understood: never followed, so refused outright. */
const refusedMembers = ["jwk", "jku", "x5u", "x5c", "crit", "b64"];

const shape = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/**
 * Reads the header of a JWS in compact form (RFC 7515 §7.1) that is spelled in
 * the one way there is: `jose` takes padding, spaces and bits that mean nothing.
 *
 * @throws TokenError TOKEN_MALFORMED
 */
export function readCompactHeader(token: string): Record<string, unknown> {
  const parts = token.split(".");
  if (!shape.test(token) || !parts.every(isCanonical)) refuse("the token is not a JWS");
  const [header, payload] = parts.map((part) => Buffer.from(part, "base64url"));
  if (header === undefined || payload === undefined || ![header, payload].every((part) => isUtf8(part))) {
    refuse("the token is not a JWS");
  }
  const value = parseJson(header.toString("utf8"));
  if (refusedMembers.some((name) => name in value)) {
    refuse("the token's header carries a key or a critical member");
  }
  return value;
}

function isCanonical(part: string): boolean {
  return Buffer.from(part, "base64url").toString("base64url") === part;
}

function parseJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Falls through to the one refusal.
  }
  return refuse("the token is not a JWS");
}

function refuse(message: string): never {
  throw new TokenError("TOKEN_MALFORMED", message);
}
