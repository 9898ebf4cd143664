/**
 * The rules of `AuthToken`: which credential a `grant_type` selects.
 *
 * A `grant_type` selects exactly its own credential, and every other one on
 * the request is left unread; without one the headers decide, and all that
 * they present must be good and name one principal. The rules of the token
 * endpoint are OAuth's own, in `oauth-token.ts`.
 */
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";
import {
  type FindSessionCookies,
  type PresentedCredential,
  readPresentedCredentials,
} from "../principals/presented.ts";
import type { Principal } from "../principals/principal.ts";
import type { IssuedToken } from "./access-token.ts";
import type { AssertionRules } from "./assertions.ts";
import type { Proofs } from "./proofs.ts";
import type { TokenIssuer } from "./token-issuer.ts";

/** RFC 6749 §4.4. */
export const clientCredentialsGrant = "client_credentials";

/** RFC 7523 §2.1. */
export const jwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/** A request for a token. Absent members are empty. */
export interface GrantRequest {
  readonly grantType: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly assertion: string;
  readonly header: Headers;
}

/** A token and whose it is. */
export interface Grant {
  readonly principal: Principal;
  readonly token: IssuedToken;
}

export interface GrantOptions {
  readonly proofs: Proofs;
  readonly issuer: TokenIssuer;
  readonly assertionRules: AssertionRules;
  /** Of a request's session cookies those that count. */
  readonly findSessionCookies: FindSessionCookies;
}

/** Exchanges credentials for tokens. */
export interface Grants {
  /**
   * @throws DomainError UNSUPPORTED_GRANT_TYPE, NOT_AUTHENTICATED,
   *   USER_NOT_FOUND, PRINCIPAL_DISABLED, ORGANIZATION_DISABLED, AMBIGUOUS_PROJECT
   */
  exchange(request: GrantRequest, info: RequestInfo): Promise<Grant>;
}

/** Nothing was tried, so nothing is counted or recorded. */
function nothingPresented(): DomainError {
  return new DomainError("NOT_AUTHENTICATED", { detail: "no credential for the grant" });
}

/** @see {@link Grants} */
export function createGrants(options: GrantOptions): Grants {
  const { proofs, issuer, assertionRules, findSessionCookies } = options;

  /** The one credential in `Authorization`; a header that cannot be read is refused, not overlooked. */
  function getAuthorization(
    { header }: GrantRequest,
    info: RequestInfo,
    kinds: readonly PresentedCredential["kind"][],
  ): PresentedCredential {
    const presented = readPresentedCredentials(header, []).find(
      ({ kind }) => kind === "malformed" || kinds.includes(kind),
    );
    if (presented === undefined) throw nothingPresented();
    if (presented.kind === "malformed") return proofs.refuse(info, presented.detail);
    return presented;
  }

  async function proveClient(request: GrantRequest, info: RequestInfo): Promise<Principal> {
    const { clientId, clientSecret, assertion } = request;
    if (clientSecret !== "" && assertion !== "") {
      // RFC 6749 §2.3: which of the two was meant is not ours to guess.
      throw invalidRequest("more than one client authentication method");
    }
    if (assertion !== "") {
      const principal = await proofs.assertion(info, assertion, "private_key_jwt", assertionRules);
      if (clientId !== "" && clientId.toLowerCase() !== principal.id) {
        return proofs.refuse(info, "client_id is not the assertion's service user");
      }
      return principal;
    }
    if (clientId !== "" || clientSecret !== "") return await proofs.basic(info, clientId, clientSecret);
    const basic = getAuthorization(request, info, ["basic"]);
    return await proveAny(basic, info);
  }

  async function proveByAssertion(request: GrantRequest, info: RequestInfo): Promise<Principal> {
    let { assertion } = request;
    if (assertion === "") {
      const bearer = getAuthorization(request, info, ["access_token"]);
      if (bearer.kind === "access_token") assertion = bearer.token;
    }
    return await proofs.assertion(info, assertion, "jwt_bearer", assertionRules);
  }

  async function proveAny(credential: PresentedCredential, info: RequestInfo): Promise<Principal> {
    switch (credential.kind) {
      case "basic":
        return await proofs.basic(info, credential.id, credential.secret);
      case "opaque_token":
        return await proofs.opaqueToken(info, credential.token);
      case "session":
        return await proofs.session(info, credential.cookie);
      case "access_token":
        return proofs.refuse(info, "an access token or assertion gives no token without a grant type");
      case "malformed":
        return proofs.refuse(info, credential.detail);
    }
  }

  async function proveByHeaders({ header }: GrantRequest, info: RequestInfo): Promise<Principal> {
    const [first, ...others] = readPresentedCredentials(header, await findSessionCookies(header));
    if (first === undefined) throw nothingPresented();
    const principal = await proveAny(first, info);
    for (const other of others) {
      const further = await proveAny(other, info);
      if (further.type !== principal.type || further.id !== principal.id) {
        return proofs.refuse(info, "two credentials name different principals");
      }
    }
    return principal;
  }

  async function prove(request: GrantRequest, info: RequestInfo): Promise<Principal> {
    switch (request.grantType) {
      case clientCredentialsGrant:
        return await proveClient(request, info);
      case jwtBearerGrant:
        return await proveByAssertion(request, info);
      case "":
        return await proveByHeaders(request, info);
      default:
        throw new DomainError("UNSUPPORTED_GRANT_TYPE");
    }
  }

  return {
    async exchange(request, info) {
      const principal = await prove(request, info);
      const project = request.header.get("x-project") ?? undefined;
      return { principal, token: await issuer.issue(info, principal, project) };
    },
  };
}
