/** Invitations over a real database, with people and organizations at hand. For tests. */
import type { AuditEvent, AuditTrail } from "../audit/audit.ts";
import { Avatars } from "../avatars/avatars.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import { createAccess } from "../organizations/access.ts";
import { MemberService } from "../organizations/member-service.ts";
import { findMemberRole } from "../organizations/member-store.ts";
import { ProjectService } from "../organizations/project-service.ts";
import { OrganizationService } from "../organizations/service.ts";
import { findOrganization } from "../organizations/store.ts";
import type { Caller, Role, UserPrincipal } from "../principals/principal.ts";
import { ServiceUserService } from "../service-users/service.ts";
import { UserService } from "../users/service.ts";
import { insertUser } from "../users/store.ts";
import { InvitationService, type InvitationServiceOptions } from "./service.ts";

/** A person who calls, in a session of their own. */
export type Person = Caller & { readonly principal: UserPrincipal };

const request = { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} };

/** Who runs the platform. */
const adminEmail = "root@example.org";

export const page = { size: 50, token: "" };

let count = 0;

/** Everything that invitations touch, over one database; several of them are several processes. */
export function createRooms(
  database: OpenDatabase,
  clock: Clock,
  more: Partial<InvitationServiceOptions> = {},
) {
  const events: AuditEvent[] = [];
  const audit: AuditTrail = {
    record: async (_tx, _caller, event) => void events.push(event),
    recordOwn: async (_tx, _agent, event) => void events.push(event),
    note: () => {},
    refuse: () => {},
  };
  const feed = new ChangeFeed({ database, clock, log: silentLog });
  const access = createAccess({
    findOrganization: (org) => findOrganization(database.reader, org),
    findMemberRole: (userId, orgId) => findMemberRole(database.reader, userId, orgId),
  });
  const limits = { organizationsPerPerson: 3 };
  const avatars = new Avatars({ clock, publicUrl: "https://id.example.com" });
  const ground = { database, feed, access, audit, avatars, clock, limits };
  const organizations = new OrganizationService({ ...ground, creation: "everybody" });
  const invitations = new InvitationService({
    ...ground,
    adminEmails: [adminEmail],
    validitySeconds: 7 * 24 * 3600,
    onDue: () => {},
    ...more,
  });

  /** Signs a new person up. @param emailProven whether their address is. */
  async function newPerson(email = `person-${count++}@example.org`, emailProven = true): Promise<Person> {
    const now = clock.now();
    const id = newId(now);
    const texts = { name: id, title: "", avatar: "", metadata: {} };
    const user = {
      id,
      email,
      emailProven,
      state: "enabled",
      createdAt: now,
      updatedAt: now,
      ...texts,
    } as const;
    await database.transaction((tx) => insertUser(tx, user));
    const session = { sessionId: newId(now), authVia: "session", credentialKind: "session" } as const;
    const superuser = email === adminEmail;
    return { principal: { type: "user", id, email, emailProven, superuser, ...session }, request };
  }

  /** A person who runs the platform, the same each time. */
  const root: Person = {
    principal: {
      type: "user",
      id: newId(clock.now()),
      email: adminEmail,
      emailProven: true,
      superuser: true,
      sessionId: "s",
      authVia: "session",
      credentialKind: "session",
    },
    request,
  };

  /** An organization of a person, of whom nothing is recorded. */
  async function newOrganization(owner: Caller): Promise<string> {
    const name = `org-${count++}`;
    const made = await organizations.create(owner, { name, title: "T", metadata: {}, avatar: "" });
    return made.id;
  }

  /** A service user of an organization, as it calls. */
  async function newMachine(owner: Caller, orgId: string, role: Role): Promise<Caller> {
    const machines = new ServiceUserService(ground);
    const { id } = await machines.create(owner, orgId, { title: "robot", metadata: {}, role });
    const credential = { credentialId: "c", credentialKind: "client_secret" } as const;
    const principal = {
      type: "serviceuser",
      id,
      orgId,
      role,
      superuser: false,
      authVia: "client_credentials",
      ...credential,
    } as const;
    return { principal, request };
  }

  return {
    audit,
    events,
    invitations,
    organizations,
    members: new MemberService(ground),
    projects: new ProjectService(ground),
    machines: new ServiceUserService(ground),
    users: new UserService({
      database,
      feed,
      audit,
      avatars,
      clock,
      endSessions: async () => [],
      endFlows: async () => {},
      strikeOut: async () => {},
      onEmailChange: () => {},
    }),
    root,
    newPerson,
    newOrganization,
    newMachine,
    newEmail: () => `invited-${count++}@example.org`,
    roleOf: (person: Caller, orgId: string) => findMemberRole(database.reader, person.principal.id, orgId),
  };
}

/** Reason of a refusal; the empty text where there was none. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => "",
    (error) => error.reason ?? String(error),
  );
}
