import type { Interceptor } from "@connectrpc/connect";
import { DomainError } from "../../lib/errors.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import { principalKey } from "../../principals/context.ts";
import type { Principal } from "../../principals/principal.ts";
import { toPrincipalLabel } from "../../principals/principal.ts";
import { type CredentialPolicy, getCredentialPolicy } from "../options/credential-policy.ts";

/** Turns the credentials on a request into a principal. */
export interface PrincipalChain {
  /**
   * Throws for a bad credential, save that `open` overlooks it; undefined
   * where there is no principal and the policy allows that.
   *
   * @param request in whose outcome the principal's label and the kind of
   *   credential are noted, also of one that is then refused
   */
  authenticate(
    header: Headers,
    policy: CredentialPolicy,
    request: RequestInfo,
  ): Promise<Principal | undefined>;
}

/** Proves who is calling, as the method's option demands, and puts it under `principalKey`. */
export function createAuthenticateInterceptor(chain: PrincipalChain): Interceptor {
  return (next) => async (request) => {
    const policy = getCredentialPolicy(request.method);
    const info = request.contextValues.get(requestInfoKey);
    const principal = await chain.authenticate(request.header, policy, info);
    if (principal === undefined && policy === "required") {
      throw new DomainError("NOT_AUTHENTICATED");
    }
    if (principal !== undefined) {
      info.outcome.principal = toPrincipalLabel(principal);
      info.outcome.credentialKind = principal.credentialKind;
      request.contextValues.set(principalKey, principal);
    }
    return next(request);
  };
}
