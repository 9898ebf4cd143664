/**
 * Proves personal access tokens: by their secret, or as the subject of an
 * access token whose signature is already known to be good.
 *
 * Tokens are found by their hash, through a cache that the change feed empties;
 * what is cached holds what their owner and the organization are besides, so
 * that a warm proof costs one hash. Every proof asks anew whether the token has
 * expired, both are enabled, and the owner's address is proven; and of an access
 * token whether the secret it was made from still holds. What the token
 * may is the weaker of its role and its owner's. The membership is part of the
 * look-up: without one there is no token.
 */
import type { InvalidatedCache } from "../changes/cache.ts";
import type { LastUses } from "../db/write-behind.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { hashSecret, isMistyped } from "../lib/secrets.ts";
import { isAtLeast, toWeaker } from "../organizations/access.ts";
import type { TokenSubject } from "../principals/claims.ts";
import type { PatPrincipal, PatProjects, Role } from "../principals/principal.ts";
import type { LiveToken } from "./personal-token.ts";
import { toProjects } from "./scope.ts";

/** Parts that proving a personal access token stands on. */
export interface TokenAuthenticatorOptions {
  readonly source: {
    findByHash(secretHash: string): Promise<LiveToken | undefined>;
    findById(id: string): Promise<LiveToken | undefined>;
  };
  readonly caches: TokenCaches;
  readonly clock: Clock;
  /** Takes note of uses. Must be cheap, and never throw. */
  readonly uses: Pick<LastUses, "note">;
}

/** Topics `credential`, `user` and `organization`, subjects as {@link tokenSubjects} says. */
export interface TokenCaches {
  readonly byHash: InvalidatedCache<LiveToken>;
  readonly byId: InvalidatedCache<LiveToken>;
}

/** Subjects of changes that drop a token from the caches. */
export function tokenSubjects({ id, userId, orgId }: LiveToken): readonly string[] {
  return [id, userId, orgId];
}

/** Proves personal access tokens. */
export interface TokenAuthenticator {
  /** @throws DomainError NOT_AUTHENTICATED, PRINCIPAL_DISABLED, ORGANIZATION_DISABLED */
  authenticate(token: string): Promise<PatPrincipal>;
  /** @throws DomainError as above. */
  authenticateTokenSubject(subject: TokenSubject): Promise<PatPrincipal>;
}

function refuse(detail: string, token?: LiveToken): never {
  throw new DomainError("NOT_AUTHENTICATED", { detail, ...(token && { owner: toOwner(token) }) });
}

function toOwner({ userId: id, orgId, id: credentialId }: LiveToken) {
  return { type: "user", id, orgId, credentialId } as const;
}

function checkEnabled(token: LiveToken): void {
  const owner = toOwner(token);
  if (token.userState === "disabled") {
    throw new DomainError("PRINCIPAL_DISABLED", { detail: "the token's owner is disabled", owner });
  }
  if (token.orgState === "disabled") {
    throw new DomainError("ORGANIZATION_DISABLED", { detail: "the token's organization is disabled", owner });
  }
}

/** @see {@link TokenAuthenticator} */
export function createTokenAuthenticator(options: TokenAuthenticatorOptions): TokenAuthenticator {
  const { source, caches, clock, uses } = options;

  function toPrincipal(
    token: LiveToken,
    proof: Pick<PatPrincipal, "credentialKind" | "tokenId">,
  ): PatPrincipal {
    const { id, userId, email, orgId, scope, memberRole, expiresAt } = token;
    if (clock.now() >= expiresAt) {
      refuse(`personal access token expired at ${expiresAt.toISOString()}`, token);
    }
    checkEnabled(token);
    if (!token.emailProven) refuse("the address of the token's owner is not proven", token);
    uses.note({ id }, token.lastUsedAt);
    const role = scope.role && toWeaker(scope.role, memberRole);
    return {
      type: "pat",
      id,
      superuser: false,
      userId,
      email,
      orgId,
      role,
      projects: toPatProjects(token, role),
      credentialId: id,
      credentialExpiresAt: expiresAt,
      authVia: "pat",
      ...proof,
    };
  }

  return {
    async authenticate(presented) {
      if (isMistyped("vstu", presented)) refuse("mistyped personal access token");
      const token = await caches.byHash.get(hashSecret(presented), source.findByHash);
      if (token === undefined) refuse("unknown personal access token");
      return toPrincipal(token, { credentialKind: "personal_token" });
    },

    async authenticateTokenSubject({ id, tokenId, issuedAt }) {
      const token = await caches.byId.get(id, source.findById);
      if (token === undefined) refuse("the token's personal access token was deleted");
      if (isOfFormerSecret(token, issuedAt)) refuse("made from a secret that was replaced since", token);
      return toPrincipal(token, { credentialKind: "access_token", tokenId });
    },
  };
}

/**
 * Whether an access token was made before the secret was last replaced. Both
 * are told by whole seconds: what was made in that very one still counts.
 */
function isOfFormerSecret({ regeneratedAt }: LiveToken, issuedAt: Date): boolean {
  return (
    regeneratedAt !== undefined && issuedAt.getTime() < Math.floor(regeneratedAt.getTime() / 1000) * 1000
  );
}

function toPatProjects({ scope, memberRole }: LiveToken, role: Role | undefined): PatProjects {
  const ownerSeesAll = isAtLeast(memberRole, "manager");
  const only = toProjects({ ...scope, ...(role && { role }) });
  return { ownerSeesAll, ...(only !== "all" && { only }) };
}
