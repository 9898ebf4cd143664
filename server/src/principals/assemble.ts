import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import { createWhoamiMethods, type WhoamiOptions } from "./handler.ts";
import {
  type ChainOptions,
  type CredentialJudge,
  createCredentialJudge,
  createPrincipalChain,
  type GuardedJudge,
  type KindJudges,
  type PrincipalChain,
} from "./judge.ts";

/** Whose a credential is, and who is calling: for whoever has one, or a request. */
export interface PrincipalsRoom extends Room {
  readonly judge: CredentialJudge;
  readonly guarded: GuardedJudge;
  readonly chain: PrincipalChain;
}

/** What finding out who is calling stands on. */
export interface PrincipalParts extends Pick<ChainOptions, "findSessionCookies">, WhoamiOptions {
  /** Of the rooms, side by side. */
  readonly judges: KindJudges;
  /** Puts the guard before a judge. */
  readonly guard: (judge: CredentialJudge) => GuardedJudge;
}

/** Puts together the judge of credentials, and who is calling. */
export function assemblePrincipals(parts: PrincipalParts): PrincipalsRoom {
  const judge = createCredentialJudge(parts.judges);
  const guarded = parts.guard(judge);
  return {
    judge,
    guarded,
    chain: createPrincipalChain({ ...parts, judge, guarded }),
    services: [registerService(AuthService, createWhoamiMethods(parts))],
  };
}
