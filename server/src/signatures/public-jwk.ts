/** Public keys as this service stores and shows them, its own and those of service users. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { z } from "zod";
import type { SigningAlgorithm } from "./algorithms.ts";

/** Canonical members only (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). */
export interface PublicJwk {
  readonly kty: "RSA" | "EC" | "OKP";
  /** The one algorithm that the key may be used with. */
  readonly alg: SigningAlgorithm;
  readonly use: "sig";
  readonly kid: string;
  readonly n?: string;
  readonly e?: string;
  readonly crv?: "P-256" | "Ed25519";
  readonly x?: string;
  readonly y?: string;
}

/** The schema of a public JWK, for those who store one. */
export const publicJwkSchema = z.object({
  kty: z.enum(["RSA", "EC", "OKP"]),
  alg: z.enum(["ES256", "RS256", "EdDSA"]),
  use: z.literal("sig"),
  kid: z.string(),
  n: z.exactOptional(z.string()),
  e: z.exactOptional(z.string()),
  crv: z.exactOptional(z.enum(["P-256", "Ed25519"])),
  x: z.exactOptional(z.string()),
  y: z.exactOptional(z.string()),
} satisfies Record<keyof PublicJwk, z.ZodType>);

const algorithmsByType: Record<string, SigningAlgorithm> = { rsa: "RS256", ec: "ES256", ed25519: "EdDSA" };

/** The public half of a key, RSA, P-256 or Ed25519. */
export function toPublicJwk(key: KeyObject, kid: string): PublicJwk {
  const alg = algorithmsByType[key.asymmetricKeyType ?? ""];
  if (alg === undefined) throw new Error("a key of a type that is not stored");
  const members = key.export({ format: "jwk" }) as Pick<PublicJwk, "kty" | "n" | "e" | "crv" | "x" | "y">;
  return { ...members, alg, use: "sig", kid };
}

/** A name that follows from the key alone (RFC 7638). */
export async function toThumbprint(key: KeyObject): Promise<string> {
  return await calculateJwkThumbprint(key, "sha256");
}

/** A stored key, ready for verifying with the algorithm it names. */
export function toPublicKey(jwk: PublicJwk): KeyObject {
  return createPublicKey({ key: { ...jwk }, format: "jwk" });
}
