import { type ContextKey, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { DomainError } from "../lib/errors.ts";
import { requestInfoKey } from "../lib/request.ts";
import type { Caller, Principal } from "./principal.ts";

/** Carries who is calling through Connect's context values; unset for a caller without credential. */
export const principalKey: ContextKey<Principal | undefined> = createContextKey<Principal | undefined>(
  undefined,
  { description: "principal" },
);

/**
 * Who is calling.
 *
 * @throws {DomainError} NOT_AUTHENTICATED when nobody proved to be anyone
 */
export function requirePrincipal(context: HandlerContext): Principal {
  const principal = context.values.get(principalKey);
  if (principal === undefined) {
    throw new DomainError("NOT_AUTHENTICATED");
  }
  return principal;
}

/**
 * Who is calling, with the request at hand.
 *
 * @throws {DomainError} NOT_AUTHENTICATED when nobody proved to be anyone
 */
export function requireCaller(context: HandlerContext): Caller {
  return { principal: requirePrincipal(context), request: context.values.get(requestInfoKey) };
}

/**
 * Whether a call does nothing and succeeds: another site may have made it with
 * a browser's session cookie. Set for methods with the option
 * `vestibule.v1.void_from_other_sites` alone, which have to look.
 */
export const isVoidKey = createContextKey<boolean>(false, {
  description: "must do nothing",
});
