import { DomainError } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { CredentialPolicy, PrincipalChain } from "../principals/chain.ts";
import type { PresentedCredential } from "../principals/presented.ts";
import type { Principal } from "../principals/principal.ts";
import type { CredentialGuard, PresentedProof } from "./credential-guard.ts";

/** Turns requests into principals, each credential behind the guard. */
export interface GuardedChain {
  /**
   * As {@link PrincipalChain.authenticate}. A method that overlooks bad
   * credentials tells nothing about them, so these are neither counted nor recorded.
   *
   * @throws DomainError TOO_MANY_FAILURES, and what the chain throws
   */
  authenticate(
    header: Headers,
    policy: CredentialPolicy,
    request: RequestInfo,
  ): Promise<Principal | undefined>;
}

/** Puts the guard before a chain. */
export function guardChain(chain: PrincipalChain, guard: CredentialGuard): GuardedChain {
  return {
    async authenticate(header, policy, request) {
      if (policy !== "required") return await chain.authenticate(header, policy, request.outcome);
      const presented = await chain.findPresented(header);
      const [first] = presented;
      if (first === undefined) throw new DomainError("NOT_AUTHENTICATED", { detail: "no credential" });
      if (first.kind === "malformed") return guard.refuse(request, { kind: "malformed" }, first.detail);
      return await guard.judge(request, toProof(first), () => chain.judge(presented, request.outcome));
    },
  };
}

function toProof(credential: PresentedCredential): PresentedProof {
  if (credential.kind === "basic") return { kind: "client_secret", clientId: credential.id };
  return { kind: credential.kind };
}
