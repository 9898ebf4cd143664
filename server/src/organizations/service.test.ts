import { sql } from "kysely";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import { gif, jpeg } from "../../../test/parts/pictures.ts";
import { expectIndexesOnly } from "../../../test/parts/query-plans.ts";
import type { AuditEvent, AuditTrail } from "../audit/audit.ts";
import { Avatars } from "../avatars/avatars.ts";
import { findHash } from "../avatars/path.ts";
import { findAvatar } from "../avatars/store.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { Database, Reader, Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import type { Caller, Role } from "../principals/principal.ts";
import { UserService } from "../users/service.ts";
import { insertUser } from "../users/store.ts";
import { createAccess } from "./access.ts";
import { MemberService, type MemberServiceOptions } from "./member-service.ts";
import { findForemostOrganizations, findHeldOrganization, findMemberRole } from "./member-store.ts";
import { createFindVisibleProject, ProjectService } from "./project-service.ts";
import { isProjectMember } from "./project-store.ts";
import { OrganizationService, type OrganizationServiceOptions } from "./service.ts";
import { findOrganization, findOrganizations, insertOrganizationIfAbsent } from "./store.ts";

const clock = { now: () => new Date() };
const request = { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} };
const page = { size: 50, token: "" };
const avatars = new Avatars({ clock, publicUrl: "https://id.example.com" });

function machine(orgId: string, role: Role, superuser = false, id = newId(clock.now())): Caller {
  const principal = {
    type: "serviceuser",
    id,
    orgId,
    role,
    superuser,
    credentialId: "c",
    authVia: "client_credentials",
    credentialKind: "client_secret",
  } as const;
  return { principal, request };
}

function person(id: string, emailProven = true) {
  const principal = {
    type: "user",
    id,
    email: `${id}@example.org`,
    emailProven,
    sessionId: "s",
    superuser: false,
    authVia: "session",
    credentialKind: "session",
  } as const;
  return { principal, request };
}

describeDatabases("organizations, members, projects and users", (under) => {
  let database: Database;
  let organizations: OrganizationService;
  let members: MemberService;
  let organizationParts: OrganizationServiceOptions;
  let memberParts: MemberServiceOptions;
  let projects: ProjectService;
  let users: UserService;
  let findVisibleProject: ReturnType<typeof createFindVisibleProject>;
  let events: AuditEvent[];
  let changes: Change[];
  const root = machine("none", "owner", true);

  beforeAll(() => {
    database = under.database;
    const feed = new ChangeFeed({ database: under.database, clock, log: silentLog });
    feed.subscribe({ onChange: (change) => changes.push(change), onReset: () => {} });
    const audit: AuditTrail = {
      record: async (_tx, _caller, event) => void events.push(event),
      recordOwn: async () => {},
      note: () => {},
      refuse: () => {},
    };
    const endSessions = async (_tx: Tx, userId: string) => [
      { topic: "session", subject: `a session of ${userId}` } as const,
    ];
    const access = createAccess({
      findOrganization: (org) => findOrganization(database.reader, org),
      findMemberRole: (userId, orgId) => findMemberRole(database.reader, userId, orgId),
    });
    const limits = { organizationsPerPerson: 3 };
    organizationParts = { database, feed, access, audit, avatars, clock, limits, creation: "everybody" };
    organizations = new OrganizationService(organizationParts);
    memberParts = { database, feed, access, audit, clock, limits };
    members = new MemberService(memberParts);
    projects = new ProjectService({ database, access, audit, clock });
    users = new UserService({
      database,
      feed,
      audit,
      avatars,
      clock,
      endSessions,
      endFlows: async () => {},
      strikeOut: async () => {},
      onEmailChange: () => {},
    });
    findVisibleProject = createFindVisibleProject(database.reader);
  });

  beforeEach(() => {
    events = [];
    changes = [];
  });

  /** Ids of one instant are in no order. */
  async function nextInstant(): Promise<void> {
    const before = Date.now();
    await eventually(() => expect(Date.now()).toBeGreaterThan(before));
  }

  let count = 0;
  const newName = () => `org-${count++}`;
  const draft = (name = newName()) => ({ name, title: "T", metadata: {}, avatar: "" });

  async function insertDefault(): Promise<void> {
    const now = clock.now();
    const made = { ...draft("default"), id: newId(now), createdAt: now, updatedAt: now };
    await database.transaction((tx) => insertOrganizationIfAbsent(tx, { ...made, state: "enabled" }));
  }

  async function newMachine(orgId: string, role: Role): Promise<string> {
    const id = newId(clock.now());
    const base = { title: "", metadata: "{}", state: "enabled", superuser: 0, last_used_at: null } as const;
    await database.transaction((tx) =>
      tx
        .insertInto("service_users")
        .values({ ...base, id, org_id: orgId, role, created_at: 1, updated_at: 1 })
        .execute(),
    );
    return id;
  }

  async function newUser(): Promise<string> {
    const now = clock.now();
    const id = newId(now);
    const user = {
      id,
      name: id,
      title: "",
      email: `${id}@example.org`,
      emailProven: true,
      metadata: {},
      avatar: "",
    };
    await database.transaction((tx) =>
      insertUser(tx, { ...user, state: "enabled", createdAt: now, updatedAt: now }),
    );
    return id;
  }

  describe("organizations", () => {
    const search = async (caller: Caller, query: string, more: object = {}) =>
      (await organizations.list(caller, page, { query, ...more })).items.map(({ name }) => name);

    it("are found by superusers among all, newest first, and by others among their own", async () => {
      const owner = person(await newUser());
      const at = (name: string, title: string) => ({ ...draft(name), title });
      const own = await organizations.create(owner, at("search-b", "Zoë's Bakery"));
      await nextInstant();
      const foreign = await organizations.create(root, at("search-a", "ZOË's Bakery and Coffee"));
      expect(await search(root, "search")).toEqual(["search-a", "search-b"]);
      expect(await search(root, "zoë's bakery ")).toEqual(["search-a", "search-b"]);
      expect(await search(root, "zoë's bakery and")).toEqual(["search-a"]);
      expect(await search(root, "earch")).toEqual([]);
      expect(await search(owner, "search")).toEqual(["search-b"]);
      expect(await search(owner, "zoë's bakery and")).toEqual([]);
      expect(await search(machine(own.id, "viewer"), "zoë")).toEqual(["search-b"]);
      expect(await search(machine(own.id, "viewer"), "search-a")).toEqual([]);
      await organizations.setState(root, foreign.id, "disabled");
      const states = async () => [
        await search(root, "search", { state: "enabled" }),
        await search(root, "search", { state: "disabled" }),
      ];
      expect(await states()).toEqual([["search-b"], ["search-a"]]);
      const { nextPageToken } = await organizations.list(root, { size: 1, token: "" }, { query: "search" });
      const next = { size: 1, token: nextPageToken };
      expect((await organizations.list(root, next, { query: "search" })).items).toMatchObject([
        { id: own.id },
      ]);
      await organizations.delete(root, foreign.id);
      expect([await search(root, "search"), await states()]).toEqual([["search-b"], [["search-b"], []]]);
    });

    it("are found by indexes alone, without a sort, however many there are", async () => {
      const other = await under.openAnother();
      const seed = (index: number) => `01900000-0000-7000-8000-${String(index).padStart(12, "0")}`;
      await other.transaction(async (tx) => {
        for (let first = 0; first < 20_000; first += 1000) {
          const numbers = Array.from({ length: 1000 }, (_, index) => first + index);
          await tx
            .insertInto("organizations")
            .values(
              numbers.map((index) => ({
                // As wide as they come, so that Postgres never finds reading all of them cheaper.
                ...{
                  id: seed(index),
                  name: `many-${index}`,
                  title: "x".repeat(200),
                  metadata: "{}",
                  avatar: "",
                },
                ...{ state: "enabled" as const, created_at: 0, updated_at: 0 },
              })),
            )
            .execute();
          const kind = "organization";
          await tx
            .insertInto("search_prefixes")
            .values(numbers.map((index) => ({ kind, prefix: "m", id: seed(index) })))
            .execute();
        }
      });
      await sql`analyze`.execute(other.reader);
      for (const afterId of ["", seed(10_000)]) {
        for (const filter of [
          { query: "" },
          { query: "", state: "disabled" },
          { query: "m" },
          { query: "m", state: "disabled" },
          { query: "m", state: "enabled" },
        ] as const) {
          const isWhole = afterId === "" && !("state" in filter) && filter.query === "";
          const range = { afterId, limit: 51 };
          const find = (reader: Reader) => findOrganizations(reader, { ...filter, ...range });
          await expectIndexesOnly(other.reader, find, isWhole);
        }
      }
    });

    describe("are changed by their owners", () => {
      it("in what is said, and what has not changed is no change", async () => {
        const owner = person(await newUser());
        const made = await organizations.create(owner, draft());
        [events, changes] = [[], []];
        const patch = {
          title: "Łąć 王 & Söhne",
          metadata: { plan: ["a"] },
          avatar: "https://example.org/a.png",
        };
        const changed = await organizations.update(owner, made.name, patch);
        expect(changed).toEqual({ ...made, ...patch, updatedAt: expect.any(Date) });
        expect(await organizations.get(owner, made.id)).toEqual(changed);
        const about = { action: "organization.update", target: made.id, orgId: made.id };
        expect(events).toEqual([{ ...about, details: { changed: "avatar,metadata,title" } }]);
        await eventually(() => expect(changes).toEqual([{ topic: "organization", subject: made.id }]));
        expect(await organizations.update(owner, made.id, patch)).toEqual(changed);
        expect(await organizations.update(owner, made.id, {})).toEqual(changed);
        expect([events.length, changes.length]).toEqual([1, 1]);
      });

      it("in their picture, which goes with them", async () => {
        const made = await organizations.create(root, { ...draft(), avatar: gif });
        const hash = findHash(made.avatar) ?? "";
        expect(await findAvatar(database.reader, hash)).toMatchObject({ type: "image/gif" });
        const { avatar } = await organizations.update(root, made.id, { avatar: jpeg });
        expect(await findAvatar(database.reader, hash)).toBeUndefined();
        await organizations.delete(root, made.id);
        expect(await findAvatar(database.reader, findHash(avatar) ?? "")).toBeUndefined();
        const wrong = organizations.create(root, { ...draft(), avatar: "http://x" });
        await expect(wrong).rejects.toMatchObject({ violations: [{ field: "body.avatar" }] });
      });

      it("in their name, by which they are found from then on, and by their id as before", async () => {
        const owner = person(await newUser());
        const made = await organizations.create(owner, draft());
        const name = newName();
        events = [];
        const renamed = await organizations.update(owner, made.name, { name });
        expect(renamed).toMatchObject({ id: made.id, name });
        const details = { changed: "name", name, previous_name: made.name };
        expect(events).toMatchObject([{ action: "organization.update", details }]);
        expect(await organizations.get(owner, name)).toEqual(renamed);
        expect(await organizations.get(owner, made.id)).toEqual(renamed);
        await expect(organizations.get(owner, made.name)).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
        const { items } = await organizations.list(root, page, { query: name });
        expect(items).toEqual([renamed]);
        expect((await organizations.list(root, page, { query: `${made.name} ` })).items).toEqual([]);
      });

      it("never into what another is or was called; their own names they may have back", async () => {
        const taken = { reason: "NAME_TAKEN" };
        const [one, two] = [
          await organizations.create(root, draft()),
          await organizations.create(root, draft()),
        ];
        const name = newName();
        await organizations.update(root, one.id, { name });
        for (const each of [one.name, name]) {
          await expect(organizations.update(root, two.id, { name: each })).rejects.toMatchObject(taken);
          await expect(organizations.create(root, draft(each))).rejects.toMatchObject(taken);
        }
        expect(await organizations.update(root, one.id, { name: one.name })).toMatchObject({
          name: one.name,
        });
        await organizations.delete(root, one.id);
        for (const each of [one.name, name]) {
          await expect(organizations.update(root, two.id, { name: each })).rejects.toMatchObject(taken);
          await expect(organizations.create(root, draft(each))).rejects.toMatchObject(taken);
        }
        expect(await organizations.get(root, two.id)).toEqual(two);
      });

      it("of whom one gets the name that several want, at whichever processes they ask", async () => {
        const another = await under.openAnother();
        const feed = new ChangeFeed({ database: another, clock, log: silentLog });
        const elsewhere = new OrganizationService({ ...organizationParts, database: another, feed });
        for (let round = 0; round < 5; round++) {
          const [one, two] = [
            await organizations.create(root, draft()),
            await organizations.create(root, draft()),
          ];
          const name = newName();
          const results = await Promise.allSettled([
            organizations.update(root, one.id, { name }),
            elsewhere.update(root, two.id, { name }),
            elsewhere.create(root, draft(name)),
          ]);
          const lost = results.filter((result) => result.status === "rejected");
          expect(lost.map(({ reason }) => reason.reason)).toEqual(["NAME_TAKEN", "NAME_TAKEN"]);
          expect(await findOrganization(database.reader, name)).toBeDefined();
        }
      });

      it("not by others, not while they are disabled, and the default one keeps its name", async () => {
        const owner = person(await newUser());
        const { id } = await organizations.create(owner, draft());
        const refusals: [Caller, object][] = [
          [machine(id, "viewer"), { reason: "NOT_AUTHORIZED" }],
          [person(await newUser()), { reason: "NOT_AUTHORIZED" }],
        ];
        const manager = machine(id, "manager", false, await newMachine(id, "manager"));
        expect(await organizations.update(manager, id, { title: "M" })).toMatchObject({ title: "M" });
        const renamed = organizations.update(manager, id, { title: "X", name: newName() });
        await expect(renamed).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
        expect(await organizations.get(owner, id)).toMatchObject({ title: "M" });
        for (const [caller, refused] of refusals) {
          await expect(organizations.update(caller, id, { title: "X" })).rejects.toMatchObject(refused);
          await expect(organizations.checkDelete(caller, id)).rejects.toMatchObject(refused);
        }
        const large = organizations.update(owner, id, { metadata: { text: "x".repeat(16_384) } });
        await expect(large).rejects.toMatchObject({ violations: [{ field: "body.metadata" }] });
        await organizations.setState(root, id, "disabled");
        const disabled = { reason: "ORGANIZATION_DISABLED" };
        for (const caller of [owner, root]) {
          await expect(organizations.update(caller, id, { title: "X" })).rejects.toMatchObject(disabled);
        }
        await insertDefault();
        const renaming = organizations.update(root, "default", { name: newName(), title: "X" });
        await expect(renaming).rejects.toMatchObject({ reason: "DEFAULT_ORGANIZATION" });
        expect(await organizations.update(root, "default", { title: "Ours" })).toMatchObject({
          title: "Ours",
        });
      });
    });

    it("tell what would go with them, and that the default one never goes", async () => {
      const owner = person(await newUser());
      const { id } = await organizations.create(owner, draft());
      await newMachine(id, "viewer");
      await projects.create(owner, id, { name: "one", title: "", metadata: {} });
      const contents = { serviceUsers: 1, frontdoors: 0, projects: 1, members: 1 };
      expect(await organizations.checkDelete(owner, id)).toMatchObject({ contents, isDefault: false });
      await insertDefault();
      expect(await organizations.checkDelete(root, "default")).toMatchObject({ isDefault: true });
    });

    it("are found by id and by name, and listed to those with a role", async () => {
      const owner = person(await newUser());
      const made = await organizations.create(owner, draft());
      expect((await organizations.get(owner, made.name)).id).toBe(made.id);
      expect((await organizations.get(owner, made.id.toUpperCase())).id).toBe(made.id);
      expect((await organizations.list(owner, page)).items.map((one) => one.id)).toEqual([made.id]);
      expect((await organizations.list(machine(made.id, "viewer"), page)).items).toHaveLength(1);
      expect(events.map((event) => event.action)).toEqual(["organization.create"]);
    });

    it("cannot be created by a machine, save a superuser's", async () => {
      const made = await organizations.create(root, draft());
      await expect(organizations.create(machine(made.id, "owner"), draft())).rejects.toMatchObject({
        reason: "NOT_AUTHORIZED",
      });
    });

    it("are made by superusers alone, where that is the setting", async () => {
      const strict = new OrganizationService({ ...organizationParts, creation: "superusers" });
      const refused = draft();
      await expect(strict.create(person(await newUser()), refused)).rejects.toMatchObject({
        reason: "NOT_AUTHORIZED",
      });
      expect(await findOrganization(database.reader, refused.name)).toBeUndefined();
      expect((await strict.create(root, refused)).name).toBe(refused.name);
    });

    it("have a name of their own, also when two race for it", async () => {
      const name = newName();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 5 }, () => organizations.create(root, draft(name))),
      );
      expect(outcomes.filter((one) => one.status === "fulfilled")).toHaveLength(1);
      for (const one of outcomes) {
        if (one.status === "rejected") expect(one.reason).toMatchObject({ reason: "NAME_TAKEN" });
      }
    });

    it("are disabled by a superuser alone, with a change for the caches", async () => {
      const made = await organizations.create(root, draft());
      const owner = machine(made.id, "owner");
      await expect(organizations.setState(owner, made.id, "disabled")).rejects.toMatchObject({
        reason: "NOT_AUTHORIZED",
      });
      expect(changes).toEqual([]);
      expect((await organizations.setState(root, made.id, "disabled")).state).toBe("disabled");
      expect(changes).toEqual([{ topic: "organization", subject: made.id }]);
      await expect(organizations.get(owner, made.id)).rejects.toMatchObject({
        reason: "ORGANIZATION_DISABLED",
      });
      await expect(projects.create(root, made.id, draft())).rejects.toMatchObject({
        reason: "ORGANIZATION_DISABLED",
      });
      await organizations.setState(root, made.id, "enabled");
      expect((await organizations.get(owner, made.id)).state).toBe("enabled");
    });

    it("are neither made nor given roles in by somebody whose address nobody has proven", async () => {
      const id = await newUser();
      const unproven = person(id, false);
      const refusal = { reason: "ADDRESS_UNPROVEN", kind: "failed_precondition" };
      const refused = draft();
      await expect(organizations.create(unproven, refused)).rejects.toMatchObject(refusal);
      expect(await findOrganization(database.reader, refused.name)).toBeUndefined();
      // What they are in by a superuser's deed they may read and leave, but not hand on.
      const made = await organizations.create(root, draft());
      const friend = await newUser();
      await members.add(root, { org: made.id, userId: id }, "owner");
      await members.add(root, { org: made.id, userId: friend }, "viewer");
      const ref = { org: made.id, userId: friend };
      await expect(members.setRole(unproven, ref, "owner")).rejects.toMatchObject(refusal);
      expect((await members.list(unproven, made.id, page)).items).toHaveLength(2);
      await members.remove(unproven, ref);
      await expect(members.setRole(unproven, { ...ref, org: newName() }, "owner")).rejects.toMatchObject({
        reason: "NOT_AUTHORIZED",
      });
    });

    it("that a person owns are bounded, disabled ones too, but for superusers", async () => {
      const owner = person(await newUser());
      const made = [];
      for (let i = 0; i < 3; i++) made.push(await organizations.create(owner, draft()));
      await organizations.setState(root, made[0]?.id ?? "", "disabled");
      const full = {
        reason: "TOO_MANY_ORGANIZATIONS",
        kind: "resource_exhausted",
        message: expect.stringContaining("more than 3 organizations: delete one"),
      };
      const refused = draft();
      await expect(organizations.create(owner, refused)).rejects.toMatchObject(full);
      expect(await findOrganization(database.reader, refused.name)).toBeUndefined();

      // Nor is more given to them, save by a superuser; what they own already, they do not own twice.
      const friend = person(await newUser());
      const another = await organizations.create(friend, draft());
      const ref = { org: another.id, userId: owner.principal.id };
      await members.add(root, ref, "viewer");
      await expect(members.setRole(friend, ref, "owner")).rejects.toMatchObject(full);
      expect((await members.setRole(friend, ref, "manager")).role).toBe("manager");
      expect((await members.setRole(root, ref, "owner")).role).toBe("owner");
      expect((await members.setRole(friend, ref, "owner")).role).toBe("owner");
      await expect(organizations.create(owner, draft())).rejects.toMatchObject(full);

      for (const { id } of made.slice(1)) await organizations.delete(owner, id);
      await organizations.create(owner, draft());
      const superuser = { ...owner, principal: { ...owner.principal, superuser: true } };
      await organizations.create(superuser, draft());
    });

    it("that a person owns are bounded, whichever processes make or give them at once", async () => {
      const other = await under.openAnother();
      const parts = { database: other, feed: new ChangeFeed({ database: other, clock, log: silentLog }) };
      const elsewhere = new OrganizationService({ ...organizationParts, ...parts });
      const givesElsewhere = new MemberService({ ...memberParts, ...parts });
      for (let round = 0; round < 5; round++) {
        const owner = person(await newUser());
        const friend = person(await newUser());
        const given = await Promise.all([1, 2, 3].map(() => organizations.create(friend, draft())));
        const refs = given.map(({ id }) => ({ org: id, userId: owner.principal.id }));
        for (const ref of refs) await members.add(root, ref, "viewer");
        const outcomes = await Promise.allSettled([
          ...[1, 2, 3].map(() => organizations.create(owner, draft())),
          ...[1, 2, 3].map(() => elsewhere.create(owner, draft())),
          ...refs.map((ref, index) => (index % 2 ? givesElsewhere : members).setRole(friend, ref, "owner")),
        ]);
        expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
        for (const one of outcomes) {
          if (one.status === "rejected")
            expect(one.reason).toMatchObject({ reason: "TOO_MANY_ORGANIZATIONS" });
        }
      }
    });

    it("that a person left to machines go on counting, until another person owns them", async () => {
      const founder = person(await newUser());
      const leave = async (another?: string) => {
        const { id } = await organizations.create(founder, draft());
        await newMachine(id, "owner");
        if (another !== undefined) await members.add(root, { org: id, userId: another }, "owner");
        await members.remove(founder, { org: id, userId: founder.principal.id });
        return id;
      };
      const [first] = [await leave(), await leave(), await leave()];
      const full = { reason: "TOO_MANY_ORGANIZATIONS" };
      await expect(organizations.create(founder, draft())).rejects.toMatchObject(full);
      await members.add(root, { org: first, userId: await newUser() }, "owner");
      await leave(await newUser());
      await organizations.create(founder, draft());
      await expect(organizations.create(founder, draft())).rejects.toMatchObject(full);
    });

    it("come first where they are owned, then by the age of the membership, disabled ones not at all", async () => {
      const user = person(await newUser());
      const join = async (role: Role) => {
        const { id } = await organizations.create(root, draft());
        await members.add(root, { org: id, userId: user.principal.id }, role);
        // A membership's age counts, not its organization's.
        await database.transaction((tx) =>
          tx
            .updateTable("memberships")
            .set({ created_at: 1000 - count })
            .where("org_id", "=", id)
            .execute(),
        );
        return id;
      };
      const [late, early] = [await join("viewer"), await join("manager")];
      const [lateOwned, earlyOwned, shut] = [await join("owner"), await join("owner"), await join("owner")];
      await organizations.setState(root, shut, "disabled");
      const foremost = async (limit: number) =>
        (await findForemostOrganizations(database.reader, user.principal.id, limit)).map(({ id }) => id);
      expect(await foremost(100)).toEqual([earlyOwned, lateOwned, early, late, shut]);
      expect(await foremost(3)).toEqual([earlyOwned, lateOwned, early]);
      const held = (org: string) => findHeldOrganization(database.reader, user.principal.id, org);
      const named = { id: early, name: expect.any(String), role: "manager" };
      expect(await held(early.toUpperCase())).toEqual(named);
      expect(await held((await held(early))?.name ?? "")).toEqual(named);
      expect(await held(shut)).toBeUndefined();
      expect(await held("default")).toBeUndefined();
    });

    it("that already are in the state stay untouched, also when two calls race", async () => {
      const made = await organizations.create(root, draft());
      events.length = 0;
      expect(await organizations.setState(root, made.id, "enabled")).toEqual(made);
      const disable = () => organizations.setState(root, made.name, "disabled");
      const [one, other] = await Promise.all([disable(), disable()]);
      expect(one).toEqual(other);
      expect(events.map(({ action }) => action)).toEqual(["organization.disable"]);
      expect(changes).toEqual([{ topic: "organization", subject: made.id }]);
    });

    it("go with everything in them; default stays", async () => {
      const owner = person(await newUser());
      const made = await organizations.create(owner, draft());
      await projects.create(owner, made.id, draft());
      await organizations.delete(owner, made.id);
      await expect(organizations.get(root, made.id)).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
      expect((await organizations.list(owner, page)).items).toEqual([]);
      await insertDefault();
      await expect(organizations.delete(root, "default")).rejects.toMatchObject({
        reason: "DEFAULT_ORGANIZATION",
      });
      await expect(organizations.setState(root, "default", "disabled")).rejects.toMatchObject({
        reason: "DEFAULT_ORGANIZATION",
      });
    });

    it("are listed in pages, each once", async () => {
      const owner = person(await newUser());
      const made: string[] = [];
      for (let i = 0; i < 5; i++) {
        made.push((await organizations.create(root, draft())).id);
        await members.add(root, { org: made[i] ?? "", userId: owner.principal.id }, "owner");
      }
      const seen: string[] = [];
      let token = "";
      do {
        const { items, nextPageToken } = await organizations.list(owner, { size: 2, token });
        seen.push(...items.map((one) => one.id));
        token = nextPageToken;
      } while (token !== "");
      expect(seen.toSorted()).toEqual(made.toSorted());
    });
  });

  describe("members", () => {
    it("see what they are a member of, page by page, disabled organizations too, and nobody else's", async () => {
      const [ada, bob] = [person(await newUser()), person(await newUser())];
      const made = await Promise.all([1, 2, 3].map(() => organizations.create(ada, draft())));
      const ids = made.map(({ id }) => id).toSorted();
      await members.add(root, { org: ids[1] ?? "", userId: bob.principal.id }, "viewer");
      await organizations.setState(root, ids[1] ?? "", "disabled");
      const first = await members.listOwn(ada, { size: 2, token: "" });
      const last = await members.listOwn(ada, { size: 2, token: first.nextPageToken });
      expect(
        [...first.items, ...last.items].map(({ organization, role }) => [
          organization.id,
          organization.state,
          role,
        ]),
      ).toEqual(ids.map((id, at) => [id, at === 1 ? "disabled" : "enabled", "owner"]));
      expect(last.nextPageToken).toBe("");
      expect(await members.listOwn(bob, page)).toMatchObject({
        items: [{ organization: { id: ids[1] }, role: "viewer" }],
      });
      await expect(members.listOwn(bob, { size: 2, token: first.nextPageToken })).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
      });
    });

    it("are told what they are; strangers nothing, and superusers act as owners without being members", async () => {
      const [ada, bob] = [person(await newUser()), person(await newUser())];
      const { id, name } = await organizations.create(ada, draft());
      expect(await members.getStanding(ada, name)).toMatchObject({
        organization: { id },
        role: "owner",
        member: { userId: ada.principal.id, role: "owner" },
      });
      await expect(members.getStanding(bob, id)).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
      const admin = { ...bob, principal: { ...bob.principal, superuser: true } };
      expect(await members.getStanding(admin, id)).toMatchObject({ role: "owner", member: undefined });
    });

    it("are added once, by superusers: an owner is told that consent is needed, whoever is named", async () => {
      const made = await organizations.create(root, draft());
      const userId = await newUser();
      const ref = { org: made.id, userId };
      for (const role of ["viewer", "manager"] as const) {
        await expect(members.add(machine(made.id, role), ref, "viewer")).rejects.toMatchObject({
          reason: "NOT_AUTHORIZED",
        });
      }
      const owner = machine(made.id, "owner", false, await newMachine(made.id, "owner"));
      const founder = person(await newUser());
      await members.add(root, { org: made.id, userId: founder.principal.id }, "owner");
      const refusals = [];
      for (const caller of [owner, founder]) {
        for (const named of [userId, newId(clock.now()), founder.principal.id]) {
          const refused = members.add(caller, { ...ref, userId: named }, "viewer");
          refusals.push(await refused.catch(({ reason, message }) => `${reason}: ${message}`));
        }
      }
      expect(new Set(refusals).size).toBe(1);
      expect(refusals[0]).toMatch(/^CONSENT_NEEDED: .*invite them instead$/);
      await expect(members.add(founder, { ...ref, org: newName() }, "viewer")).rejects.toMatchObject({
        reason: "NOT_AUTHORIZED",
      });
      await members.remove(root, { org: made.id, userId: founder.principal.id });
      expect(await members.add(root, ref, "manager")).toMatchObject({ userId, role: "manager" });
      await expect(members.add(root, ref, "viewer")).rejects.toMatchObject({ reason: "ALREADY_MEMBER" });
      await expect(members.add(root, { ...ref, userId: newId(clock.now()) }, "viewer")).rejects.toMatchObject(
        {
          reason: "USER_NOT_FOUND",
        },
      );
      expect((await members.list(machine(made.id, "viewer"), made.id, page)).items).toMatchObject([
        { userId, role: "manager" },
      ]);
    });

    it("leave, but the last owner stays", async () => {
      const first = person(await newUser());
      const second = person(await newUser());
      const made = await organizations.create(first, draft());
      const refOf = (caller: Caller) => ({ org: made.id, userId: caller.principal.id });
      await members.add(root, refOf(second), "viewer");
      await expect(members.remove(second, refOf(first))).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
      await expect(members.remove(first, refOf(first))).rejects.toMatchObject({ reason: "LAST_OWNER" });
      await expect(members.setRole(first, refOf(first), "viewer")).rejects.toMatchObject({
        reason: "LAST_OWNER",
      });
      await expect(users.delete(root, first.principal.id)).rejects.toMatchObject({ reason: "LAST_OWNER" });
      await members.remove(second, refOf(second));
      await expect(members.remove(first, refOf(second))).rejects.toMatchObject({
        reason: "MEMBER_NOT_FOUND",
      });
      expect((await members.list(first, made.id, page)).items).toMatchObject([{ role: "owner" }]);
    });

    it("get another role, once, and the audit says which they had", async () => {
      const owner = person(await newUser());
      const other = await newUser();
      const made = await organizations.create(owner, draft());
      await members.add(root, { org: made.id, userId: other }, "viewer");
      events.length = 0;
      const set = () => members.setRole(owner, { org: made.name, userId: other.toUpperCase() }, "manager");
      const [one, again] = await Promise.all([set(), set()]);
      expect(one).toMatchObject({ userId: other, role: "manager", email: `${other}@example.org` });
      expect(again).toEqual(one);
      expect(events.map(({ action, details }) => [action, details])).toEqual([
        ["member.set_role", { role: "manager", previous_role: "viewer" }],
      ]);
    });

    describe("see and change projects", () => {
      async function openProject() {
        const owner = person(await newUser());
        const { id: orgId } = await organizations.create(owner, draft());
        const project = await projects.create(owner, orgId, { name: "shop", title: "T", metadata: {} });
        const [viewer, outsider] = [person(await newUser()), person(await newUser())];
        for (const each of [viewer, outsider]) {
          await members.add(root, { org: orgId, userId: each.principal.id }, "viewer");
        }
        await projects.addMember(
          owner,
          { org: orgId, project: "shop" },
          { type: "user", id: viewer.principal.id },
        );
        events = [];
        return { owner, orgId, project, viewer, outsider };
      }

      it("that they are in, by id alone, or by name in the organization; others are not there", async () => {
        const { owner, orgId, project, viewer, outsider } = await openProject();
        const counted = { ...project, membersCount: 1 };
        for (const caller of [owner, viewer, root]) {
          for (const ref of [
            { project: project.id.toUpperCase() },
            { org: orgId, project: "shop" },
            { org: orgId, project: project.id },
          ]) {
            expect(await projects.get(caller, ref)).toEqual(counted);
          }
        }
        expect((await projects.list(owner, orgId, page)).items).toEqual([counted]);
        const [hidden, missing] = [{ reason: "NOT_AUTHORIZED" }, { reason: "PROJECT_NOT_FOUND" }];
        const stranger = person(await newUser());
        for (const caller of [outsider, stranger, machine(newId(clock.now()), "owner")]) {
          for (const id of [project.id, newId(clock.now()), "shop"]) {
            await expect(projects.get(caller, { project: id })).rejects.toMatchObject(hidden);
            await expect(projects.update(caller, { project: id }, {})).rejects.toMatchObject(hidden);
          }
        }
        await expect(projects.get(outsider, { org: orgId, project: "shop" })).rejects.toMatchObject(missing);
        await expect(projects.get(owner, { org: orgId, project: "none" })).rejects.toMatchObject(missing);
        await expect(projects.get(owner, { project: newId(clock.now()) })).rejects.toMatchObject(hidden);
        await expect(projects.update(viewer, { project: project.id }, {})).rejects.toMatchObject(hidden);
      });

      it("in what is said, and what has not changed is no change", async () => {
        const { owner, orgId, project } = await openProject();
        const patch = { title: "Łąć 王", metadata: { a: 1 } };
        const changed = await projects.update(owner, { project: project.id }, patch);
        expect(changed).toEqual({ ...project, ...patch, membersCount: 1, updatedAt: expect.any(Date) });
        expect(await projects.get(owner, { project: project.id })).toEqual(changed);
        const details = { changed: "metadata,title" };
        expect(events).toEqual([{ action: "project.update", target: project.id, orgId, details }]);
        expect(await projects.update(owner, { org: orgId, project: "shop" }, patch)).toEqual(changed);
        expect(events).toHaveLength(1);
        const large = projects.update(
          owner,
          { project: project.id },
          { metadata: { a: "x".repeat(16_384) } },
        );
        await expect(large).rejects.toMatchObject({ violations: [{ field: "body.metadata" }] });
      });

      it("into other names, which are never another's again in the organization", async () => {
        const { owner, orgId, project } = await openProject();
        const other = await projects.create(owner, orgId, { name: "other", title: "", metadata: {} });
        const renamed = await projects.update(owner, { project: project.id }, { name: "store" });
        expect(renamed).toMatchObject({ id: project.id, name: "store" });
        const names = { name: "store", previous_name: "shop" };
        expect(events.at(-1)).toMatchObject({
          action: "project.update",
          details: { changed: "name", ...names },
        });
        expect(await projects.get(owner, { org: orgId, project: "store" })).toEqual(renamed);
        const taken = { reason: "NAME_TAKEN" };
        const create = (name: string) => projects.create(owner, orgId, { name, title: "", metadata: {} });
        for (const name of ["shop", "store"]) {
          await expect(create(name)).rejects.toMatchObject(taken);
          await expect(projects.update(owner, { project: other.id }, { name })).rejects.toMatchObject(taken);
        }
        await projects.update(owner, { project: project.id }, { name: "shop" });
        await projects.delete(owner, { org: orgId, project: "shop" });
        for (const name of ["shop", "store"]) await expect(create(name)).rejects.toMatchObject(taken);
        // Another organization has names of its own.
        expect((await openProject()).project.name).toBe("shop");
      });

      it("of which one gets the name that several want, at whichever processes they ask", async () => {
        const { owner, orgId, project } = await openProject();
        const another = await under.openAnother();
        const { access, audit } = organizationParts;
        const elsewhere = new ProjectService({ database: another, access, audit, clock });
        for (let round = 0; round < 5; round++) {
          const wanted = { name: `wanted-${round}`, title: "", metadata: {} };
          const results = await Promise.allSettled([
            projects.update(owner, { project: project.id }, { name: wanted.name }),
            elsewhere.create(owner, orgId, wanted),
          ]);
          const lost = results.filter((result) => result.status === "rejected");
          expect(lost.map(({ reason }) => reason.reason)).toEqual(["NAME_TAKEN"]);
        }
      });

      it("with those who were let in, page by page, machines first", async () => {
        const { owner, orgId, project, viewer, outsider } = await openProject();
        const ref = { org: orgId, project: "shop" };
        const machines = [await newMachine(orgId, "viewer"), await newMachine(orgId, "viewer")].toSorted();
        for (const id of machines) await projects.addMember(owner, ref, { type: "serviceuser", id });
        const seen: string[] = [];
        let token = "";
        do {
          const found = await projects.listMembers(viewer, ref, { size: 2, token });
          seen.push(...found.items.map(({ id }) => id));
          token = found.nextPageToken;
        } while (token !== "");
        expect(seen).toEqual([...machines, viewer.principal.id]);
        const { items } = await projects.listMembers(owner, { org: orgId, project: project.id }, page);
        const { id, email } = viewer.principal;
        const about = { title: "", emailVerified: true, createdAt: expect.any(Date) };
        expect(items.at(-1)).toEqual({ type: "user", id, email, ...about });
        expect(items[0]).toMatchObject({ type: "serviceuser", email: "", emailVerified: false });
        const unseen = projects.listMembers(outsider, ref, page);
        await expect(unseen).rejects.toMatchObject({ reason: "PROJECT_NOT_FOUND" });
        expect((await projects.get(owner, ref)).membersCount).toBe(3);
      });
    });

    it("that leave while they are let into a project are in neither", async () => {
      const owner = person(await newUser());
      const made = await organizations.create(owner, draft());
      const project = await projects.create(owner, made.id, draft("shop"));
      for (let round = 0; round < 10; round++) {
        const userId = await newUser();
        await members.add(root, { org: made.id, userId }, "viewer");
        await Promise.allSettled([
          projects.addMember(owner, { org: made.id, project: "shop" }, { type: "user", id: userId }),
          members.remove(owner, { org: made.id, userId }),
        ]);
        expect(await isProjectMember(database.reader, project.id, { type: "user", id: userId })).toBe(false);
      }
    });

    it("who are removed after being let in give nobody a role, and remove nobody else", async () => {
      const [owner, other] = [person(await newUser()), person(await newUser())];
      const made = await organizations.create(owner, draft());
      const refOf = (caller: Caller) => ({ org: made.id, userId: caller.principal.id });
      const late = new MemberService({
        ...memberParts,
        access: {
          ...memberParts.access,
          require: async (...asked) => {
            const granted = await memberParts.access.require(...asked);
            await members.remove(owner, refOf(other)).catch(() => {});
            return granted;
          },
        },
      });
      const acts = [
        () => late.setRole(other, refOf(owner), "viewer"),
        () => late.remove(other, refOf(owner)),
      ];
      for (const act of acts) {
        await members.add(root, refOf(other), "owner");
        await expect(act()).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
      }
      expect((await members.list(owner, made.id, page)).items).toMatchObject([{ role: "owner" }]);
    });

    it("keep one owner when all leave at once", async () => {
      const owners = await Promise.all(Array.from({ length: 6 }, async () => person(await newUser())));
      const [first, ...others] = owners as [Caller, ...Caller[]];
      const made = await organizations.create(first, draft());
      for (const { principal } of others)
        await members.add(root, { org: made.id, userId: principal.id }, "owner");
      const outcomes = await Promise.allSettled(
        owners.map((owner) => members.remove(owner, { org: made.id, userId: owner.principal.id })),
      );
      expect(outcomes.filter((one) => one.status === "rejected")).toHaveLength(1);
      expect((await members.list(root, made.id, page)).items).toHaveLength(1);
    });
  });

  describe("projects", () => {
    it("are seen by managers, owners and those let in", async () => {
      const made = await organizations.create(root, draft());
      const manager = machine(made.id, "manager");
      const member = person(await newUser());
      await members.add(root, { org: made.id, userId: member.principal.id }, "viewer");
      const project = await projects.create(manager, made.id, draft("shop"));
      await expect(projects.create(manager, made.id, draft("shop"))).rejects.toMatchObject({
        reason: "NAME_TAKEN",
      });
      await expect(projects.create(member, made.id, draft())).rejects.toMatchObject({
        reason: "NOT_AUTHORIZED",
      });

      expect((await projects.list(manager, made.id, page)).items).toHaveLength(1);
      expect((await projects.list(member, made.id, page)).items).toHaveLength(0);
      expect(await findVisibleProject(manager.principal, "shop")).toBe(project.id);
      expect(await findVisibleProject(member.principal, project.id)).toBeUndefined();

      const ref = { org: made.id, project: "shop" };
      const principal = { type: "user", id: member.principal.id } as const;
      events.length = 0;
      await projects.addMember(manager, ref, principal);
      await projects.addMember(manager, ref, principal);
      expect(events.map(({ action }) => action)).toEqual(["project.add_member"]);
      expect((await projects.list(member, made.id, page)).items).toHaveLength(1);
      expect(await findVisibleProject(member.principal, "shop")).toBe(project.id);
      await projects.removeMember(manager, ref, principal);
      await expect(projects.removeMember(manager, ref, principal)).rejects.toMatchObject({
        reason: "MEMBER_NOT_FOUND",
      });
      expect(await findVisibleProject(member.principal, "shop")).toBeUndefined();
    });

    it("are selected by id anywhere by a superuser, by a name of theirs alone that is theirs once", async () => {
      const member = person(await newUser());
      const [here, there] = [
        await organizations.create(member, draft()),
        await organizations.create(member, draft()),
      ];
      const mine = await projects.create(member, here.id, draft("only-here"));
      for (const { id } of [here, there]) await projects.create(member, id, draft("twice"));
      expect(await findVisibleProject(member.principal, "only-here")).toBe(mine.id);
      await expect(findVisibleProject(member.principal, "twice")).rejects.toMatchObject({
        reason: "AMBIGUOUS_PROJECT",
        kind: "invalid_argument",
      });
      expect(await findVisibleProject(member.principal, "ONLY-HERE")).toBeUndefined();
      expect(await findVisibleProject(root.principal, mine.id.toUpperCase())).toBe(mine.id);
      expect(await findVisibleProject(root.principal, newId(clock.now()))).toBeUndefined();
      expect(await findVisibleProject(machine(here.id, "viewer").principal, mine.id)).toBeUndefined();
      expect(await findVisibleProject(machine(there.id, "owner").principal, mine.id)).toBeUndefined();
    });

    it("are selected as <org>/<project>, each by id or name, by whoever can see them", async () => {
      const [mine, theirs] = [
        await organizations.create(root, draft()),
        await organizations.create(root, draft()),
      ];
      const [shop, other] = [
        await projects.create(root, mine.id, draft("shop")),
        await projects.create(root, theirs.id, draft("shop")),
      ];
      const manager = person(await newUser());
      for (const { id } of [mine, theirs]) {
        await members.add(root, { org: id, userId: manager.principal.id }, "manager");
      }
      for (const org of [mine.name, mine.id, mine.id.toUpperCase()]) {
        for (const project of [shop.name, shop.id]) {
          expect(await findVisibleProject(manager.principal, `${org}/${project}`)).toBe(shop.id);
        }
      }
      expect(await findVisibleProject(manager.principal, `${theirs.name}/shop`)).toBe(other.id);
      expect(await findVisibleProject(root.principal, `${theirs.name}/shop`)).toBe(other.id);
      expect(await findVisibleProject(machine(mine.id, "manager").principal, `${mine.name}/shop`)).toBe(
        shop.id,
      );
      const blind = [
        [manager, `${mine.name}/${other.id}`],
        [manager, "/shop"],
        [manager, `${mine.name}/`],
        [manager, `${mine.name}/shop/`],
        [machine(mine.id, "viewer"), `${mine.name}/shop`],
        [machine(mine.id, "owner"), `${theirs.name}/shop`],
        [person(await newUser()), `${mine.name}/shop`],
      ] as const;
      for (const [caller, selector] of blind) {
        expect(await findVisibleProject(caller.principal, selector), selector).toBeUndefined();
      }
      // One that is disabled is none of theirs, so that the other is the only one of the name.
      await organizations.setState(root, theirs.id, "disabled");
      expect(await findVisibleProject(manager.principal, "shop")).toBe(shop.id);
      expect(await findVisibleProject(manager.principal, `${theirs.name}/shop`)).toBeUndefined();
    });

    it("of another organization are not found, and take in no strangers", async () => {
      const here = await organizations.create(root, draft());
      const there = await organizations.create(root, draft());
      const project = await projects.create(root, there.id, draft());
      const manager = machine(here.id, "manager");
      await expect(projects.delete(manager, { org: here.id, project: project.id })).rejects.toMatchObject({
        reason: "PROJECT_NOT_FOUND",
      });
      expect(await findVisibleProject(manager.principal, project.id)).toBeUndefined();
      const stranger = { type: "user", id: await newUser() } as const;
      await expect(
        projects.addMember(root, { org: there.id, project: project.id }, stranger),
      ).rejects.toMatchObject({ reason: "MEMBER_NOT_FOUND" });
      await projects.delete(root, { org: there.id, project: project.name });
      expect((await projects.list(root, there.id, page)).items).toEqual([]);
    });
  });

  describe("users", () => {
    it("are a superuser's matter alone", async () => {
      const id = await newUser();
      const calls = [
        (caller: Caller) => users.get(caller, id),
        (caller: Caller) => users.list(caller, {}, page),
        (caller: Caller) => users.setState(caller, id, "disabled"),
        (caller: Caller) => users.delete(caller, id),
      ];
      for (const call of calls) {
        await expect(call(person(id))).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
      }
    });

    it("are found, disabled, enabled and deleted", async () => {
      const id = await newUser();
      const email = `${id}@EXAMPLE.org`;
      expect((await users.list(root, { email }, page)).items.map((one) => one.id)).toEqual([id]);
      expect((await users.setState(root, id, "disabled")).state).toBe("disabled");
      expect(changes).toEqual([{ topic: "user", subject: id }]);
      expect((await users.list(root, { email, state: "enabled" }, page)).items).toEqual([]);
      expect((await users.setState(root, id.toUpperCase(), "enabled")).state).toBe("enabled");
      await users.delete(root, id);
      await expect(users.get(root, id)).rejects.toMatchObject({ reason: "USER_NOT_FOUND" });
      await expect(users.delete(root, id)).rejects.toMatchObject({ reason: "USER_NOT_FOUND" });
      await expect(users.setState(root, id, "enabled")).rejects.toMatchObject({ reason: "USER_NOT_FOUND" });
      expect(events.map((event) => event.action)).toEqual(["user.disable", "user.enable", "user.delete"]);
    });

    it("that are the last owner are disabled only where that is said, and the organizations are named", async () => {
      const [owner, other] = [person(await newUser()), person(await newUser())];
      const named = [
        await organizations.create(owner, draft("zebra")),
        await organizations.create(owner, draft("acme")),
      ];
      const shared = await organizations.create(owner, draft());
      await members.add(root, { org: shared.id, userId: other.principal.id }, "owner");
      const kept = await organizations.create(other, draft());
      await members.add(root, { org: kept.id, userId: owner.principal.id }, "viewer");
      [events.length, changes.length] = [0, 0];
      const disable = (allowsOwnerless = false) =>
        users.setState(root, owner.principal.id, "disabled", { allowsOwnerless });
      const refusals: [() => Promise<unknown>, RegExp][] = [
        [() => disable(), /make another one first or set allow_ownerless: acme, zebra$/],
        [() => users.delete(root, owner.principal.id), /make another one first: acme, zebra$/],
      ];
      for (const [call, text] of refusals) {
        const error = await call().catch((refusal: unknown) => refusal);
        expect(error).toMatchObject({ reason: "LAST_OWNER", kind: "failed_precondition" });
        if (!(error instanceof DomainError)) throw new Error("it was not refused");
        expect(error.message).toMatch(text);
        expect(error.metadata.org_ids?.split(",").toSorted()).toEqual(named.map(({ id }) => id).toSorted());
      }
      expect((await users.get(root, owner.principal.id)).state).toBe("enabled");
      expect([events, changes]).toEqual([[], []]);

      expect((await disable(true)).state).toBe("disabled");
      expect(events).toMatchObject([
        { action: "user.disable", details: { ownerless_org_ids: expect.stringContaining(",") } },
      ]);
      // Who is disabled owns nothing: of the shared organization the other is the last owner now.
      const last = { reason: "LAST_OWNER", metadata: { org_ids: expect.stringContaining(shared.id) } };
      await expect(users.setState(root, other.principal.id, "disabled")).rejects.toMatchObject(last);
      const leaving = { org: shared.id, userId: other.principal.id };
      await expect(members.remove(other, leaving)).rejects.toMatchObject(last);
      await users.setState(root, owner.principal.id, "enabled");
      await members.remove(other, leaving);
    });

    it("that own an organization together are not both disabled, at whichever processes that is asked", async () => {
      const another = await under.openAnother();
      const elsewhere = new UserService({
        database: another,
        feed: new ChangeFeed({ database: another, clock, log: silentLog }),
        audit: organizationParts.audit,
        avatars,
        clock,
        endSessions: async () => [],
        endFlows: async () => {},
        strikeOut: async () => {},
        onEmailChange: () => {},
      });
      for (let round = 0; round < 5; round++) {
        const [one, two] = [person(await newUser()), person(await newUser())];
        const made = await organizations.create(one, draft());
        await members.add(root, { org: made.id, userId: two.principal.id }, "owner");
        const outcomes = await Promise.allSettled([
          users.setState(root, one.principal.id, "disabled"),
          elsewhere.setState(root, two.principal.id, "disabled"),
        ]);
        expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
        const [refused] = outcomes.filter((outcome) => outcome.status === "rejected");
        expect(refused?.reason).toMatchObject({ reason: "LAST_OWNER" });
      }
    });

    it("that go while they found an organization leave none without its owner", async () => {
      for (let round = 0; round < 10; round++) {
        const owner = person(await newUser());
        const name = `raced-${owner.principal.id}`;
        const results = await Promise.allSettled([
          organizations.create(owner, draft(name)),
          users.delete(root, owner.principal.id),
        ]);
        const [created, deleted] = results.map(({ status }) => status === "fulfilled");
        expect(created).not.toBe(deleted);
      }
    });

    it("that already are in the state stay untouched, and their sessions end when they are let in again", async () => {
      const id = await newUser();
      const before = await users.get(root, id);
      expect(await users.setState(root, id, "enabled")).toEqual(before);
      expect([events, changes]).toEqual([[], []]);
      const set = (state: "enabled" | "disabled") => users.setState(root, id, state);
      await Promise.all([set("disabled"), set("disabled")]);
      expect(changes).toEqual([{ topic: "user", subject: id }]);
      changes.length = 0;
      await Promise.all([set("enabled"), set("enabled")]);
      expect(changes).toEqual([
        { topic: "user", subject: id },
        { topic: "session", subject: `a session of ${id}` },
      ]);
      expect(events.map(({ action }) => action)).toEqual(["user.disable", "user.enable"]);
    });
  });
});
