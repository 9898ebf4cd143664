/** A registered passkey: the public half and what the server keeps of its use. */
export interface Passkey {
  readonly id: string;
  readonly userId: string;
  /** As the authenticator names it, base64url. */
  readonly credentialId: string;
  /** COSE key. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** Signature counter (WebAuthn Level 2 §6.1.1); 0 where the authenticator keeps none. */
  readonly counter: number;
  readonly transports: readonly string[];
  /** Whether the authenticator may copy it to other devices: the flag BE (WebAuthn Level 3 §6.1.3). */
  readonly isSynced: boolean;
  /** Whether it has, when it was last used: the flag BS. */
  readonly isBackedUp: boolean;
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt?: Date;
}

/** What an assertion tells of its passkey. */
export type PasskeyUse = Pick<Passkey, "counter" | "isSynced" | "isBackedUp">;

/** Most passkeys a person can have. */
export const maxPasskeys = 20;

/** Longest name of a passkey, in characters. */
export const maxPasskeyName = 100;
