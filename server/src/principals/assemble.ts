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

/** What finding out who is calling stands on. */
export interface PrincipalParts extends Pick<Authenticators, "findSessionCookies">, WhoamiOptions {
  /** As of `Authenticators`, but that an access token is answered with what it says as well. */
  readonly judges: Required<Pick<Authenticators, "basic" | "opaqueToken" | "session">> & {
    accessToken(token: string): Promise<{ readonly principal: Principal }>;
  };
}

/** Puts together who is calling. */
export function assemblePrincipals(parts: PrincipalParts): PrincipalsRoom {
  const { judges, findSessionCookies } = parts;
  const chain = createPrincipalChain({
    ...judges,
    accessToken: async (token) => (await judges.accessToken(token)).principal,
    ...(findSessionCookies && { findSessionCookies }),
  });
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
