import type { PublicJwk } from "../signatures/public-jwk.ts";

/** Kinds of credentials that a service user can have. */
export type CredentialKind = "secret" | "key" | "token";

interface CredentialBase {
  /** UUIDv7: the client id of a secret or token, the `kid` of a key. */
  readonly id: string;
  readonly serviceUserId: string;
  /** The organization of its service user, which never changes. */
  readonly orgId: string;
  readonly title: string;
  readonly createdAt: Date;
  /** From this instant on it is refused; absent if it does not expire. */
  readonly expiresAt?: Date;
  /** Coarse: written at most once a minute. Absent if it was never used. */
  readonly lastUsedAt?: Date;
}

/** A client secret as stored: everything but the secret. */
export interface ClientSecret extends CredentialBase {
  readonly kind: "secret";
  readonly secretHash: string;
  /** Whether it is the one that the bootstrap settings name. */
  readonly bootstrap: boolean;
}

/** An opaque token as stored: everything but the token. */
export interface OpaqueToken extends CredentialBase {
  readonly kind: "token";
  readonly secretHash: string;
}

/** The public half of a key pair; the private one was never stored. */
export interface KeyPair extends CredentialBase {
  readonly kind: "key";
  readonly publicJwk: PublicJwk;
}

/** What a service user proves itself with. */
export type Credential = ClientSecret | OpaqueToken | KeyPair;

/** Whether a credential is refused for its age. */
export function isExpired(credential: Pick<Credential, "expiresAt">, now: Date): boolean {
  return credential.expiresAt !== undefined && credential.expiresAt <= now;
}
