/** The services of this room over a database of a suite. For tests only. */
import type { AuditEvent, AuditTrail } from "../audit/audit.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { createSealer } from "../encryption/sealer.ts";
import { DomainError, type Reason } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import { createAccess } from "../organizations/access.ts";
import { findManagedIds, holdManagedIds } from "../organizations/managed.ts";
import { findMemberRole } from "../organizations/member-store.ts";
import { findOrganization, findTenant, insertOrganization } from "../organizations/store.ts";
import type { Caller, Role } from "../principals/principal.ts";
import { ApiKeyService } from "./api-keys/service.ts";
import { createFrontdoorAccess } from "./frontdoors/access.ts";
import { FrontdoorService } from "./frontdoors/service.ts";
import { defaultPolicy, type FrontendDefinition } from "./frontends/frontend.ts";
import { FrontendService } from "./frontends/service.ts";
import { createProviderTypes } from "./provider-types/provider-types.ts";
import { createTestContext, type TestContext } from "./provider-types/test-support.ts";
import { createProviderValidator } from "./provider-types/validate.ts";
import { DryRunService, type DryRunServiceOptions } from "./providers/dry-run-service.ts";
import { ProviderList } from "./providers/list.ts";
import { ProviderService } from "./providers/service.ts";
import { ProxyTokenService } from "./proxy-tokens/service.ts";

const request = { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} };

/** A machine of an organization. */
export function toMachine(
  orgId: string,
  role: Role,
  options: { superuser?: boolean; id?: string } = {},
): Caller {
  const principal = {
    type: "serviceuser",
    id: options.id ?? newId(new Date()),
    orgId,
    role,
    superuser: options.superuser ?? false,
    credentialId: "c",
    authVia: "client_credentials",
    credentialKind: "client_secret",
  } as const;
  return { principal, request };
}

/** A person who has proven their address. */
export function toPerson({ id, email }: { readonly id: string; readonly email: string }): Caller {
  const principal = {
    type: "user",
    id,
    email,
    emailProven: true,
    superuser: false,
    sessionId: newId(new Date()),
    authVia: "session",
    credentialKind: "session",
  } as const;
  return { principal, request };
}

/** The room over one database, as one process has it. */
export type TestRoom = ReturnType<typeof createRoom>;

/** Builds the room. Nothing but dry runs leaves the process. */
export function createRoom(
  database: OpenDatabase,
  context: TestContext = createTestContext(),
  dryRuns: Partial<DryRunServiceOptions> = {},
) {
  const { clock } = context;
  const feed = new ChangeFeed({ database, clock, log: silentLog });
  const events: AuditEvent[] = [];
  const audit: AuditTrail = {
    record: async (_tx, _caller, event) => void events.push(event),
    recordOwn: async () => {},
    note: (_caller, event) => void events.push(event),
    refuse: () => {},
  };
  const access = createAccess({
    findOrganization: (org) => findOrganization(database.reader, org),
    findMemberRole: (userId, orgId) => findMemberRole(database.reader, userId, orgId),
  });
  const frontdoorAccess = createFrontdoorAccess(database.reader, access);
  const types = createProviderTypes(context);
  const validator = createProviderValidator(types.list);
  const sealer = createSealer([Buffer.alloc(32, 7)]);
  const common = { database, feed, frontdoorAccess, audit, clock };
  const providers = new ProviderService({
    ...common,
    sealer,
    types,
    validator,
    holdManagedIds,
    maxRevisions: 20,
  });
  return {
    database,
    context,
    feed,
    events,
    frontdoorAccess,
    types,
    validator,
    sealer,
    audit,
    providers,
    frontdoors: new FrontdoorService({ ...common, access }),
    frontends: new FrontendService(common),
    proxyTokens: new ProxyTokenService(common),
    apiKeys: new ApiKeyService({ ...common, maxLiveKeys: 3 }),
    dryRuns: new DryRunService({
      reader: database.reader,
      frontdoorAccess,
      audit,
      sealer,
      types,
      validator,
      findManagedIds,
      findTenant: (orgId) => findTenant(database.reader, orgId),
      maxRuns: 3,
      maxRunsPerOrganization: 2,
      ...dryRuns,
    }),
    lists: new ProviderList({ database, frontdoorAccess, rowsPerStep: 7 }),
    async createOrganization(
      state: "enabled" | "disabled" = "enabled",
      name?: string,
      createdBy?: string,
    ): Promise<string> {
      const id = newId(new Date());
      const now = new Date();
      const organization = { id, name: name ?? `org-${id}`, title: "", metadata: {}, avatar: "", state };
      await database.transaction((tx) =>
        insertOrganization(tx, { ...organization, createdAt: now, updatedAt: now }, createdBy),
      );
      return id;
    },
  };
}

/** A frontend of which nothing else is said. */
export function toFrontendDefinition(said: Partial<FrontendDefinition>): FrontendDefinition {
  return {
    hostname: "app.example.com",
    providerIds: [],
    policy: defaultPolicy,
    authorization: "JUDGE",
    scheme: "https",
    assertionHeader: "",
    ...said,
  };
}

/** Data of a provider with a secret. */
export const oidcData = {
  issuer: "https://your-org.okta.com",
  clientId: "abc123",
  clientSecret: "canary-secret-1",
  audiences: ["api://default"],
};

/** What a call was refused with. @throws what else it threw, or Error when it succeeded */
export async function refusalOf(call: Promise<unknown>): Promise<DomainError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof DomainError) return error;
  throw error ?? new Error("the call succeeded");
}

/** Why a call was refused. */
export async function reasonOf(call: Promise<unknown>): Promise<Reason> {
  return (await refusalOf(call)).reason;
}
