import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { AuditTrail } from "../audit/audit.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import { listCacheMetrics } from "../changes/cache-metrics.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { AuthenticationConfig } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import type { CredentialJudge, GuardedJudge } from "../principals/judge.ts";
import type { FindSessionCookies } from "../principals/presented.ts";
import type { TokensRoom } from "./assemble.ts";
import { createGrants } from "./grants.ts";
import { createTokenMethods, type TokenMethodsOptions } from "./handler.ts";
import type { IntrospectionOptions } from "./introspection.ts";
import { oauthPaths } from "./oauth-metadata.ts";
import { createOauthRoutes } from "./oauth-routes.ts";
import {
  createDescribeOrganizations,
  type OrganizationClaimCaches,
  type OrganizationClaimOptions,
} from "./organization-claims.ts";
import type { RevocationEndpointOptions } from "./revocation-endpoint.ts";
import { createTokenIssuer, type TokenIssuerOptions } from "./token-issuer.ts";

/** Parts that grants and the OAuth routes are built from. */
export interface GrantParts
  extends Pick<TokenIssuerOptions, "findVisibleProject">,
    Pick<OrganizationClaimOptions, "findOrganizations" | "findMembership" | "findOrganizationName">,
    Pick<RevocationEndpointOptions, "deleteOpaqueToken" | "deletePersonalToken" | "deleteSession">,
    Pick<IntrospectionOptions, "isMember">,
    Pick<TokenMethodsOptions, "clearDeadSession"> {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly authentication: AuthenticationConfig;
  /** Origin that clients see, without a slash at its end. */
  readonly publicUrl: string;
  /** Longest body of a request to the OAuth routes. */
  readonly bodyBytes: number;
  readonly tokens: Pick<TokensRoom, "accessTokens" | "keyring" | "revocations" | "answerJwks">;
  readonly judge: CredentialJudge;
  readonly guarded: GuardedJudge;
  readonly findSessionCookies: FindSessionCookies;
}

/** Puts together what exchanges and answers tokens: apart from `assembleTokens`, for between them stands who judges credentials. */
export function assembleGrants(parts: GrantParts): Room {
  const { authentication, tokens, guarded, findSessionCookies } = parts;
  const { accessTokens, keyring, revocations, answerJwks } = tokens;
  const { issuer, claims } = authentication.token;
  const caches = createOrganizationCaches(parts.feed);
  const organizations = createDescribeOrganizations({ ...parts, claims, caches });
  const tokenIssuer = createTokenIssuer({ ...parts, accessTokens, claims, organizations });
  const grants = createGrants({
    guarded,
    issuer: tokenIssuer,
    assertionRules: { relaxed: authentication.assertions === "frontier" },
    findSessionCookies,
  });
  return {
    services: [registerService(AuthService, createTokenMethods({ ...parts, grants, keyring }))],
    routes: [
      { method: "GET", path: oauthPaths.jwks, isPublic: true, handle: answerJwks },
      ...createOauthRoutes({
        ...parts,
        organizations,
        tokenIssuer,
        issuer,
        revocations,
      }),
    ],
    metrics: listCacheMetrics({ claimed_organizations: caches.people, organization_names: caches.names }),
  };
}

/** Bound of each cache: a person of twenty organizations counts as two entries. */
const cachedOrganizations = 10_000;

function createOrganizationCaches(feed: ChangeFeed): OrganizationClaimCaches {
  return {
    people: new InvalidatedCache({
      feed,
      topics: ["user", "organization"],
      subjectsOf: ({ dependsOn }) => dependsOn,
      isKept: ({ isComplete }) => isComplete,
      weigh: ({ dependsOn }) => 1 + Math.floor(dependsOn.length / 20),
      maxEntries: cachedOrganizations,
    }),
    names: new InvalidatedCache({ feed, topics: ["organization"], maxEntries: cachedOrganizations }),
  };
}
