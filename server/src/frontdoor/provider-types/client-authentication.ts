import type { ClientAuthentication } from "../../lib/client-authentication.ts";
import { findClientSecret, findText } from "./data.ts";
import type { ProviderData } from "./provider-type.ts";

/** Methods that a provider's data may name; what takes a key of ours is the operator's own sign-in's alone. */
export const namedMethods = [
  "client_secret_basic",
  "client_secret_post",
  "client_secret_jwt",
  "none",
] as const;

/** Whether the data say that the client is a public one, by itself or as NetFoundry's clients do: PKCE, and no secret. */
export function isPublicClient(data: ProviderData): boolean {
  const named = findText(data, "clientAuthentication");
  if (named !== undefined) return named === "none" && data.supportsPkce !== false;
  return data.supportsPkce === true && data.clientSecret === undefined;
}

/**
 * How the client of a provider's data proves itself: by what it says, else by a
 * secret as the issuer's document announces, else not at all.
 *
 * @throws Error for the mask, as `findClientSecret`
 */
export function toClientAuthentication(data: ProviderData): ClientAuthentication {
  const secret = findClientSecret(data);
  const named = namedMethods.find((method) => method === findText(data, "clientAuthentication"));
  if (secret === undefined || named === "none") return { method: "none" };
  return { method: named ?? "announced", secret };
}
