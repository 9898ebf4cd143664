/** This room put together over one database, as the composition root does it. For tests only. */
import type { AuditEvent, AuditTrail } from "../audit/audit.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import { type Access, createAccess } from "../organizations/access.ts";
import {
  deleteOrganization,
  findOrganization,
  insertOrganizationIfAbsent,
  updateOrganizationState,
} from "../organizations/store.ts";
import type { Caller, Role } from "../principals/principal.ts";
import {
  createServiceUserAuthenticator,
  type ServiceUserAuthenticator,
  tokenSubjects,
} from "./authenticator.ts";
import { type CredentialLifetimes, CredentialService } from "./credential-service.ts";
import { findCredential, findTokenByHash } from "./credential-store.ts";
import { ServiceUserService } from "./service.ts";
import type { ServiceUser } from "./service-user.ts";
import { findServiceUser } from "./store.ts";
import { UsageRecorder } from "./usage.ts";
import { UsageService } from "./usage-service.ts";

/** Starts at a fixed instant and moves when told to. */
export class MovableClock implements Clock {
  #nowMs = Date.parse("2027-03-01T12:00:00.000Z");

  now(): Date {
    return new Date(this.#nowMs);
  }

  /** By milliseconds. */
  advance(ms: number): void {
    this.#nowMs += ms;
  }
}

/** What {@link openRoom} builds. */
export interface Room {
  readonly clock: MovableClock;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly access: Access;
  readonly serviceUsers: ServiceUserService;
  readonly credentials: CredentialService;
  readonly usages: UsageService;
  readonly usage: UsageRecorder;
  readonly authenticator: ServiceUserAuthenticator;
  /** Everything that was recorded and appended so far. */
  readonly events: AuditEvent[];
  readonly changes: Change[];
  /** How often the database was asked for a credential, by id or hash. */
  reads(): number;
  /** Makes an organization and answers its id. */
  createOrganization(): Promise<string>;
  setOrganizationState(id: string, state: "enabled" | "disabled"): Promise<void>;
  deleteOrganization(id: string): Promise<void>;
  close(): Promise<void>;
}

/** A machine of an organization as caller. */
export function machineOf(orgId: string, role: Role, superuser = false, id = newId(new Date())): Caller {
  return {
    principal: {
      type: "serviceuser",
      id,
      orgId,
      role,
      superuser,
      credentialId: newId(new Date()),
      authVia: "client_credentials",
      credentialKind: "client_secret",
    },
    request: { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} },
  };
}

/** A caller who may do everything. */
export const root = machineOf("none", "owner", true);

/** What a viewer is made of. */
export const plainDraft = { title: "machine", metadata: {}, role: "viewer" } as const;

/** Builds the room and follows the change feed until closed. */
export async function openRoom(
  database: OpenDatabase,
  {
    maxLiveCredentials,
    lifetimes = { validitySeconds: undefined, longestValiditySeconds: undefined },
  }: { readonly maxLiveCredentials?: number; readonly lifetimes?: CredentialLifetimes } = {},
): Promise<Room> {
  const clock = new MovableClock();
  const { reader } = database;
  const feed = new ChangeFeed({ database, clock, log: silentLog });
  const events: AuditEvent[] = [];
  const changes: Change[] = [];
  feed.subscribe({ onChange: (change) => changes.push(change), onReset: () => {} });
  await feed.start();
  const audit: AuditTrail = {
    record: async (_tx, _caller, event) => void events.push(event),
    recordOwn: async (_tx, _agent, ...own) => void events.push(...own),
    note: () => {},
    refuse: () => {},
  };
  const access = createAccess({
    findOrganization: (org) => findOrganization(reader, org),
    findMemberRole: async () => undefined,
  });
  const usage = new UsageRecorder({ database, clock, log: silentLog, flushDelayMs: 86_400_000 });
  let reads = 0;
  const counted = <T>(read: Promise<T>): Promise<T> => {
    reads += 1;
    return read;
  };
  const topics = ["credential"] as const;
  const authenticator = createServiceUserAuthenticator({
    source: {
      findCredential: (id) => counted(findCredential(reader, id)),
      findTokenByHash: (hash) => counted(findTokenByHash(reader, hash)),
      findServiceUser: (id) => findServiceUser(reader, id),
      findOrganizationState: async (id) => (await findOrganization(reader, id))?.state,
    },
    caches: {
      credentials: new InvalidatedCache({ feed, topics, maxEntries: 1000 }),
      tokens: new InvalidatedCache({ feed, topics, maxEntries: 1000, subjectsOf: tokenSubjects }),
      serviceUsers: new InvalidatedCache({ feed, topics: ["service-user"], maxEntries: 1000 }),
      organizationStates: new InvalidatedCache({ feed, topics: ["organization"], maxEntries: 1000 }),
    },
    usage,
    clock,
  });
  const parts = { database, feed, access, audit, clock };
  return {
    clock,
    feed,
    audit,
    access,
    serviceUsers: new ServiceUserService(parts),
    credentials: new CredentialService({
      ...parts,
      lifetimes,
      ...(maxLiveCredentials && { maxLiveCredentials }),
    }),
    usages: new UsageService(parts),
    usage,
    authenticator,
    events,
    changes,
    reads: () => reads,
    async createOrganization() {
      const now = clock.now();
      const id = newId(now);
      const organization = {
        id,
        name: `org-${id}`,
        title: "",
        metadata: {},
        avatar: "",
        state: "enabled",
      } as const;
      await database.transaction((tx) =>
        insertOrganizationIfAbsent(tx, { ...organization, createdAt: now, updatedAt: now }),
      );
      return id;
    },
    async setOrganizationState(id, state) {
      await database.transaction(async (tx) => {
        await updateOrganizationState(tx, id, state, clock.now());
        await feed.append(tx, { topic: "organization", subject: id });
      });
    },
    async deleteOrganization(id) {
      await database.transaction(async (tx) => {
        await deleteOrganization(tx, id, clock.now());
        await feed.append(tx, { topic: "organization", subject: id });
      });
    },
    async close() {
      await usage.close();
      await feed.stop();
    },
  };
}

/** Makes a viewer in an organization. */
export function createMachine(room: Room, org: string, role: Role = "viewer"): Promise<ServiceUser> {
  return room.serviceUsers.create(root, org, { ...plainDraft, role });
}

/** What was refused: reason and operator's detail. @throws Error when nothing was. */
export async function refusalOf(work: Promise<unknown>): Promise<{ reason: string; detail: string }> {
  try {
    await work;
  } catch (error) {
    if (error instanceof DomainError) return { reason: error.reason, detail: error.detail ?? "" };
    throw error;
  }
  throw new Error("it was not refused");
}

/** The reasons of refusals of work that was started together. */
export async function reasonsOf(works: readonly Promise<unknown>[]): Promise<string[]> {
  return (await Promise.all(works.map(refusalOf))).map(({ reason }) => reason);
}
