/**
 * How a client of the OAuth routes says who it is: by exactly one method
 * (RFC 6749 §2.3). Reading only; whose it is says the judge.
 */
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { GuardedJudge } from "../principals/judge.ts";
import {
  type AuthorizationCredential,
  type PresentedCredential,
  readAuthorization,
} from "../principals/presented.ts";
import type { Principal } from "../principals/principal.ts";
import { decodeFormText, type Form } from "./oauth-endpoint.ts";

/** RFC 7523 §2.2. */
export const jwtAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** The methods clients may use, by their registered names (RFC 7591 §2). */
export const clientAuthenticationMethods = [
  "client_secret_basic",
  "client_secret_post",
  "private_key_jwt",
] as const;

/** Client authentication as a request presents it. */
export interface ClientAuthentication {
  /** Absent for a client that only names itself. */
  readonly presented?: AuthorizationCredential | PresentedCredential<"assertion">;
  /** `client_id`, where it stands alone or beside an assertion. */
  readonly clientId?: string | undefined;
}

function invalid(message: string): DomainError {
  return invalidRequest(message);
}

/** Both halves are form-encoded here, unlike everywhere else (RFC 6749 §2.3.1). */
function fromHeader(authorization: string): AuthorizationCredential {
  const presented = readAuthorization(authorization);
  if (presented.kind !== "basic") return presented;
  try {
    return { kind: "basic", id: decodeFormText(presented.id), secret: decodeFormText(presented.secret) };
  } catch {
    return { kind: "malformed", detail: "basic: id and secret are not form-encoded" };
  }
}

/** Assertions are read strictly: the relaxation for Frontier's clients is AuthToken's alone. */
function fromAssertion(form: Form): ClientAuthentication {
  const type = form.get("client_assertion_type");
  const assertion = form.get("client_assertion");
  if (type === undefined || assertion === undefined) {
    throw invalid("client_assertion and client_assertion_type come together");
  }
  if (type !== jwtAssertionType) {
    return { presented: { kind: "malformed", detail: "unknown client_assertion_type" } };
  }
  const rules = { relaxed: false };
  return {
    presented: { kind: "assertion", assertion, use: "private_key_jwt", rules },
    clientId: form.get("client_id"),
  };
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
    return { presented: { kind: "basic", id: clientId, secret } };
  }
  if (authorization === undefined) return { clientId };
  const presented = fromHeader(authorization);
  if (clientId !== undefined && presented.kind === "basic" && presented.id !== clientId) {
    throw invalid("client_id is not the one in the Authorization header");
  }
  return { presented };
}

/**
 * Proves the client.
 *
 * @throws DomainError NOT_AUTHENTICATED and what else the judge throws; also for a client that only names itself
 */
export async function proveClient(
  guarded: GuardedJudge,
  request: RequestInfo,
  { presented, clientId }: ClientAuthentication,
): Promise<Principal> {
  if (presented === undefined) {
    throw new DomainError("NOT_AUTHENTICATED", { detail: "no client authentication" });
  }
  const { principal } = await guarded.judge(presented, request);
  if (clientId !== undefined && clientId.toLowerCase() !== principal.id) {
    return guarded.refuse(request, "client_id is not the assertion's service user");
  }
  return principal;
}
