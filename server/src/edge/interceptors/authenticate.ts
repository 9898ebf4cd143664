import type { Interceptor } from "@connectrpc/connect";
import { DomainError } from "../../lib/errors.ts";
import { type RequestOutcome, requestInfoKey } from "../../lib/request.ts";
import { principalKey } from "../../principals/context.ts";
import type { Principal } from "../../principals/principal.ts";
import { toPrincipalLabel } from "../../principals/principal.ts";
import { type CredentialPolicy, getCredentialPolicy } from "../credential-policy.ts";

/** Turns the credentials on a request into a principal. */
export interface PrincipalChain {
  /**
   * Throws for a bad credential, save that `open` overlooks it; undefined
   * where there is no principal and the policy allows that.
   *
   * @param outcome takes the principal's label and the kind of credential,
   *   also of one that is then refused
   */
  authenticate(
    header: Headers,
    policy: CredentialPolicy,
    outcome: RequestOutcome,
  ): Promise<Principal | undefined>;
}

/** Proves who is calling, as the method's option demands, and puts it under `principalKey`. */
export function createAuthenticateInterceptor(chain: PrincipalChain): Interceptor {
  return (next) => async (request) => {
    const policy = getCredentialPolicy(request.method);
    const { outcome } = request.contextValues.get(requestInfoKey);
    const principal = await chain.authenticate(request.header, policy, outcome);
    if (principal === undefined && policy === "required") {
      throw new DomainError("NOT_AUTHENTICATED");
    }
    if (principal !== undefined) {
      outcome.principal = toPrincipalLabel(principal);
      outcome.credentialKind = principal.credentialKind;
      request.contextValues.set(principalKey, principal);
    }
    return next(request);
  };
}
