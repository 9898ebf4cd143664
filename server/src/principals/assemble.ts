import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import { DomainError } from "../lib/errors.ts";
import { type Authenticators, createPrincipalChain, type PrincipalChain } from "./chain.ts";
import { createWhoamiMethods, type WhoamiOptions } from "./handler.ts";
import type { Principal } from "./principal.ts";

/** Who is calling, for whoever has a request. */
export interface PrincipalsRoom extends Room {
  readonly chain: PrincipalChain;
  /**
   * Proves the caller of a stream anew from what its request carried. Not
   * behind the guard: a stream whose token expires has made one call, not a
   * failed one.
   *
   * @throws DomainError NOT_AUTHENTICATED, …
   */
  authenticateStream(header: Headers): Promise<Principal>;
}

/** Puts together who is calling. */
export function assemblePrincipals(parts: Authenticators & WhoamiOptions): PrincipalsRoom {
  const chain = createPrincipalChain(parts);
  return {
    chain,
    async authenticateStream(header) {
      const principal = await chain.authenticate(header, "required", {});
      if (principal === undefined) throw new DomainError("NOT_AUTHENTICATED");
      return principal;
    },
    services: [registerService(AuthService, createWhoamiMethods(parts))],
  };
}
