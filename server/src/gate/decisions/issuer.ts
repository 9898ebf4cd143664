import { DomainError } from "../../lib/errors.ts";
import { readJsonPart } from "../../signatures/compact-jws.ts";

/** Longest token looked into, in characters; more does not fit into a request's headers either. */
const longestToken = 16_384;

/**
 * What a JWT says in `iss`: whom to ask about it, and nothing more, for nobody
 * has verified it. undefined for what cannot be read.
 */
export function readIssuer(token: string): string | undefined {
  if (token.length > longestToken) return undefined;
  try {
    const { iss } = readJsonPart(token.slice(token.indexOf(".") + 1, token.lastIndexOf(".")), "token");
    return typeof iss === "string" ? iss : undefined;
  } catch (error) {
    if (error instanceof DomainError) return undefined;
    throw error;
  }
}
