/**
 * What every call goes through before its handler, by whatever protocol it
 * comes: its turn, the guard against other sites, the proof of who is calling,
 * the rules of the schema. Each refuses by throwing; none of them answers,
 * knows a protocol or a noun, or decides what a caller may do. Errors are
 * translated outside of them (`errors/translate.ts`).
 */
import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { DomainError } from "../../lib/errors.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import { principalKey } from "../../principals/context.ts";
import { type Principal, toPrincipalLabel } from "../../principals/principal.ts";
import { type CredentialPolicy, getCredentialPolicy } from "../options/credential-policy.ts";
import { type CsrfOptions, createCsrfInterceptors } from "./csrf.ts";
import { createRequestValidator } from "./validate.ts";

/** What the interceptors take. */
export interface InterceptorsOptions extends CsrfOptions {
  readonly principals: PrincipalChain;
}

/** The chain, outermost first. */
export interface Interceptors {
  readonly chain: readonly Interceptor[];
  /** Compiles the rules of every request message of the services, a message at a time. */
  warm(services: readonly DescService[]): Promise<void>;
}

/** Makes the chain. */
export function createInterceptors({ principals, ...csrfOptions }: InterceptorsOptions): Interceptors {
  const validator = createRequestValidator();
  const csrf = createCsrfInterceptors(csrfOptions);
  return {
    chain: [
      takeTurns,
      csrf.beforeProof,
      createAuthenticateInterceptor(principals),
      csrf.afterProof,
      validator.interceptor,
    ],
    warm: validator.warm,
  };
}

/** Has each call's work done in its turn. */
const takeTurns: Interceptor = (next) => (request) => {
  const { doWork } = request.contextValues.get(requestInfoKey);
  return doWork === undefined ? next(request) : doWork(() => next(request));
};

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
