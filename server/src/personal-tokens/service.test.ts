import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { raceForUser } from "../../../test/parts/races.ts";
import type { AuditEvent, AuditTrail } from "../audit/audit.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import { createAccess } from "../organizations/access.ts";
import { frontierRoles } from "../organizations/frontier-roles.ts";
import {
  deleteMember,
  findMemberRole,
  insertMember,
  updateMemberRole,
} from "../organizations/member-store.ts";
import { insertProject, insertProjectMember } from "../organizations/project-store.ts";
import {
  deleteOrganization,
  findOrganization,
  insertOrganization,
  updateOrganizationState,
} from "../organizations/store.ts";
import type { Caller, PatPrincipal, Role, UserPrincipal } from "../principals/principal.ts";
import { findLiveSession, holdSession, insertSession } from "../sessions/store.ts";
import { addUser, newRequestInfo, unknownDevice } from "../sessions/test-support.ts";
import { deleteUser } from "../users/store.ts";
import { assemblePersonalTokens, type PersonalTokensRoom } from "./assemble.ts";
import { unusedMs } from "./personal-token.ts";
import type { ScopeEntry } from "./scope.ts";
import type { TokenDraft } from "./service.ts";
import { findTokens, type UnusedToken } from "./store.ts";

const dayMs = 86_400_000;
const longestMs = 365 * dayMs;

/** A person in a session of their own. */
type Person = Caller & { readonly principal: UserPrincipal };

function scopes(name: string, resourceIds: readonly string[] = []): ScopeEntry {
  const role = frontierRoles.find((each) => each.name === name);
  if (role === undefined) throw new Error(name);
  return { roleId: role.id, resourceType: role.scope, resourceIds };
}

const asViewer = [scopes("app_organization_viewer")];

describeDatabases("personal access tokens", (under) => {
  let now: Date;
  let events: AuditEvent[];
  let told: UnusedToken[];
  let room: PersonalTokensRoom;
  /** Another process, on Postgres. */
  let other: PersonalTokensRoom;
  let feed: ChangeFeed;

  async function openRoom(database: OpenDatabase) {
    const clock = { now: () => now };
    const ownFeed = new ChangeFeed({ database, clock, log: silentLog });
    await ownFeed.start();
    const audit: AuditTrail = {
      record: async (_tx, _caller, event) => void events.push(event),
      recordOwn: async () => {},
      note: () => {},
      refuse: () => {},
    };
    const opened = assemblePersonalTokens({
      database,
      feed: ownFeed,
      audit,
      clock,
      log: silentLog,
      access: createAccess({
        findOrganization: (org) => findOrganization(database.reader, org),
        findMemberRole: (userId, orgId) => findMemberRole(database.reader, userId, orgId),
      }),
      longestValiditySeconds: longestMs / 1000,
      isRecent: async (id) => {
        const session = await findLiveSession(database.reader, id);
        return session !== undefined && now.getTime() - session.authenticatedAt.getTime() <= 600_000;
      },
      holdSession,
      onUnused: (token) => void told.push(token),
    });
    return { feed: ownFeed, room: opened };
  }

  beforeAll(async () => {
    now = new Date();
    events = [];
    const first = await openRoom(under.database);
    const second = under.dialect === "postgres" ? await openRoom(await under.openAnother()) : first;
    ({ room, feed } = first);
    other = second.room;
    return async () => {
      await Promise.all([first.feed.stop(), second.feed.stop()]);
    };
  });

  beforeEach(() => {
    now = new Date();
    events = [];
    told = [];
  });

  const pass = (ms: number) => {
    now = new Date(now.getTime() + ms);
  };

  async function newPerson({ emailProven = true } = {}): Promise<Person> {
    const { id, email } = await addUser(under.database, { emailProven });
    const session = {
      id: newId(now),
      userId: id,
      device: unknownDevice,
      createdAt: now,
      authenticatedAt: now,
      updatedAt: now,
      expiresAt: new Date(now.getTime() + 10 * longestMs),
    };
    await under.database.transaction((tx) =>
      insertSession(tx, session, { secretHash: newId(now), companionHash: newId(now), strategy: "mailotp" }),
    );
    const proof = { authVia: "session", credentialKind: "session", superuser: false } as const;
    const principal = { type: "user", id, email, emailProven, sessionId: session.id, ...proof } as const;
    return { principal, request: newRequestInfo() };
  }

  async function newOrganization(...members: (readonly [Person, Role])[]): Promise<string> {
    const id = newId(now);
    const texts = { name: `o-${id}`, title: "", metadata: {}, avatar: "" };
    await under.database.transaction(async (tx) => {
      await insertOrganization(tx, { id, ...texts, state: "enabled", createdAt: now, updatedAt: now });
      for (const [{ principal }, role] of members) {
        await insertMember(tx, { orgId: id, userId: principal.id, role }, now);
      }
    });
    return id;
  }

  async function newProject(orgId: string, member?: Person): Promise<string> {
    const id = newId(now);
    const texts = { name: `p-${id}`, title: "", metadata: {}, membersCount: 0 };
    await under.database.transaction(async (tx) => {
      await insertProject(tx, { id, orgId, ...texts, createdAt: now, updatedAt: now });
      if (member) await insertProjectMember(tx, id, { type: "user", id: member.principal.id }, now);
    });
    return id;
  }

  /** What members are, as the rooms of organizations change it. */
  async function setRole({ principal }: Person, orgId: string, role: Role | undefined): Promise<void> {
    await under.database.transaction(async (tx) => {
      if (role === undefined) await deleteMember(tx, orgId, principal.id);
      else await updateMemberRole(tx, orgId, principal.id, role);
      await feed.append(tx, { topic: "user", subject: principal.id });
    });
  }

  let titles = 0;
  const draft = (rest: Partial<TokenDraft> = {}): TokenDraft => ({
    title: `token ${titles++}`,
    scopes: asViewer,
    metadata: {},
    ...rest,
  });
  const inDays = (days: number) => new Date(now.getTime() + days * dayMs);
  const create = (
    person: Caller,
    orgId: string,
    rest: Partial<TokenDraft & { expiresAt: Date }> = {},
    at = room,
  ) => at.tokens.create(person, { orgId, expiresAt: inDays(30), ...draft(rest), ...rest });

  async function prove(secret: string, at = room): Promise<PatPrincipal> {
    const { principal } = await at.judges.personal_token({ kind: "personal_token", token: secret });
    if (principal.type !== "pat") throw new Error(principal.type);
    return principal;
  }

  async function reasonOf(call: Promise<unknown>): Promise<string> {
    const [outcome] = await Promise.allSettled([call]);
    return toReason(outcome as PromiseSettledResult<unknown>);
  }

  function toReason(outcome: PromiseSettledResult<unknown>): string {
    if (outcome.status === "fulfilled") return "ok";
    return outcome.reason instanceof DomainError ? outcome.reason.reason : String(outcome.reason);
  }

  const messageOf = async (call: Promise<unknown>) => await call.then(String, (error) => error.message);

  describe("a new token", () => {
    it("acts as its owner, narrowed, and is stored as a hash alone", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const { token, secret } = await create(ada, orgId, { title: " deploy ", metadata: { for: "ci" } });
      expect(secret).toMatch(/^vstu_[\w-]{48}$/);
      expect(token).toMatchObject({
        title: "deploy",
        userId: ada.principal.id,
        orgId,
        scope: { role: "viewer" },
      });
      expect(
        JSON.stringify(await under.database.reader.selectFrom("personal_tokens").selectAll().execute()),
      ).not.toContain(secret.slice(5, 40));
      expect(await prove(secret)).toEqual({
        type: "pat",
        id: token.id,
        superuser: false,
        userId: ada.principal.id,
        email: ada.principal.email,
        orgId,
        role: "viewer",
        projects: { ownerSeesAll: true, only: [] },
        credentialId: token.id,
        credentialExpiresAt: token.expiresAt,
        authVia: "pat",
        credentialKind: "personal_token",
      });
      expect(events).toEqual([
        {
          action: "pat.create",
          target: token.id,
          orgId,
          details: {
            title: "deploy",
            scopes: "organization:viewer",
            expires_at: token.expiresAt.toISOString(),
          },
        },
      ]);
      expect(JSON.stringify(await room.listOf(ada.principal.id))).not.toContain("vstu_");
    });

    it("is refused once it has expired, to the millisecond", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "viewer"]);
      const { secret } = await create(ada, orgId, { expiresAt: new Date(now.getTime() + 1000) });
      pass(999);
      expect(await reasonOf(prove(secret))).toBe("ok");
      pass(1);
      expect(await reasonOf(prove(secret))).toBe("NOT_AUTHENTICATED");
    });

    it.each([
      ["now", 0, "expiry must be in the future"],
      ["the next instant", 1, undefined],
      ["the longest", longestMs, undefined],
      ["a leap year", longestMs + dayMs, undefined],
      ["what counts as that", longestMs + 25 * 3_600_000, undefined],
      ["more", longestMs + 25 * 3_600_000 + 1, "expiry exceeds maximum allowed lifetime"],
    ])("has an expiry: %s", async (_, ms, refusal) => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "viewer"]);
      const expiresAt = new Date(now.getTime() + ms);
      if (refusal !== undefined) {
        expect(await messageOf(create(ada, orgId, { expiresAt }))).toBe(refusal);
        return;
      }
      const { token } = await create(ada, orgId, { expiresAt });
      expect(token.expiresAt.getTime()).toBe(now.getTime() + Math.min(ms, longestMs));
    });

    it.each(["", "  ", "two\nlines", "a\u202eb", "a  b", "\u2800"])(
      "has a title that can be seen: %j",
      async (title) => {
        const ada = await newPerson();
        const orgId = await newOrganization([ada, "viewer"]);
        expect(await reasonOf(create(ada, orgId, { title }))).toBe("INVALID_REQUEST");
        expect(await room.tokens.isTitleFree(ada, orgId, title)).toBe(false);
      },
    );

    it("has a title of its own, in any case, for its owner in the organization", async () => {
      const [ada, bob] = [await newPerson(), await newPerson()];
      const orgId = await newOrganization([ada, "viewer"], [bob, "viewer"]);
      const elsewhere = await newOrganization([ada, "viewer"]);
      await create(ada, orgId, { title: "Déploy" });
      expect(await messageOf(create(ada, orgId, { title: "DE\u0301PLOY" }))).toBe(
        "personal access token with this name already exists",
      );
      expect(await room.tokens.isTitleFree(ada, orgId.toUpperCase(), " déPLOY ")).toBe(false);
      expect(await room.tokens.isTitleFree(bob, orgId, "Déploy")).toBe(true);
      for (const [person, org] of [
        [bob, orgId],
        [ada, elsewhere],
      ] as const) {
        expect(await reasonOf(create(person, org, { title: "Déploy" }))).toBe("ok");
      }
    });

    it("takes a recent sign-in, in the session itself, and a proven address", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      pass(600_000);
      expect(await reasonOf(create(ada, orgId))).toBe("ok");
      pass(1);
      expect(await reasonOf(create(ada, orgId))).toBe("REAUTH_REQUIRED");
      const bob = await newPerson();
      await setRole(bob, orgId, undefined);
      const byToken: Caller = { ...bob, principal: { ...bob.principal, credentialKind: "access_token" } };
      expect(await reasonOf(create(byToken, await newOrganization([bob, "owner"])))).toBe("NOT_AUTHORIZED");
      const eve = await newPerson({ emailProven: false });
      expect(await reasonOf(create(eve, await newOrganization([eve, "owner"])))).toBe("ADDRESS_UNPROVEN");
      const gone = await newPerson();
      const goneOrg = await newOrganization([gone, "owner"]);
      await under.database.transaction((tx) =>
        tx.deleteFrom("sessions").where("id", "=", gone.principal.sessionId).execute(),
      );
      expect(await reasonOf(create(gone, goneOrg))).toBe("REAUTH_REQUIRED");
    });

    it("is for members of an enabled organization", async () => {
      const ada = await newPerson();
      const foreign = await newOrganization();
      const root: Caller = { ...ada, principal: { ...ada.principal, superuser: true } };
      for (const person of [ada, root]) {
        expect(await reasonOf(create(person, foreign))).toBe("NOT_AUTHORIZED");
        expect(await reasonOf(create(person, newId(now)))).toBe("NOT_AUTHORIZED");
      }
      const own = await newOrganization([ada, "owner"]);
      await under.database.transaction((tx) => updateOrganizationState(tx, own, "disabled", now));
      expect(await reasonOf(create(ada, own))).toBe("ORGANIZATION_DISABLED");
    });

    it("has no role above its owner's, and only projects that its owner sees", async () => {
      const [ada, bob] = [await newPerson(), await newPerson()];
      const orgId = await newOrganization([ada, "manager"], [bob, "viewer"]);
      const [shop, store] = [await newProject(orgId, bob), await newProject(orgId)];
      const foreign = await newProject(await newOrganization([ada, "owner"]));
      const make = (person: Person, ...asked: ScopeEntry[]) =>
        messageOf(create(person, orgId, { scopes: asked }));
      expect(await make(ada, scopes("app_organization_owner"))).toContain("above your own");
      expect(await make(bob, scopes("app_organization_manager"))).toContain("above your own");
      for (const ids of [[store], [shop, store], [foreign], [newId(now)]]) {
        expect(await make(bob, scopes("app_project_owner", ids))).toBe(
          "user does not have access to one or more specified projects",
        );
      }
      expect(await make(ada, scopes("app_project_viewer", [shop, foreign]))).toContain(
        "does not have access",
      );
      for (const [person, ids] of [
        [bob, [shop]],
        [bob, []],
        [ada, [shop, store]],
      ] as const) {
        const { secret } = await create(person, orgId, { scopes: [scopes("app_project_viewer", ids)] });
        const { role, projects } = await prove(secret);
        expect(role).toBeUndefined();
        expect(projects).toEqual({ ownerSeesAll: person === ada, ...(ids.length > 0 && { only: ids }) });
      }
    });

    it("is one of fifty at most, whoever asks at the same time in whichever process", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "viewer"]);
      for (let made = 0; made < 47; made++) await create(ada, orgId);
      // One that has expired is still there, and to be deleted first.
      await create(ada, orgId, { expiresAt: new Date(now.getTime() + 1) });
      pass(1);
      const outcomes = await raceForUser(
        under,
        ada.principal.id,
        [room, other, room, other].map((at) => () => create(ada, orgId, {}, at)),
      );
      expect(outcomes.map(toReason).toSorted()).toEqual(["TOO_MANY_PATS", "TOO_MANY_PATS", "ok", "ok"]);
      expect(await room.tokens.list(ada, orgId)).toHaveLength(50);
      expect(await messageOf(create(ada, orgId))).toBe("maximum number of personal access tokens reached");
      expect(await reasonOf(create(ada, await newOrganization([ada, "viewer"])))).toBe("ok");
    });

    it("is one of a title, whoever asks at the same time in whichever process", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "viewer"]);
      const outcomes = await raceForUser(
        under,
        ada.principal.id,
        [room, other].map((at) => () => create(ada, orgId, { title: "same" }, at)),
      );
      expect(outcomes.map(toReason).toSorted()).toEqual(["PAT_TITLE_TAKEN", "ok"]);
    });
  });

  describe("what it may (27, 28)", () => {
    it("is the weaker of its role and its owner's, as of now, in every process", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const { secret: strong } = await create(ada, orgId, { scopes: [scopes("app_organization_manager")] });
      const { secret: weak } = await create(ada, orgId);
      const rolesAt = async (at = room) => [(await prove(strong, at)).role, (await prove(weak, at)).role];
      expect(await rolesAt()).toEqual(["manager", "viewer"]);
      expect(await rolesAt(other)).toEqual(["manager", "viewer"]);
      await setRole(ada, orgId, "viewer");
      expect(await rolesAt()).toEqual(["viewer", "viewer"]);
      expect((await prove(strong)).projects).toEqual({ ownerSeesAll: false, only: [] });
      await expect
        .poll(() => rolesAt(other), { interval: 20, timeout: 10_000 })
        .toEqual(["viewer", "viewer"]);
      await setRole(ada, orgId, "owner");
      expect(await rolesAt()).toEqual(["manager", "viewer"]);
    });

    it("ends with the membership, and a new one brings none back (27)", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const { secret, token } = await create(ada, orgId);
      const subject = {
        id: token.id,
        credentialId: token.id,
        authVia: "pat",
        tokenId: "t",
        issuedAt: now,
      } as const;
      const byToken = (at = room) => reasonOf(Promise.resolve(at.subjects["app/pat"](subject)));
      for (const at of [room, other]) {
        expect([await reasonOf(prove(secret, at)), await byToken(at)]).toEqual(["ok", "ok"]);
      }
      await setRole(ada, orgId, undefined);
      expect([await reasonOf(prove(secret)), await byToken()]).toEqual([
        "NOT_AUTHENTICATED",
        "NOT_AUTHENTICATED",
      ]);
      await expect
        .poll(() => reasonOf(prove(secret, other)), { interval: 20, timeout: 10_000 })
        .toBe("NOT_AUTHENTICATED");
      await under.database.transaction((tx) =>
        insertMember(tx, { orgId, userId: ada.principal.id, role: "owner" }, now),
      );
      for (const at of [room, other]) {
        expect([await reasonOf(prove(secret, at)), await byToken(at)]).toEqual([
          "NOT_AUTHENTICATED",
          "NOT_AUTHENTICATED",
        ]);
      }
      expect(await room.listOf(ada.principal.id)).toEqual([]);
    });

    it("is nothing while its owner or the organization is disabled, or the address is not proven", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const { secret } = await create(ada, orgId);
      const change = async (set: object, topic: "user" | "organization" = "user") => {
        await under.database.transaction(async (tx) => {
          const [table, id] =
            topic === "user" ? (["users", ada.principal.id] as const) : (["organizations", orgId] as const);
          await tx.updateTable(table).set(set).where("id", "=", id).execute();
          await feed.append(tx, { topic, subject: id });
        });
        return await reasonOf(prove(secret));
      };
      expect(await change({ state: "disabled" })).toBe("PRINCIPAL_DISABLED");
      expect(await change({ state: "enabled" })).toBe("ok");
      expect(await change({ state: "disabled" }, "organization")).toBe("ORGANIZATION_DISABLED");
      expect(await change({ state: "enabled" }, "organization")).toBe("ok");
      expect(await change({ email_proven: 0 })).toBe("NOT_AUTHENTICATED");
      expect(await change({ email_proven: 1 })).toBe("ok");
    });

    it("ends with the account and with the organization", async () => {
      const [ada, bob] = [await newPerson(), await newPerson()];
      const orgId = await newOrganization([ada, "owner"], [bob, "viewer"]);
      const [ofAda, ofBob] = [await create(ada, orgId), await create(bob, orgId)];
      await under.database.transaction(async (tx) => {
        await deleteUser(tx, bob.principal.id);
        await feed.append(tx, { topic: "user", subject: bob.principal.id });
      });
      expect(await reasonOf(prove(ofBob.secret))).toBe("NOT_AUTHENTICATED");
      expect(await reasonOf(prove(ofAda.secret))).toBe("ok");
      await under.database.transaction(async (tx) => {
        await deleteOrganization(tx, orgId, now);
        await feed.append(tx, { topic: "organization", subject: orgId });
      });
      expect(await reasonOf(prove(ofAda.secret))).toBe("NOT_AUTHENTICATED");
    });

    it("is nothing by a secret that was mistyped, or was never one", async () => {
      const ada = await newPerson();
      const { secret } = await create(ada, await newOrganization([ada, "owner"]));
      const typed = `${secret.slice(0, -1)}${secret.endsWith("A") ? "B" : "A"}`;
      const detailOf = (token: string) => prove(token).catch(({ detail }) => detail);
      expect(await detailOf(typed)).toBe("mistyped personal access token");
      expect(await detailOf(`${secret}x`)).toBe("mistyped personal access token");
      expect(await detailOf("vstu_")).toBe("mistyped personal access token");
      await room.tokens.delete(ada, (await room.listOf(ada.principal.id))[0]?.id ?? "");
      expect(await detailOf(secret)).toBe("unknown personal access token");
    });
  });

  describe("a token that is there", () => {
    it("is its owner's alone", async () => {
      const [ada, bob] = [await newPerson(), await newPerson()];
      const orgId = await newOrganization([ada, "viewer"], [bob, "owner"]);
      const { token } = await create(ada, orgId);
      events = [];
      for (const call of [
        () => room.tokens.get(bob, token.id),
        () => room.tokens.update(bob, token.id, draft()),
        () => room.tokens.regenerate(bob, token.id, inDays(1)),
        () => room.tokens.delete(bob, token.id),
      ]) {
        expect(await messageOf(call())).toBe("personal access token not found");
      }
      expect(await room.tokens.list(bob, orgId)).toEqual([]);
      expect(events).toEqual([]);
      expect(await room.tokens.get(ada, token.id.toUpperCase())).toEqual(token);
    });

    it("is changed in what it may at once; wider only after a recent sign-in", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const { token, secret } = await create(ada, orgId, { scopes: [scopes("app_organization_manager")] });
      expect((await prove(secret)).role).toBe("manager");
      pass(601_000);
      const update = (name: string) => room.tokens.update(ada, token.id, draft({ scopes: [scopes(name)] }));
      const narrowed = await update("app_organization_viewer");
      expect(narrowed).toMatchObject({
        id: token.id,
        scope: { role: "viewer" },
        updatedAt: now,
        expiresAt: token.expiresAt,
      });
      expect((await prove(secret)).role).toBe("viewer");
      expect(await reasonOf(update("app_organization_manager"))).toBe("REAUTH_REQUIRED");
      expect((await prove(secret)).role).toBe("viewer");
      await under.database.transaction((tx) =>
        tx
          .updateTable("sessions")
          .set({ authenticated_at: now.getTime() })
          .where("id", "=", ada.principal.sessionId)
          .execute(),
      );
      expect(await reasonOf(update("app_organization_manager"))).toBe("ok");
      expect((await prove(secret)).role).toBe("manager");
      expect(events.map(({ action }) => action)).toEqual(["pat.create", "pat.update", "pat.update"]);
      await setRole(ada, orgId, "viewer");
      expect(await messageOf(update("app_organization_manager"))).toContain("above your own");
      pass(31 * dayMs);
      expect(await messageOf(update("app_organization_viewer"))).toBe("personal access token has expired");
    });

    it("keeps its title's place when it is changed, and takes nobody's", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const [one] = [await create(ada, orgId, { title: "one" }), await create(ada, orgId, { title: "two" })];
      const rename = (title: string) => reasonOf(room.tokens.update(ada, one.token.id, draft({ title })));
      expect([await rename("ONE"), await rename("Two"), await rename("three")]).toEqual([
        "ok",
        "PAT_TITLE_TAKEN",
        "ok",
      ]);
    });

    it("is made anew: the former secret is refused, an expired one works again", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const { token, secret } = await create(ada, orgId, { expiresAt: new Date(now.getTime() + 1000) });
      expect(await reasonOf(prove(secret, other))).toBe("ok");
      pass(2000);
      const made = await room.tokens.regenerate(ada, token.id, inDays(7));
      expect(made.token).toMatchObject({
        id: token.id,
        regeneratedAt: now,
        expiresAt: inDays(7),
        scope: token.scope,
      });
      expect(made.secret).not.toBe(secret);
      expect([await reasonOf(prove(secret)), await reasonOf(prove(made.secret))]).toEqual([
        "NOT_AUTHENTICATED",
        "ok",
      ]);
      await expect
        .poll(() => reasonOf(prove(secret, other)), { interval: 20, timeout: 10_000 })
        .toBe("NOT_AUTHENTICATED");
      expect(events.at(-1)).toMatchObject({ action: "pat.regenerate", target: token.id });
      expect(await messageOf(room.tokens.regenerate(ada, token.id, inDays(400)))).toContain("expiry exceeds");
      pass(600_000);
      expect(await reasonOf(room.tokens.regenerate(ada, token.id, inDays(7)))).toBe("REAUTH_REQUIRED");
    });

    it("made anew ends in every process the access tokens of its former secret, and no later ones", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const { token } = await create(ada, orgId);
      const madeAt = (issuedAt: Date) => {
        const subject = {
          id: token.id,
          credentialId: token.id,
          authVia: "pat",
          tokenId: "t",
          issuedAt,
        } as const;
        return (of = room) => reasonOf(Promise.resolve(of.subjects["app/pat"](subject)));
      };
      const toSecond = () => new Date(Math.floor(now.getTime() / 1000) * 1000);
      const former = madeAt(toSecond());
      expect([await former(), await former(other)]).toEqual(["ok", "ok"]);
      pass(1000);
      await room.tokens.regenerate(ada, token.id, inDays(7));
      expect([await former(), await madeAt(toSecond())()]).toEqual(["NOT_AUTHENTICATED", "ok"]);
      await expect.poll(() => former(other), { interval: 20, timeout: 10_000 }).toBe("NOT_AUTHENTICATED");
      expect(await madeAt(toSecond())(other)).toBe("ok");
    });

    it("is deleted in every process, and all of a person's with one call", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const [one, two, three] = [
        await create(ada, orgId),
        await create(ada, orgId),
        await create(ada, orgId),
      ];
      for (const { secret } of [one, two, three]) expect(await reasonOf(prove(secret, other))).toBe("ok");
      await room.tokens.delete(ada, one.token.id);
      expect(await reasonOf(room.tokens.delete(ada, one.token.id))).toBe("PAT_NOT_FOUND");
      expect(await reasonOf(prove(one.secret))).toBe("NOT_AUTHENTICATED");
      const ended = await under.database.transaction(async (tx) => {
        const changes = await room.removeAllOf(tx, ada.principal.id);
        await feed.append(tx, ...changes);
        return changes.map(({ subject }) => subject);
      });
      expect(ended.toSorted()).toEqual([two.token.id, three.token.id].toSorted());
      for (const { secret } of [one, two, three]) {
        expect(await reasonOf(prove(secret))).toBe("NOT_AUTHENTICATED");
        await expect
          .poll(() => reasonOf(prove(secret, other)), { interval: 20, timeout: 10_000 })
          .toBe("NOT_AUTHENTICATED");
      }
    });

    it("is refused to machines", async () => {
      const machine: Caller = {
        principal: {
          type: "serviceuser",
          id: newId(now),
          orgId: newId(now),
          role: "owner",
          superuser: true,
          credentialId: newId(now),
          authVia: "client_credentials",
          credentialKind: "client_secret",
        },
        request: newRequestInfo(),
      };
      const id = newId(now);
      for (const call of [
        () => create(machine, id),
        () => room.tokens.list(machine, id),
        () => room.tokens.get(machine, id),
        () => room.tokens.isTitleFree(machine, id, "x"),
        () => room.tokens.update(machine, id, draft()),
        () => room.tokens.regenerate(machine, id, inDays(1)),
        () => room.tokens.delete(machine, id),
      ]) {
        expect(await reasonOf(call())).toBe("NOT_AUTHORIZED");
      }
    });
  });

  describe("its use", () => {
    const flush = () => room.closing?.[0]?.run();
    const tellUnused = (at = room) => at.chores?.[0]?.run();

    it("is noted to a minute", async () => {
      const ada = await newPerson();
      const { secret } = await create(ada, await newOrganization([ada, "owner"]));
      const lastUse = async () => {
        await flush();
        return (await findTokens(under.database.reader, ada.principal.id))[0]?.lastUsedAt;
      };
      expect(await lastUse()).toBeUndefined();
      await prove(secret);
      const first = now;
      expect(await lastUse()).toEqual(first);
      pass(59_999);
      await prove(secret);
      expect(await lastUse()).toEqual(first);
      pass(1);
      await prove(secret);
      expect(await lastUse()).toEqual(now);
    });

    it("is missed after 180 days, once, until the next one", async () => {
      const ada = await newPerson();
      const orgId = await newOrganization([ada, "owner"]);
      const { secret } = await create(ada, orgId, { title: "old", expiresAt: inDays(365) });
      await create(ada, orgId, { title: "short", expiresAt: inDays(30) });
      pass(dayMs);
      await prove(secret);
      await flush();
      pass(unusedMs - 1);
      await tellUnused();
      expect(told.filter(({ email }) => email === ada.principal.email)).toEqual([]);
      pass(1);
      await Promise.all([tellUnused(), tellUnused(other), tellUnused()]);
      const organization = `o-${orgId}`;
      expect(told.filter(({ email }) => email === ada.principal.email)).toEqual([
        { email: ada.principal.email, title: "old", organization },
      ]);
      await prove(secret);
      await flush();
      pass(unusedMs);
      await tellUnused();
      expect(told.filter(({ email }) => email === ada.principal.email)).toHaveLength(2);
      await prove(secret);
      await flush();
      pass(unusedMs);
      await tellUnused();
      // It has expired meanwhile: there is nothing left to tell of.
      expect(told.filter(({ email }) => email === ada.principal.email)).toHaveLength(2);
    });

    it("ends: what expired is kept for 90 days", async () => {
      const ada = await newPerson();
      await create(ada, await newOrganization([ada, "owner"]), { expiresAt: inDays(1) });
      const sweep = () => room.sweeps?.[0]?.run();
      pass(91 * dayMs - 1);
      await sweep();
      expect(await room.listOf(ada.principal.id)).toHaveLength(1);
      pass(1);
      await sweep();
      expect(await room.listOf(ada.principal.id)).toEqual([]);
    });
  });
});
