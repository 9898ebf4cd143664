/** Claims of a person (OpenID Connect Core 1.0 §5.1) as providers send them, read in one way. */

type Claims = Readonly<Record<string, unknown>>;

/**
 * Claims of which an address, and whether it is verified, are told or absent:
 * some providers say null where they have nothing to say (§5.3.2), and some, as
 * Apple, say true by a text.
 */
export function readPersonClaims<T extends Claims>(claims: T): T {
  const { email, email_verified: verified, ...rest } = claims;
  const isTold = verified !== undefined && verified !== null;
  return {
    ...rest,
    ...(email !== undefined && email !== null && { email }),
    ...(isTold && { email_verified: verified === "true" || (verified === "false" ? false : verified) }),
  } as T;
}

/**
 * What was told with what another answer adds to it. An address and whether it
 * is verified are one: that another address is, or none, says nothing of it.
 */
export function addPersonClaims<T extends Claims>(told: T, more: Claims): T {
  const { email_verified: verified, ...rest } = told;
  const { email: otherEmail, email_verified: otherVerified, ...others } = more;
  if (told.email === undefined) return { ...more, ...rest } as T;
  const isSame = otherEmail === told.email;
  const known = verified ?? (isSame ? otherVerified : undefined);
  return { ...others, ...rest, ...(known !== undefined && { email_verified: known }) } as T;
}
