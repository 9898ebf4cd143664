/** Token revocation (RFC 7009), at `/oauth2/revoke`; `revocations.ts` knows what was revoked. */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { AccessTokenClaims } from "../principals/claims.ts";
import type { CredentialJudge, GuardedJudge } from "../principals/judge.ts";
import type { Caller, Principal, UserPrincipal } from "../principals/principal.ts";
import { findGoodToken } from "./introspection.ts";
import { type OauthEndpoint, proveClient, readClientAuthentication } from "./oauth-endpoint.ts";
import type { Revocations } from "./revocations.ts";

/** Parts that revocation (RFC 7009) stands on. */
export interface RevocationEndpointOptions {
  /** For the token. */
  readonly judge: CredentialJudge;
  /** For the client. */
  readonly guarded: GuardedJudge;
  readonly database: Pick<Database, "transaction">;
  readonly revocations: Pick<Revocations, "revoke">;
  readonly feed: Pick<ChangeFeed, "append">;
  /** Removes the row of an opaque token. */
  readonly deleteOpaqueToken: (tx: Tx, tokenId: string) => Promise<void>;
  /** Removes the row of a personal access token. */
  readonly deletePersonalToken: (tx: Tx, tokenId: string) => Promise<void>;
  /** Removes the row of a person's session; does nothing when it is gone. */
  readonly deleteSession: (tx: Tx, sessionId: string, userId: string) => Promise<unknown>;
  readonly audit: Pick<AuditTrail, "record">;
}

/** Clients pass over the body (RFC 7009 §2.2), but some read whatever comes as JSON. */
const nothing = "{}";

function isSame(one: Principal, other: Principal): boolean {
  return one.type === other.type && one.id === other.id;
}

/**
 * The revocation endpoint (RFC 7009), for the token's own principal, whichever
 * of its credentials it comes with. A token of anybody else, and one that is
 * no good anyway, answers the same and changes nothing (§2.2).
 */
export function createRevocationEndpoint(options: RevocationEndpointOptions): OauthEndpoint {
  const { judge, guarded, database, revocations, feed, deleteSession, audit } = options;

  async function record(tx: Tx, caller: Caller, tokenId: string): Promise<void> {
    const { principal } = caller;
    await audit.record(tx, caller, {
      action: "token.revoke",
      target: tokenId,
      ...(principal.type !== "user" && { orgId: principal.orgId }),
    });
  }

  /** A person's token ends with its session, and with that every other token made from it. */
  async function revokeAccessToken(
    caller: Caller,
    owner: Principal,
    { jti, exp }: AccessTokenClaims,
  ): Promise<void> {
    await database.transaction(async (tx) => {
      if (owner.type === "user") await deleteSession(tx, owner.sessionId, owner.id);
      await record(tx, caller, jti);
      await revocations.revoke(tx, { jti, expiresAt: new Date(exp * 1000) });
      if (owner.type === "user") await feed.append(tx, { topic: "session", subject: owner.sessionId });
    });
  }

  async function revokeOpaqueToken(caller: Caller, owner: Exclude<Principal, UserPrincipal>): Promise<void> {
    const { type, credentialId: tokenId } = owner;
    await database.transaction(async (tx) => {
      await (type === "pat"
        ? options.deletePersonalToken(tx, tokenId)
        : options.deleteOpaqueToken(tx, tokenId));
      await record(tx, caller, tokenId);
      await feed.append(tx, { topic: "credential", subject: tokenId });
    });
  }

  return async ({ form, authorization, info }) => {
    const principal = await proveClient(guarded, info, readClientAuthentication(form, authorization));
    const token = form.get("token");
    if (token === undefined) throw invalidRequest("token is missing");
    const good = await findGoodToken(judge, token);
    if (good === undefined || !isSame(good.principal, principal)) return nothing;
    const caller = { principal, request: info };
    const { claims, principal: owner } = good;
    if (claims !== undefined) await revokeAccessToken(caller, owner, claims);
    else if (owner.type !== "user") await revokeOpaqueToken(caller, owner);
    return nothing;
  };
}
