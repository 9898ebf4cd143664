/**
 * What every call goes through before its handler, by whatever protocol it
 * comes: its turn, the guard against other sites, the proof of who is calling,
 * the rules of the schema. Each refuses by throwing; none of them answers,
 * knows a protocol or a noun, or decides what a caller may do. Errors are
 * translated outside of them (`errors/translate.ts`).
 */
import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import { DomainError } from "../../lib/errors.ts";
import { requestInfoKey } from "../../lib/request.ts";
import { principalKey } from "../../principals/context.ts";
import type { PrincipalChain as Chain } from "../../principals/judge.ts";
import { type Principal, toPrincipalLabel } from "../../principals/principal.ts";
import { acceptsPats } from "../options/accepts-pats.ts";
import { getCredentialPolicy } from "../options/credential-policy.ts";
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
  // Whoever does it answers as the next one does.
  return doWork === undefined ? next(request) : (doWork(() => next(request)) as ReturnType<typeof next>);
};

type AnyRequest = UnaryRequest | StreamRequest;

/** Turns requests into principals. */
export type PrincipalChain = Pick<Chain, "authenticate">;

/** Proves who is calling, as the method's option demands, and puts it under `principalKey`. */
export function createAuthenticateInterceptor(chain: PrincipalChain): Interceptor {
  function admit({ method, contextValues }: AnyRequest, principal: Principal | undefined): void {
    const policy = getCredentialPolicy(method);
    if (principal === undefined) {
      if (policy === "required") throw new DomainError("NOT_AUTHENTICATED");
      return;
    }
    const { outcome } = contextValues.get(requestInfoKey);
    outcome.principal = toPrincipalLabel(principal);
    outcome.credentialKind = principal.credentialKind;
    const isAccepted = principal.type !== "pat" || acceptsPats(method);
    // A method that needs no credential takes it for none.
    if (isAccepted) contextValues.set(principalKey, principal);
    else if (policy === "required") throw new DomainError("PAT_NOT_ACCEPTED");
  }

  return (next) => (request) => {
    const info = request.contextValues.get(requestInfoKey);
    const proving = chain.authenticate(request.header, getCredentialPolicy(request.method), info);
    // Most callers are known from memory, or nobody: nothing is waited for then.
    if (proving instanceof Promise) {
      return proving.then((principal) => {
        admit(request, principal);
        return next(request);
      });
    }
    admit(request, proving);
    return next(request);
  };
}
