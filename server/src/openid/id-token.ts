import { isSignatureAlgorithm, type SignatureAlgorithm } from "../signatures/algorithms.ts";
import { readCompactJws, readJsonPart } from "../signatures/compact-jws.ts";
import { isSignedByOne } from "../signatures/foreign-jws.ts";
import { findSigningKeys, type KeySource } from "../signatures/key-set.ts";
import { ProviderFailure } from "./provider-failure.ts";

/** Longest ID token read, in characters. */
const longestToken = 65_536;

/**
 * Verifies an ID token by its signature, not by the connection alone (OpenID
 * Connect Core 1.0 §3.1.3.7, point 6), and that it has this one spelling. Its
 * claims and whether its algorithm is the issuer's are the library's to judge.
 *
 * @throws ProviderFailure; DomainError NOT_AUTHENTICATED for what is no JWS; EgressError when the keys cannot be had.
 */
export async function verifyIdToken(
  idToken: string,
  algorithms: readonly SignatureAlgorithm[],
  source: KeySource,
): Promise<void> {
  const jws = readCompactJws(idToken, "ID token", longestToken);
  readJsonPart(jws.encodedPayload, "ID token");
  const { alg, kid } = jws.header;
  if (!isSignatureAlgorithm(alg) || !algorithms.includes(alg)) {
    const found = typeof alg === "string" ? alg.slice(0, 20) : "none";
    throw new ProviderFailure({ kind: "algorithm", found, expected: algorithms.join(", ") });
  }
  const keys = await findSigningKeys(source, alg, kid);
  if (keys === undefined) refuse("the issuer publishes no key that it names");
  if (!(await isSignedByOne(jws, alg, keys))) refuse("bad signature");
}

function refuse(detail: string): never {
  throw new ProviderFailure({ kind: "signature", detail });
}
