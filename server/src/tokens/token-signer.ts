import { toBase64url } from "../lib/base64url.ts";
import { createBatchedSign } from "./batched-signing.ts";
import type { Keyring, SignedType } from "./keyring.ts";

/**
 * Signs claims with the key that is in use at `now`, in compact form (RFC 7515 §7.1).
 *
 * @throws DomainError UNAVAILABLE when the keys cannot be read, or there is none.
 */
export type SignToken = (type: SignedType, claims: object, now: Date) => Promise<string>;

/** Makes what signs everything that this service vouches for: all of it in one queue. */
export function createTokenSigner(keyring: Pick<Keyring, "get" | "peek">): SignToken {
  const sign = createBatchedSign();
  return async (type, claims, now) => {
    const { encodedHeaders, algorithm, privateKey } = (keyring.peek() ?? (await keyring.get())).getSigner(
      now,
    );
    const payload = toBase64url(Buffer.from(JSON.stringify(claims)));
    const signed = `${encodedHeaders.get(type)}.${payload}`;
    const signature = await sign(algorithm, privateKey, Buffer.from(signed, "latin1"));
    return `${signed}.${toBase64url(signature)}`;
  };
}
