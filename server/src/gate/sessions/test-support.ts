/** Sessions at a custom frontend, as one process of the gate has them. For tests only. */

import type { DatabaseUnderTest } from "../../../../test/parts/databases.ts";
import type { AuditAgent, AuditEvent } from "../../audit/audit.ts";
import type { Tx } from "../../db/database.ts";
import type {
  ProviderIdentity,
  ProviderType,
  ProviderTypeName,
} from "../../frontdoor/provider-types/provider-type.ts";
import { createTestContext, type TestContext } from "../../frontdoor/provider-types/test-support.ts";
import { createOpenProvider } from "../../frontdoor/providers/open-provider.ts";
import { createRoom, toFrontendDefinition, toMachine } from "../../frontdoor/test-support.ts";
import { silentLog } from "../../lib/log.ts";
import type { Metadata } from "../../lib/metadata.ts";
import type { Caller } from "../../principals/principal.ts";
import { unknownDevice } from "../../sessions/test-support.ts";
import { createAskProviders } from "../decisions/ask-providers.ts";
import { Decider } from "../decisions/decide.ts";
import { KeyRates } from "../decisions/key-rates.ts";
import { createDirectory } from "../directory/directory.ts";
import type { GateFrontend } from "../directory/frontend.ts";
import { createTestFailures, toAsk } from "../test-support.ts";
import { assembleGateSessions } from "./assemble.ts";
import type { NewGateSession } from "./gate-session.ts";
import type { BegunGateSession, ProvenHolder } from "./service.ts";

type ProviderLogin = Extract<ProviderType["login"], { readonly kind: "provider" }>;
type OwnLogin = Extract<ProviderType["login"], { readonly kind: "own" }>;

/** An identity of another service, of which nothing else is said. */
export function toIdentity(said: Partial<ProviderIdentity> = {}): ProviderIdentity {
  return {
    subject: "alice",
    emailVerified: false,
    organizations: [],
    groups: [],
    claims: {},
    dependsOn: [],
    ...said,
  };
}

/** Another service, which says what the test says. */
class TestLogin implements ProviderLogin {
  readonly kind = "provider";
  readonly isPossible = () => true;
  /** What it was asked to renew, in that order. */
  readonly renewals: Metadata[] = [];
  onRenew: ProviderLogin["renew"] = () => Promise.reject(new Error("nobody expects a renewal"));
  admit: ProviderLogin["admit"] = (_provider, identity) => ({ allowed: true, identity });
  verifyLogout?: NonNullable<ProviderLogin["verifyLogout"]>;

  begin(): never {
    throw new Error("nobody signs in here");
  }

  finish(): never {
    throw new Error("nobody signs in here");
  }

  async renew(...asked: Parameters<ProviderLogin["renew"]>): ReturnType<ProviderLogin["renew"]> {
    this.renewals.push(asked[1].kept);
    return await this.onRenew(...asked);
  }
}

/** This service's own sessions, judged as the test says. */
class TestOwnLogin implements OwnLogin {
  readonly kind = "own";
  judge: OwnLogin["judge"] = async (_provider, sessionId) => ({
    allowed: true,
    identity: toIdentity({ subject: "user", dependsOn: [sessionId] }),
  });
}

/** A process of the gate, and whom its providers ask. */
export type GateProcess = Awaited<ReturnType<typeof startGate>>;

/** Starts the gate as one process has it, over a connection of its own. */
export async function startGate(
  under: DatabaseUnderTest,
  context: TestContext = createTestContext(),
  patienceMs = 60_000,
) {
  const database = await under.openAnother();
  const room = createRoom(database, context);
  const { feed, sealer } = room;
  const { clock } = context;
  await feed.start();
  const login = new TestLogin();
  const own = new TestOwnLogin();
  const logins: Partial<Record<ProviderTypeName, ProviderType["login"]>> = { OIDC: login, VESTIBULE: own };
  const types = {
    get(name: ProviderTypeName): ProviderType {
      const known = logins[name];
      return { ...room.types.get(name), ...(known && { login: known }) };
    },
  };
  const directory = createDirectory({ reader: database.reader, feed, types });
  const openProvider = createOpenProvider(database.reader, sealer);
  const recorded: AuditEvent[] = [];
  const audit = {
    ...room.audit,
    recordOwn: async (_tx: Tx, _agent: AuditAgent, event: AuditEvent) => void recorded.push(event),
  };
  /** Who is proven, and not in yet. */
  const waysIn = new Set<ProvenHolder>();
  const endWaysIn = async (_tx: Tx, isMeant: (proven: ProvenHolder) => boolean) => {
    for (const proven of waysIn) if (isMeant(proven)) waysIn.delete(proven);
  };
  const parts = {
    ...room,
    types,
    audit,
    database,
    openProvider,
    clock,
    log: silentLog,
    patienceMs,
    endWaysIn,
  };
  const sessions = assembleGateSessions(parts);
  const decider = new Decider({
    directory,
    askProviders: createAskProviders(silentLog, sessions.judgeSession),
    makeIdentityHeaders: async (_target, identity) => ({
      lines: [["X-Vestibule-Subject", identity?.subject ?? ""]],
      renewAtMs: Number.POSITIVE_INFINITY,
    }),
    feed,
    keyRates: new KeyRates({ database, clock, log: silentLog }),
    failures: createTestFailures(context),
    isOwnSession: () => false,
    onDecision: () => {},
    clock,
    log: silentLog,
  });
  return {
    ...sessions,
    room,
    database,
    types,
    context,
    /** What the server recorded of its own accord. */
    recorded,
    waysIn,
    login,
    own,
    decider,
    /** The frontend at a host, as it is known here. */
    async find(frontdoorId: string, host: string): Promise<GateFrontend> {
      const { frontend } = await directory.find(frontdoorId, host);
      if (frontend === undefined) throw new Error(`nothing is at ${host}`);
      return frontend;
    },
    stop: async () => {
      for (const { run } of sessions.closing ?? []) await run();
      await feed.stop();
    },
  };
}

/** A frontend with people behind it. */
export interface TestPlace {
  readonly manager: Caller;
  readonly orgId: string;
  readonly frontdoorId: string;
  readonly frontendId: string;
  readonly host: string;
  /** Of type `OIDC` and `VESTIBULE`. */
  readonly oidcId: string;
  readonly ownId: string;
}

/** Stores a frontdoor with a frontend that takes people of both kinds. */
export async function createPlace({ room }: GateProcess, host = "app.example.com"): Promise<TestPlace> {
  const orgId = await room.createOrganization();
  const manager = toMachine(orgId, "manager");
  const frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
  const create = async (name: string, type: string, data: Metadata) =>
    (await room.providers.create(manager, frontdoorId, { name, type, enabled: true, data })).id;
  const oidcId = await create("oidc", "OIDC", { issuer: "https://id.example.org", clientId: "app" });
  const ownId = await create("own", "VESTIBULE", {});
  const definition = toFrontendDefinition({ hostname: host, providerIds: [oidcId, ownId] });
  const frontendId = (await room.frontends.create(manager, frontdoorId, definition)).id;
  return { manager, orgId, frontdoorId, frontendId, host, oidcId, ownId };
}

/** Begins a session at a frontend, of somebody whom `OIDC` proved unless it is said otherwise. */
export async function begin(
  { database, room, gateSessions }: GateProcess,
  { frontendId, frontdoorId, host, oidcId }: TestPlace,
  said: Partial<NewGateSession> = {},
): Promise<BegunGateSession> {
  return await database.transaction(async (tx) => {
    const begun = await gateSessions.begin(tx, {
      frontend: { id: frontendId, frontdoorId },
      host,
      provider: { id: oidcId, revision: 1 },
      identity: toIdentity(),
      maxAgeSeconds: 3600,
      device: unknownDevice,
      ...(said.parentSessionId === undefined && {
        renewAt: new Date(room.context.clock.now().getTime() + 600_000),
      }),
      ...said,
    });
    await room.feed.append(tx, ...begun.changes);
    return begun;
  });
}

/** What the gate says to a request with this cookie. */
export async function askWith(
  { decider }: GateProcess,
  { frontdoorId, host }: TestPlace,
  cookie: string,
  {
    headers = {},
    ...rest
  }: { readonly host?: string; readonly headers?: Readonly<Record<string, string>> } = {},
) {
  const asked = toAsk({ cookie: `__Host-vestibule=${cookie}`, ...headers }, { frontdoorId, host, ...rest });
  return await decider.decide(asked);
}
