/** The token endpoint (RFC 6749 §3.2), `/oauth2/token`: one credential in, one access token out. */
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { Principal } from "../principals/principal.ts";
import { type ClientAuthentication, proveClient, readClientAuthentication } from "./client-authentication.ts";
import { clientCredentialsGrant, jwtBearerGrant } from "./grants.ts";
import type { Form, OauthEndpoint } from "./oauth-endpoint.ts";
import type { Proofs } from "./proofs.ts";
import type { TokenIssuer } from "./token-issuer.ts";

/** Refusals that say the assertion is no good, or whoever it stands for (RFC 6749 §5.2). */
const badGrantKinds = new Set(["unauthenticated", "permission_denied", "not_found", "failed_precondition"]);

/**
 * The token endpoint (RFC 6749 §3.2).
 *
 * With `client_credentials` the client's authentication is the grant. With
 * `jwt-bearer` the assertion is; a client that authenticates besides must be
 * the same service user (RFC 7521 §4.1).
 *
 * @throws DomainError INVALID_GRANT for an assertion, whatever is wrong with it
 */
export function createTokenEndpoint(options: {
  readonly proofs: Proofs;
  readonly issuer: TokenIssuer;
}): OauthEndpoint {
  const { proofs, issuer } = options;

  async function proveGrant(info: RequestInfo, assertion: string): Promise<Principal> {
    try {
      return await proofs.assertion(info, assertion, "jwt_bearer", { relaxed: false });
    } catch (error) {
      if (!(error instanceof DomainError) || !badGrantKinds.has(error.kind)) throw error;
      const { detail = error.reason, metadata } = error;
      throw new DomainError("INVALID_GRANT", { cause: error, detail, metadata });
    }
  }

  async function proveByAssertion(
    info: RequestInfo,
    form: Form,
    client: ClientAuthentication,
  ): Promise<Principal> {
    const assertion = form.get("assertion");
    if (assertion === undefined) throw invalidRequest("assertion is missing");
    const clientId = client.method === "none" ? client.clientId : (await proveOauthClient(info, client)).id;
    const principal = await proveGrant(info, assertion);
    if (clientId !== undefined && clientId.toLowerCase() !== principal.id) {
      return proofs.refuse(info, "the client is not the assertion's service user");
    }
    return principal;
  }

  /** At this endpoint an access token is no client authentication: it would renew itself for ever. */
  function proveOauthClient(info: RequestInfo, client: ClientAuthentication): Promise<Principal> {
    if (client.method === "access_token" || client.method === "opaque_token") {
      return proofs.refuse(info, "Bearer is no client authentication");
    }
    return proveClient(proofs, info, client);
  }

  return async ({ form, authorization, project, info }) => {
    const grantType = form.get("grant_type");
    if (grantType === undefined) throw invalidRequest("grant_type is missing");
    const client = readClientAuthentication(form, authorization);
    let principal: Principal;
    if (grantType === clientCredentialsGrant) principal = await proveOauthClient(info, client);
    else if (grantType === jwtBearerGrant) principal = await proveByAssertion(info, form, client);
    else throw new DomainError("UNSUPPORTED_GRANT_TYPE");
    const { token, expiresInSeconds } = await issuer.issue(info, principal, project);
    // Neither holds anything that JSON would have to escape.
    return `{"access_token":"${token}","token_type":"Bearer","expires_in":${expiresInSeconds}}`;
  };
}
