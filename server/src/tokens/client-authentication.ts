/**
 * How a client of the OAuth routes says who it is: by exactly one method
 * (RFC 6749 §2.3). Reading only; the judging is `proofs.ts`'s.
 */
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";
import { readAuthorization } from "../principals/presented.ts";
import type { Principal } from "../principals/principal.ts";
import { decodeFormText, type Form } from "./oauth-endpoint.ts";
import type { Proofs } from "./proofs.ts";

/** RFC 7523 §2.2. */
export const jwtAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** The methods clients may use, by their registered names (RFC 7591 §2). */
export const clientAuthenticationMethods = [
  "client_secret_basic",
  "client_secret_post",
  "private_key_jwt",
] as const;

/** Client authentication as a request presents it. */
export type ClientAuthentication =
  | { readonly method: "client_secret"; readonly id: string; readonly secret: string }
  | { readonly method: "private_key_jwt"; readonly assertion: string; readonly clientId: string | undefined }
  | { readonly method: "access_token" | "opaque_token"; readonly token: string }
  /** A client that only names itself. */
  | { readonly method: "none"; readonly clientId: string | undefined }
  | { readonly method: "unreadable"; readonly detail: string };

function invalid(message: string): DomainError {
  return invalidRequest(message);
}

/** Both halves are form-encoded here, unlike everywhere else (RFC 6749 §2.3.1). */
function fromBasic(id: string, secret: string): ClientAuthentication {
  try {
    return { method: "client_secret", id: decodeFormText(id), secret: decodeFormText(secret) };
  } catch {
    return { method: "unreadable", detail: "basic: id and secret are not form-encoded" };
  }
}

function fromHeader(authorization: string): ClientAuthentication {
  const presented = readAuthorization(authorization);
  switch (presented.kind) {
    case "basic":
      return fromBasic(presented.id, presented.secret);
    case "access_token":
    case "opaque_token":
      return { method: presented.kind, token: presented.token };
    case "malformed":
      return { method: "unreadable", detail: presented.detail };
    case "session":
      return { method: "unreadable", detail: "a session is no client authentication" };
  }
}

function fromAssertion(form: Form): ClientAuthentication {
  const type = form.get("client_assertion_type");
  const assertion = form.get("client_assertion");
  if (type === undefined || assertion === undefined) {
    throw invalid("client_assertion and client_assertion_type come together");
  }
  if (type !== jwtAssertionType) return { method: "unreadable", detail: "unknown client_assertion_type" };
  return { method: "private_key_jwt", assertion, clientId: form.get("client_id") };
}

/**
 * Reads how a request authenticates its client.
 *
 * A `client_id` may stand beside the header only if it repeats what is in it.
 *
 * @throws DomainError INVALID_REQUEST for two methods at once, or half of one
 */
export function readClientAuthentication(
  form: Form,
  authorization: string | undefined,
): ClientAuthentication {
  const clientId = form.get("client_id");
  const secret = form.get("client_secret");
  const hasAssertion = form.has("client_assertion") || form.has("client_assertion_type");
  const methods = [authorization !== undefined, secret !== undefined, hasAssertion];
  if (methods.filter(Boolean).length > 1) throw invalid("more than one client authentication method");
  if (hasAssertion) return fromAssertion(form);
  if (secret !== undefined) {
    if (clientId === undefined) throw invalid("client_secret without client_id");
    return { method: "client_secret", id: clientId, secret };
  }
  if (authorization === undefined) return { method: "none", clientId };
  const presented = fromHeader(authorization);
  if (clientId !== undefined && presented.method === "client_secret" && presented.id !== clientId) {
    throw invalid("client_id is not the one in the Authorization header");
  }
  return presented;
}

/**
 * Proves the client. Assertions are read strictly: the relaxation for
 * Frontier's clients is AuthToken's alone.
 *
 * @throws DomainError NOT_AUTHENTICATED and what else proofs throw; also for a client that only names itself
 */
export function proveClient(
  proofs: Proofs,
  request: RequestInfo,
  authentication: ClientAuthentication,
): Promise<Principal> {
  switch (authentication.method) {
    case "client_secret":
      return proofs.basic(request, authentication.id, authentication.secret);
    case "private_key_jwt":
      return proveByKey(proofs, request, authentication.assertion, authentication.clientId);
    case "access_token":
      return proofs.accessToken(request, authentication.token);
    case "opaque_token":
      return proofs.opaqueToken(request, authentication.token);
    case "none":
      throw new DomainError("NOT_AUTHENTICATED", { detail: "no client authentication" });
    case "unreadable":
      return proofs.refuse(request, authentication.detail);
  }
}

async function proveByKey(
  proofs: Proofs,
  request: RequestInfo,
  assertion: string,
  clientId: string | undefined,
): Promise<Principal> {
  const principal = await proofs.assertion(request, assertion, "private_key_jwt", { relaxed: false });
  if (clientId !== undefined && clientId.toLowerCase() !== principal.id) {
    return proofs.refuse(request, "client_id is not the assertion's service user");
  }
  return principal;
}
