/**
 * What every call goes through before its handler, by whatever protocol it
 * comes: its turn, the guard against other sites, the proof of who is calling,
 * the rules of the schema. Each refuses by throwing; none of them answers,
 * knows a protocol or a noun, or decides what a caller may do. Errors are
 * translated outside of them (`errors/translate.ts`).
 */
import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { requestInfoKey } from "../../lib/request.ts";
import { createAuthenticateInterceptor, type PrincipalChain } from "./authenticate.ts";
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
