import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { AuditTrail } from "../audit/audit.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { AuthenticationConfig } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import type { Sealer } from "../encryption/sealer.ts";
import type { Clock } from "../lib/clock.ts";
import type { CredentialGuard } from "../limits/credential-guard.ts";
import type { FindSessionCookies } from "../principals/presented.ts";
import { createAccessTokens } from "./access-token.ts";
import { consumeAssertion } from "./assertion-store.ts";
import { type AssertionKeySource, createAssertionAuthenticator } from "./assertions.ts";
import {
  type AllJudges,
  createCredentialJudges,
  type ServiceUserJudges,
  type SessionJudges,
} from "./credential-judges.ts";
import { createGrants } from "./grants.ts";
import { createTokenMethods, type TokenMethodsOptions } from "./handler.ts";
import type { IntrospectionOptions } from "./introspection.ts";
import { createJwksHandler } from "./jwks.ts";
import { listKeyFigures } from "./key-figures.ts";
import type { KeyRotation } from "./key-rotation.ts";
import { createKeyring } from "./keyring.ts";
import { oauthPaths } from "./oauth-metadata.ts";
import { createOauthRoutes } from "./oauth-routes.ts";
import { createProofs } from "./proofs.ts";
import type { RevocationEndpointOptions } from "./revocation-endpoint.ts";
import { findRevokedTokens, insertRevokedToken, isRevokedToken } from "./revocation-store.ts";
import { Revocations } from "./revocations.ts";
import { findSigningKeys } from "./store.ts";
import { createTokenSweeps } from "./sweep.ts";
import { createTokenIssuer, type TokenIssuerOptions } from "./token-issuer.ts";

/** Parts that tokens, grants and the OAuth routes are built from. */
export interface TokenParts
  extends Pick<TokenIssuerOptions, "findUserOrganizationIds" | "findVisibleProject">,
    Pick<RevocationEndpointOptions, "deleteOpaqueToken" | "deleteSession">,
    Pick<IntrospectionOptions, "isMember">,
    Pick<TokenMethodsOptions, "clearDeadSession"> {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly sealer: Sealer;
  readonly rotation: KeyRotation;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly authentication: AuthenticationConfig;
  /** Origin that clients see, without a slash at its end. */
  readonly publicUrl: string;
  /** Longest body of a request to the OAuth routes. */
  readonly bodyBytes: number;
  readonly guard: CredentialGuard;
  readonly serviceUsers: ServiceUserJudges & AssertionKeySource;
  readonly sessions: SessionJudges & { readonly findCookies: FindSessionCookies };
}

/** Whoever has a credential asks these whose it is. */
export interface TokensRoom extends Room {
  readonly judges: AllJudges;
}

/** Puts access tokens together: keys, revocations, grants and the OAuth routes. Makes the first key where there is none. */
export async function assembleTokens(parts: TokenParts): Promise<TokensRoom> {
  const { database, feed, rotation, clock, authentication, guard, sessions } = parts;
  const { issuer, claims } = authentication.token;
  await rotation.maintain();
  const keyring = createKeyring({
    cache: new InvalidatedCache({ feed, topics: ["signing-keys"], maxEntries: 1 }),
    sealer: parts.sealer,
    clock,
    findSigningKeys: () => findSigningKeys(database.reader),
  });
  await keyring.get();
  const revocations = createRevocations(parts);
  await revocations.fill();
  const accessTokens = createAccessTokens({
    ...authentication.token,
    keyring,
    clock,
    clockSkewSeconds: authentication.clockSkewSeconds,
    isRevoked: (jti) => revocations.isRevoked(jti),
  });
  const judges = createCredentialJudges(accessTokens, parts.serviceUsers, sessions, createAssertions(parts));
  const proofs = createProofs(judges, guard);
  const tokenIssuer = createTokenIssuer({ ...parts, accessTokens, claims });
  const grants = createGrants({
    proofs,
    issuer: tokenIssuer,
    assertionRules: { relaxed: authentication.assertions === "frontier" },
    findSessionCookies: sessions.findCookies,
  });
  return {
    judges,
    services: [registerService(AuthService, createTokenMethods({ ...parts, grants, keyring }))],
    routes: [
      { method: "GET", path: oauthPaths.jwks, handle: createJwksHandler(keyring) },
      ...createOauthRoutes({
        ...parts,
        proofs,
        judges,
        tokenIssuer,
        issuer,
        revocations,
      }),
    ],
    figures: listKeyFigures({ keyring, feed, clock }),
    chores: [
      { name: "upkeep of signing keys", run: () => rotation.maintain() },
      { name: "upkeep of revocations", run: () => revocations.prune() },
    ],
    sweeps: createTokenSweeps(database, clock),
  };
}

function createRevocations({ database, feed, clock, authentication }: TokenParts): Revocations {
  const { reader } = database;
  return new Revocations({
    feed,
    store: {
      insert: insertRevokedToken,
      isRevoked: (jti) => isRevokedToken(reader, jti),
      findAll: (now, limit) => findRevokedTokens(reader, now, limit),
    },
    clock,
    clockSkewSeconds: authentication.clockSkewSeconds,
  });
}

function createAssertions({ database, serviceUsers, clock, authentication, publicUrl }: TokenParts) {
  return createAssertionAuthenticator({
    keys: serviceUsers,
    clock,
    audiences: [authentication.token.issuer, publicUrl + oauthPaths.token],
    clockSkewSeconds: authentication.clockSkewSeconds,
    consume: (id, expiresAt) => database.transaction((tx) => consumeAssertion(tx, id, expiresAt)),
  });
}
