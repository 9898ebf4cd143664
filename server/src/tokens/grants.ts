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
import { type GuardedJudge, judgeAll, refuseMixed } from "../principals/judge.ts";
import {
  type AssertionRules,
  type AssertionUse,
  type FindSessionCookies,
  type PresentedCredential,
  readPresentedCredentials,
} from "../principals/presented.ts";
import type { Principal } from "../principals/principal.ts";
import type { IssuedToken } from "./access-token.ts";
import { readOrganization, type TokenIssuer } from "./token-issuer.ts";

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
  /** Id or name of the one organization that the token is for. */
  readonly organization: string;
  readonly header: Headers;
}

/** A token and whose it is. */
export interface Grant {
  readonly principal: Principal;
  readonly token: IssuedToken;
}

/** Parts that the grants of tokens stand on. */
export interface GrantOptions {
  readonly guarded: GuardedJudge;
  readonly issuer: TokenIssuer;
  readonly assertionRules: AssertionRules;
  /** Of a request's session cookies those that count. */
  readonly findSessionCookies: FindSessionCookies;
}

/** Exchanges credentials for tokens. */
export interface Grants {
  /**
   * @throws DomainError UNSUPPORTED_GRANT_TYPE, NOT_AUTHENTICATED,
   *   USER_NOT_FOUND, PRINCIPAL_DISABLED, ORGANIZATION_DISABLED, AMBIGUOUS_PROJECT,
   *   INVALID_REQUEST
   */
  exchange(request: GrantRequest, info: RequestInfo): Promise<Grant>;
}

/** Nothing was tried, so nothing is counted or recorded. */
function nothingPresented(): DomainError {
  return new DomainError("NOT_AUTHENTICATED", { detail: "no credential for the grant" });
}

/** The one credential of a kind in the headers; what cannot be read is to be refused, not overlooked. */
function getAuthorization(header: Headers, kind: "basic" | "access_token"): PresentedCredential {
  const presented = readPresentedCredentials(header, []).find(
    (one) => one.kind === "malformed" || one.kind === kind,
  );
  if (presented === undefined) throw nothingPresented();
  return presented;
}

/** It would renew itself for ever, or is an assertion that nobody named. */
function refuseTokens(presented: PresentedCredential): PresentedCredential {
  if (presented.kind !== "access_token") return presented;
  const detail = "an access token or assertion gives no token without a grant type";
  return { kind: "malformed", detail };
}

/** @see {@link Grants} */
export function createGrants(options: GrantOptions): Grants {
  const { guarded, issuer, assertionRules, findSessionCookies } = options;

  async function judge(presented: PresentedCredential, info: RequestInfo): Promise<Principal> {
    return (await guarded.judge(presented, info)).principal;
  }

  function toAssertion(assertion: string, use: AssertionUse): PresentedCredential {
    return { kind: "assertion", assertion, use, rules: assertionRules };
  }

  async function proveClient(request: GrantRequest, info: RequestInfo): Promise<Principal> {
    const { clientId, clientSecret, assertion, header } = request;
    if (clientSecret !== "" && assertion !== "") {
      // RFC 6749 §2.3: which of the two was meant is not ours to guess.
      throw invalidRequest("more than one client authentication method");
    }
    if (assertion !== "") {
      const principal = await judge(toAssertion(assertion, "private_key_jwt"), info);
      if (clientId !== "" && clientId.toLowerCase() !== principal.id) {
        return guarded.refuse(info, "client_id is not the assertion's service user");
      }
      return principal;
    }
    if (clientId !== "" || clientSecret !== "") {
      return await judge({ kind: "basic", id: clientId, secret: clientSecret }, info);
    }
    return await judge(getAuthorization(header, "basic"), info);
  }

  async function proveByAssertion(
    { assertion, header }: GrantRequest,
    info: RequestInfo,
  ): Promise<Principal> {
    if (assertion !== "") return await judge(toAssertion(assertion, "jwt_bearer"), info);
    const bearer = getAuthorization(header, "access_token");
    return await judge(
      bearer.kind === "access_token" ? toAssertion(bearer.token, "jwt_bearer") : bearer,
      info,
    );
  }

  async function proveByHeaders({ header }: GrantRequest, info: RequestInfo): Promise<Principal> {
    const presented = readPresentedCredentials(header, await findSessionCookies(header)).map(refuseTokens);
    if (presented.length === 0) throw nothingPresented();
    return (await judgeAll(guarded, presented, info)) ?? refuseMixed(guarded, presented, info);
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
      const { header } = request;
      const organization = readOrganization("org_id", request.organization, header.get("x-organization"));
      const project = header.get("x-project") ?? undefined;
      const principal = await prove(request, info);
      return { principal, token: await issuer.issue(info, principal, { project, organization }) };
    },
  };
}
