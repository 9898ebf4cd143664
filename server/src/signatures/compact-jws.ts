/**
 * Reading a JWS in compact form (RFC 7515 §7.1) before anything in it is
 * believed. Whoever reads one pins the algorithm to the key and looks the key
 * up by its id alone.
 */
import { isUtf8 } from "node:buffer";
import { fromBase64url } from "../lib/base64url.ts";
import { type CredentialOwner, DomainError } from "../lib/errors.ts";

/** The parts of a JWS, its signature not yet judged. */
export interface CompactJws {
  /** The whole, as it came. */
  readonly text: string;
  readonly header: Readonly<Record<string, unknown>>;
  readonly encodedPayload: string;
  /** What the signature is over. */
  readonly signed: Buffer;
  readonly signature: Buffer;
}

/** Header members that tell where to find a key, or must be understood: never followed, so refused outright. */
const refusedMembers = ["jwk", "jku", "x5u", "x5c", "crit", "b64"];

/** Refuses what was presented; detail and, once known, owner are for log and audit, metadata for the caller. */
export function refuseJws(
  detail: string,
  owner?: CredentialOwner,
  metadata: Readonly<Record<string, string>> = {},
): never {
  throw new DomainError("NOT_AUTHENTICATED", { detail, metadata, ...(owner && { owner }) });
}

/**
 * Takes a JWS apart.
 *
 * @param what begins the detail of a refusal: `token`, `assertion`.
 * @param longest in characters: a bound for the work a stranger can cause.
 * @throws DomainError NOT_AUTHENTICATED
 */
export function readCompactJws(text: string, what: string, longest: number): CompactJws {
  if (text.length > longest) refuseJws(`${what}: too long`);
  const [encodedHeader, encodedPayload, encodedSignature, ...rest] = text.split(".");
  if (
    encodedHeader === undefined ||
    encodedPayload === undefined ||
    encodedSignature === undefined ||
    rest.length > 0
  ) {
    refuseJws(`${what}: not three parts`);
  }
  const header = readJsonPart(encodedHeader, what);
  if (refusedMembers.some((name) => name in header)) {
    refuseJws(`${what}: its header carries a key or critical member`);
  }
  const signature = fromBase64url(encodedSignature);
  if (signature === undefined) refuseJws(`${what}: not base64url`);
  return {
    text,
    header,
    encodedPayload,
    signed: Buffer.from(`${encodedHeader}.${encodedPayload}`),
    signature,
  };
}

/** Decodes header or payload. @throws DomainError NOT_AUTHENTICATED for all but a JSON object. */
export function readJsonPart(encoded: string, what: string): Record<string, unknown> {
  const bytes = fromBase64url(encoded);
  if (bytes === undefined) refuseJws(`${what}: not base64url`);
  // Two texts that decode alike would be two spellings of one name.
  if (!isUtf8(bytes)) refuseJws(`${what}: not UTF-8`);
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Falls through to the one refusal.
  }
  return refuseJws(`${what}: not a JSON object`);
}
