/** The token endpoint (RFC 6749 §3.2), `/oauth2/token`: one credential in, one access token out. */
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";
import { type GuardedJudge, isRefusal } from "../principals/judge.ts";
import type { Principal } from "../principals/principal.ts";
import { clientCredentialsGrant, jwtBearerGrant } from "./grants.ts";
import {
  type ClientAuthentication,
  type Form,
  type OauthEndpoint,
  proveClient,
  readClientAuthentication,
} from "./oauth-endpoint.ts";
import { readOrganization, type TokenIssuer } from "./token-issuer.ts";

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
  readonly guarded: GuardedJudge;
  readonly issuer: TokenIssuer;
}): OauthEndpoint {
  const { guarded, issuer } = options;

  /** RFC 6749 §5.2: whatever is wrong with the assertion, or with whom it stands for. */
  async function proveGrant(info: RequestInfo, assertion: string): Promise<Principal> {
    const rules = { relaxed: false };
    try {
      return (await guarded.judge({ kind: "assertion", assertion, use: "jwt_bearer", rules }, info))
        .principal;
    } catch (error) {
      if (!isRefusal(error)) throw error;
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
    const clientId =
      client.presented === undefined ? client.clientId : (await proveOauthClient(info, client)).id;
    const principal = await proveGrant(info, assertion);
    if (clientId !== undefined && clientId.toLowerCase() !== principal.id) {
      return guarded.refuse(info, "the client is not the assertion's service user");
    }
    return principal;
  }

  /** At this endpoint an access token is no client authentication: it would renew itself for ever. */
  function proveOauthClient(info: RequestInfo, client: ClientAuthentication): Promise<Principal> {
    const kind = client.presented?.kind;
    if (kind === "access_token" || kind === "opaque_token" || kind === "personal_token") {
      return guarded.refuse(info, "Bearer is no client authentication");
    }
    return proveClient(guarded, info, client);
  }

  return async ({ form, authorization, project, organization: header, info }) => {
    const grantType = form.get("grant_type");
    if (grantType === undefined) throw invalidRequest("grant_type is missing");
    const organization = readOrganization("organization", form.get("organization"), header);
    const client = readClientAuthentication(form, authorization);
    let principal: Principal;
    if (grantType === clientCredentialsGrant) principal = await proveOauthClient(info, client);
    else if (grantType === jwtBearerGrant) principal = await proveByAssertion(info, form, client);
    else throw new DomainError("UNSUPPORTED_GRANT_TYPE");
    const { token, expiresInSeconds } = await issuer.issue(info, principal, { project, organization });
    // Neither holds anything that JSON would have to escape.
    return `{"access_token":"${token}","token_type":"Bearer","expires_in":${expiresInSeconds}}`;
  };
}
