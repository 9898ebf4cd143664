import { isSignatureAlgorithm, type SignatureAlgorithm } from "../signatures/algorithms.ts";
import { readCompactJws, readJsonPart, refuseJws } from "../signatures/compact-jws.ts";
import { isSignedByOne } from "../signatures/foreign-jws.ts";
import { findSigningKeys, type KeySource } from "../signatures/key-set.ts";

/** Longest ID token read, in characters. */
const longestToken = 65_536;

/**
 * Verifies an ID token by its signature, not by the connection alone (OpenID
 * Connect Core 1.0 §3.1.3.7, point 6), and that it has this one spelling. Its
 * claims and whether its algorithm is the issuer's are the library's to judge.
 *
 * @throws DomainError NOT_AUTHENTICATED; EgressError when the keys cannot be had.
 */
export async function verifyIdToken(
  idToken: string,
  algorithms: readonly SignatureAlgorithm[],
  source: KeySource,
): Promise<void> {
  const jws = readCompactJws(idToken, "ID token", longestToken);
  readJsonPart(jws.encodedPayload, "ID token");
  const { alg, kid } = jws.header;
  if (!isSignatureAlgorithm(alg)) refuseJws("ID token: no such algorithm");
  if (!algorithms.includes(alg)) refuseJws("ID token: an algorithm that is not allowed");
  const keys = await findSigningKeys(source, alg, kid);
  if (keys === undefined) refuseJws("ID token: the issuer has no such key");
  if (!(await isSignedByOne(jws, alg, keys))) refuseJws("ID token: bad signature");
}
