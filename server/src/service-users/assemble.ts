import { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import type { ServiceUser as ServiceUserMessage } from "@vestibule/proto/vestibule/v1/service_user_pb";
import { ServiceUserService as ServiceUserServiceSchema } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { counter, gauge } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { AuditTrail } from "../audit/audit.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import { listCacheMetrics } from "../changes/cache-metrics.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Access } from "../organizations/access.ts";
import type { AssertionKeySource } from "../principals/assertion-key.ts";
import type { TokenSubjects } from "../principals/claims.ts";
import type { KindJudges } from "../principals/judge.ts";
import {
  type CredentialCaches,
  type CredentialSource,
  createServiceUserAuthenticator,
  tokenSubjects,
} from "./authenticator.ts";
import { type BootstrapCredential, ensureBootstrap } from "./bootstrap.ts";
import { type CredentialLifetimes, CredentialService } from "./credential-service.ts";
import { deleteCredential, findCredential, findTokenByHash } from "./credential-store.ts";
import { createFrontierMethods, createServiceUserHandler } from "./handler.ts";
import { toServiceUserMessage } from "./messages.ts";
import { ServiceUserService } from "./service.ts";
import { findServiceUser } from "./store.ts";
import { UsageRecorder } from "./usage.ts";
import { UsageService } from "./usage-service.ts";

/** Bounds of the caches: entries, not bytes. */
const cachedCredentials = 20_000;
const cachedPrincipals = 10_000;

/** How old an answer may be, in milliseconds: the time of a last use alone, which is coarse, moves without a change in the feed. */
const messageAgeMs = 5_000;

/** What service users stand on. */
export interface ServiceUserParts extends Pick<CredentialSource, "findOrganizationState"> {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly access: Access;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Log;
  readonly lifetimes: CredentialLifetimes;
}

/** What others ask of service users. */
export interface ServiceUsersRoom extends Room {
  readonly judges: Pick<KindJudges, "basic" | "opaque_token">;
  /** Whose an access token of a service user is. */
  readonly subjects: Pick<TokenSubjects, "app/serviceuser">;
  readonly assertionKeys: AssertionKeySource;
  /** A service user as answered; at once where it is in memory. */
  findMessage(id: string): ServiceUserMessage | Promise<ServiceUserMessage | undefined>;
  /** Removes the row of a credential; does nothing when it is gone. */
  deleteCredential(tx: Tx, id: string): Promise<void>;
  /** As of `ensureBootstrap`. */
  ensureBootstrap(configured: BootstrapCredential | undefined): Promise<BootstrapCredential | undefined>;
}

/** Puts service users, their credentials and the counting of their use together. */
export function assembleServiceUsers(parts: ServiceUserParts): ServiceUsersRoom {
  const { database, feed, clock, log, findOrganizationState } = parts;
  const { reader } = database;
  const usage = new UsageRecorder({ database, clock, log });
  const caches = createCaches(feed);
  const authenticator = createServiceUserAuthenticator({
    source: {
      findCredential: (id) => findCredential(reader, id),
      findTokenByHash: (hash) => findTokenByHash(reader, hash),
      findServiceUser: (id) => findServiceUser(reader, id),
      findOrganizationState,
    },
    caches,
    usage,
    clock,
  });
  const messages = new InvalidatedCache<ServiceUserMessage>({
    feed,
    topics: ["service-user", "organization"],
    subjectsOf: ({ orgId }) => [orgId],
    maxEntries: cachedPrincipals,
    maxAgeMs: messageAgeMs,
  });
  const loadMessage = async (id: string) => {
    const found = await findServiceUser(reader, id);
    return found && toServiceUserMessage(found);
  };
  const serviceUsers = new ServiceUserService(parts);
  const credentials = new CredentialService(parts);
  const usages = new UsageService(parts);
  return {
    judges: {
      basic: async ({ id, secret }) => ({ principal: await authenticator.authenticateSecret(id, secret) }),
      opaque_token: async ({ token }) => ({ principal: await authenticator.authenticateOpaqueToken(token) }),
    },
    subjects: { "app/serviceuser": authenticator.authenticateTokenSubject },
    assertionKeys: authenticator,
    findMessage: (id) => messages.peek(id) ?? messages.get(id, loadMessage),
    deleteCredential,
    ensureBootstrap: (configured) => ensureBootstrap({ ...parts, configured }),
    services: [
      registerService(
        ServiceUserServiceSchema,
        createServiceUserHandler({ serviceUsers, credentials, usage: usages }),
      ),
      registerService(FrontierService, createFrontierMethods(serviceUsers)),
    ],
    metrics: [
      gauge("usage_counts_waiting", "Counts of use that wait to be written.", () => usage.waitingCount),
      counter("usage_calls_lost_total", "Calls that went uncounted.", () => usage.lostCalls),
      ...listCacheMetrics({
        credentials: caches.credentials,
        tokens: caches.tokens,
        service_users: caches.serviceUsers,
        organization_states: caches.organizationStates,
        service_user_messages: messages,
      }),
    ],
    sweeps: [{ kind: "usage", run: () => usage.sweep() }],
    closing: [{ name: "usage of service users", moment: "writes", ms: 2_000, run: () => usage.close() }],
  };
}

function createCaches(feed: ChangeFeed): CredentialCaches {
  const principals = { feed, maxEntries: cachedPrincipals };
  const credentials = { feed, topics: ["credential"], maxEntries: cachedCredentials } as const;
  return {
    credentials: new InvalidatedCache(credentials),
    tokens: new InvalidatedCache({ ...credentials, subjectsOf: tokenSubjects }),
    serviceUsers: new InvalidatedCache({ ...principals, topics: ["service-user"] }),
    organizationStates: new InvalidatedCache({ ...principals, topics: ["organization"] }),
  };
}
