/**
 * The rules by which an import changes what is there: those that hold for
 * superusers, in the name of the command line.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { Mailboxes } from "../audit/mailboxes.ts";
import { strikeOut } from "../audit/strike-out.ts";
import { deleteFlowsOf } from "../auth/flow-store.ts";
import { Avatars } from "../avatars/avatars.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { unknownRequest } from "../lib/request.ts";
import { createAccess } from "../organizations/access.ts";
import { MemberService } from "../organizations/member-service.ts";
import { findMemberRole } from "../organizations/member-store.ts";
import { OrganizationService } from "../organizations/service.ts";
import { findOrganization } from "../organizations/store.ts";
import type { Caller } from "../principals/principal.ts";
import { ServiceUserService } from "../service-users/service.ts";
import { deleteKnownBrowsers } from "../sessions/known-browser-store.ts";
import { deleteSessions } from "../sessions/store.ts";
import { UserService } from "../users/service.ts";

/** What rules stand on. */
export interface RuleParts {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly mailboxes: Mailboxes;
  readonly clock: Clock;
  readonly publicUrl: string;
}

/** @see the head of this file */
export interface Rules {
  readonly database: Database;
  readonly caller: Caller;
  readonly users: UserService;
  readonly organizations: OrganizationService;
  readonly members: MemberService;
  readonly serviceUsers: ServiceUserService;
}

/** Nobody that is stored: the trail names the command line instead. */
const caller: Caller = {
  principal: {
    type: "serviceuser",
    id: "command-line",
    orgId: "",
    role: "owner",
    credentialId: "",
    superuser: true,
    authVia: "client_credentials",
    credentialKind: "client_secret",
  },
  request: unknownRequest,
};

/** Puts the rules together. @param parts whose database may be one that keeps nothing */
export function createRules(parts: RuleParts): Rules {
  const { database, audit, mailboxes } = parts;
  const { reader } = database;
  const access = createAccess({
    findOrganization: (idOrName) => findOrganization(reader, idOrName),
    findMemberRole: (userId, orgId) => findMemberRole(reader, userId, orgId),
  });
  const own: AuditTrail = {
    record: (tx, _caller, event) => audit.recordOwn(tx, "command-line", event),
    recordOwn: (tx, agent, ...events) => audit.recordOwn(tx, agent, ...events),
    note: () => {},
    refuse: () => {},
  };
  const common = { ...parts, audit: own, access, avatars: new Avatars(parts) };
  return {
    database,
    caller,
    // An import mails nobody.
    users: new UserService({
      ...common,
      endSessions,
      endFlows: deleteFlowsOf,
      strikeOut: (tx, person) => strikeOut(tx, mailboxes, person),
      onEmailChange: () => {},
    }),
    organizations: new OrganizationService({
      ...common,
      limits: { organizationsPerPerson: 0 },
      creation: "superusers",
    }),
    members: new MemberService({ ...common, limits: { organizationsPerPerson: 0 } }),
    serviceUsers: new ServiceUserService(common),
  };
}

/** As `sessions/` ends them. */
async function endSessions(tx: Tx, userId: string): Promise<readonly Change[]> {
  const ids = await deleteSessions(tx, userId);
  await deleteKnownBrowsers(tx, userId, []);
  return ids.map((id) => ({ topic: "session", subject: id }));
}

/** Carries the answer of work whose transaction is given up. */
class Undone {
  readonly result: unknown;

  constructor(result: unknown) {
    this.result = result;
  }
}

/** A database whose transactions do all they do, refusals included, and are then rolled back. */
export function undoing(database: Database): Database {
  return {
    dialect: database.dialect,
    isShared: database.isShared,
    reader: database.reader,
    afterCommit: (tx, hook) => database.afterCommit(tx, hook),
    close: () => database.close(),
    async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
      try {
        return await database.transaction<T>(async (tx) => {
          throw new Undone(await work(tx));
        });
      } catch (error) {
        if (error instanceof Undone) return error.result as T;
        throw error;
      }
    },
  };
}
