import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import { within } from "../../../test/parts/within.ts";
import { newId } from "../lib/ids.ts";
import type { UserPrincipal } from "../principals/principal.ts";
import { deleteUser, markEmailProven, updateUserState } from "../users/store.ts";
import type { LiveSession } from "./session.ts";
import { deleteExpiredSessions, findLiveSession } from "./store.ts";
import { addUser, newRequestInfo, openSessions, type SessionParts, unknownDevice } from "./test-support.ts";

const admin = "root@example.org";

describeDatabases("sessions", (under) => {
  let nowMs = Date.now();
  const clock = { now: () => new Date(nowMs) };
  let here: SessionParts;
  let there: SessionParts;

  beforeAll(async () => {
    here = await openSessions(under.database, clock, [admin]);
    there = await openSessions(await under.openAnother(), clock);
  });
  afterAll(async () => {
    await here.close();
    await there.close();
  });
  beforeEach(() => {
    nowMs = Date.now();
  });

  async function signIn(userId: string, replaces: readonly LiveSession[] = []) {
    return await under.database.transaction(async (tx) => {
      const begun = await here.sessions.begin(tx, {
        userId,
        strategy: "mailotp",
        device: unknownDevice,
        browserKeys: [],
        replaces,
      });
      await here.feed.append(tx, ...begun.changes);
      return begun;
    });
  }

  const prove = (cookie: string, parts = here) => parts.authenticator.authenticateCookie(cookie);
  const caller = (principal: UserPrincipal) => ({ principal, request: newRequestInfo() });
  const notAuthenticated = { reason: "NOT_AUTHENTICATED", message: "not authenticated" };

  it("proves who is behind a cookie", async () => {
    const user = await addUser(under.database);
    const { cookie, session } = await signIn(user.id);
    expect(await prove(cookie)).toEqual({
      type: "user",
      id: user.id,
      email: user.email,
      emailProven: true,
      superuser: false,
      sessionId: session.id,
      sessionExpiresAt: session.expiresAt,
      authVia: "session",
      credentialKind: "session",
    });
    expect((await prove(cookie, there)).id).toBe(user.id);
  });

  it("lasts exactly as long as it was made for, used or not", async () => {
    const { cookie } = await signIn((await addUser(under.database)).id);
    nowMs += 3_600_000 - 1;
    await prove(cookie);
    nowMs += 1;
    await expect(prove(cookie)).rejects.toMatchObject(notAuthenticated);
    expect(await here.authenticator.findByCookie(cookie)).toBeUndefined();
  });

  it("refuses a good cookie of no session as plainly as garbage", async () => {
    await expect(prove(here.cookies.encode(here.cookies.newSecret()))).rejects.toMatchObject(
      notAuthenticated,
    );
    await expect(prove("garbage")).rejects.toMatchObject(notAuthenticated);
  });

  it("makes superusers of proven addresses alone", async () => {
    const user = await addUser(under.database, { email: admin, emailProven: false });
    const { cookie } = await signIn(user.id);
    expect((await prove(cookie)).superuser).toBe(false);
    await under.database.transaction(async (tx) => {
      await markEmailProven(tx, user.id, clock.now());
      await here.feed.append(tx, { topic: "user", subject: user.id });
    });
    expect((await prove(cookie)).superuser).toBe(true);
  });

  it("ends at once here, within a second elsewhere, with its access tokens", async () => {
    await within(1000, async () => {
      const user = await addUser(under.database);
      const { cookie, session } = await signIn(user.id);
      const subject = {
        id: user.id,
        credentialId: session.id,
        authVia: "session",
        tokenId: "t",
        issuedAt: new Date(),
      } as const;
      for (const parts of [here, there]) {
        await prove(cookie, parts);
        const principal = await parts.authenticator.authenticateTokenSubject(subject);
        expect(principal).toMatchObject({ credentialKind: "access_token", tokenId: "t" });
      }
      const startedAt = performance.now();
      await here.sessions.revoke(caller(await prove(cookie)), session.id);
      await expect(prove(cookie)).rejects.toMatchObject(notAuthenticated);
      await expect(here.authenticator.authenticateTokenSubject(subject)).rejects.toMatchObject(
        notAuthenticated,
      );
      await vi.waitFor(
        async () => {
          await expect(prove(cookie, there)).rejects.toMatchObject(notAuthenticated);
          await expect(there.authenticator.authenticateTokenSubject(subject)).rejects.toMatchObject(
            notAuthenticated,
          );
        },
        { timeout: 5000, interval: 5 },
      );
      return performance.now() - startedAt;
    });
  });

  it("follows the user: disabled, enabled, deleted", async () => {
    const user = await addUser(under.database);
    const { cookie, session } = await signIn(user.id);
    const subject = {
      id: user.id,
      credentialId: session.id,
      authVia: "session",
      tokenId: "t",
      issuedAt: new Date(),
    } as const;
    const change = (work: Parameters<typeof under.database.transaction>[0]) =>
      under.database.transaction(async (tx) => {
        await work(tx);
        await here.feed.append(tx, { topic: "user", subject: user.id });
      });
    await prove(cookie);
    await change((tx) => updateUserState(tx, user.id, "disabled", clock.now()));
    await expect(prove(cookie)).rejects.toMatchObject({
      reason: "PRINCIPAL_DISABLED",
      kind: "permission_denied",
    });
    await change((tx) => updateUserState(tx, user.id, "enabled", clock.now()));
    await prove(cookie);
    await change((tx) => deleteUser(tx, user.id));
    await expect(prove(cookie)).rejects.toMatchObject(notAuthenticated);
    await expect(here.authenticator.authenticateTokenSubject(subject)).rejects.toMatchObject({
      reason: "USER_NOT_FOUND",
    });
  });

  it("proves its holder by its id alone, for as long as it lives and they are enabled", async () => {
    const user = await addUser(under.database);
    const { cookie, session } = await signIn(user.id);
    const { authenticateSession } = here.authenticator;
    const holder = await prove(cookie);
    expect(await authenticateSession(session.id)).toEqual(holder);
    await under.database.transaction(async (tx) => {
      await updateUserState(tx, user.id, "disabled", clock.now());
      await here.feed.append(tx, { topic: "user", subject: user.id });
    });
    await expect(authenticateSession(session.id)).rejects.toMatchObject({ reason: "PRINCIPAL_DISABLED" });
    await here.sessions.revoke(caller(holder), session.id);
    await expect(authenticateSession(session.id)).rejects.toMatchObject(notAuthenticated);
    await expect(authenticateSession("no session's")).rejects.toMatchObject(notAuthenticated);
  });

  it("does not lend a session to another user's token", async () => {
    const [one, two] = [await addUser(under.database), await addUser(under.database)];
    const { session } = await signIn(one.id);
    const subject = {
      id: two.id,
      credentialId: session.id,
      authVia: "session",
      tokenId: "t",
      issuedAt: new Date(),
    } as const;
    await expect(here.authenticator.authenticateTokenSubject(subject)).rejects.toMatchObject(
      notAuthenticated,
    );
  });

  const getLive = async (cookie: string) => {
    const live = await here.authenticator.findByCookie(cookie);
    if (live === undefined) throw new Error("the session is over");
    return live;
  };

  it("replaces the session of somebody else that the sign-in came with", async () => {
    const { cookie } = await signIn((await addUser(under.database)).id);
    const old = await getLive(cookie);
    const next = await signIn((await addUser(under.database)).id, [old]);
    await expect(prove(cookie)).rejects.toMatchObject(notAuthenticated);
    expect((await prove(next.cookie)).sessionId).toBe(next.session.id);
    expect(next.session.id).not.toBe(old.id);
  });

  it("goes on under its id when the same person proves themselves again, by another secret alone", async () => {
    const user = await addUser(under.database);
    const { cookie, companion, session } = await signIn(user.id);
    const { cookie: second } = await signIn(user.id);
    const { cookie: foreign } = await signIn((await addUser(under.database)).id);
    const { cookie: elsewhere } = await signIn(user.id);
    await prove(cookie, there);
    nowMs += 60_000;
    const latest = await here.authenticator.findByCookie(cookie);
    const next = await signIn(user.id, [await getLive(foreign), await getLive(cookie)]);
    expect(next.session).toMatchObject({
      id: session.id,
      createdAt: session.createdAt,
      authenticatedAt: new Date(nowMs),
      expiresAt: new Date(nowMs + 3_600_000),
    });
    expect(latest?.authenticatedAt).toEqual(session.authenticatedAt);
    expect([next.cookie, next.companion]).not.toEqual([cookie, companion]);
    for (const gone of [cookie, foreign]) await expect(prove(gone)).rejects.toMatchObject(notAuthenticated);
    await eventually(() => expect(prove(cookie, there)).rejects.toMatchObject(notAuthenticated));
    expect((await getLive(next.cookie)).authenticatedAt).toEqual(new Date(nowMs));
    const subject = {
      id: user.id,
      credentialId: session.id,
      authVia: "session",
      tokenId: "t",
      issuedAt: new Date(),
    } as const;
    expect((await here.authenticator.authenticateTokenSubject(subject)).id).toBe(user.id);
    for (const other of [second, elsewhere]) expect((await prove(other)).id).toBe(user.id);
  });

  it("is one however often the same person proves themselves at once", async () => {
    const user = await addUser(under.database);
    const { cookie, session } = await signIn(user.id);
    const old = await getLive(cookie);
    const proven = await Promise.all(Array.from({ length: 4 }, () => signIn(user.id, [old])));
    expect(new Set(proven.map((each) => each.session.id))).toEqual(new Set([session.id]));
    const proofs = await Promise.allSettled(proven.map((each) => prove(each.cookie)));
    expect(proofs.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("is another once it has ended meanwhile", async () => {
    const user = await addUser(under.database);
    const { cookie, session } = await signIn(user.id);
    const old = await getLive(cookie);
    await here.sessions.revoke(caller(await prove(cookie)), session.id);
    const next = await signIn(user.id, [old]);
    expect(next.session.id).not.toBe(session.id);
    expect((await prove(next.cookie)).sessionId).toBe(next.session.id);
  });

  it("lists and ends a user's own sessions alone", async () => {
    const [user, other] = [await addUser(under.database), await addUser(under.database)];
    const first = await signIn(user.id);
    nowMs += 1;
    const second = await signIn(user.id);
    const foreign = await signIn(other.id);
    const me = caller(await prove(second.cookie));
    const ids = (await here.sessions.list(me)).map(({ id }) => id);
    expect(ids).toEqual([second.session.id, first.session.id]);
    await expect(here.sessions.revoke(me, foreign.session.id)).rejects.toMatchObject({
      reason: "SESSION_NOT_FOUND",
    });
    await prove(foreign.cookie);
    expect(await here.sessions.revokeAll(me, true, [])).toBe(1);
    await prove(second.cookie);
    await expect(prove(first.cookie)).rejects.toMatchObject(notAuthenticated);
    expect(await here.sessions.revokeAll(me, false, [])).toBe(1);
    await expect(prove(second.cookie)).rejects.toMatchObject(notAuthenticated);
    await prove(foreign.cookie);
  });

  it("is nothing a machine has", async () => {
    const principal = {
      type: "serviceuser",
      id: "s",
      orgId: "o",
      role: "owner",
      superuser: true,
      credentialId: "c",
      authVia: "client_credentials",
      credentialKind: "client_secret",
    } as const;
    const machine = { principal, request: newRequestInfo() };
    await expect(here.sessions.list(machine)).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
  });

  it("ends the oldest beyond a hundred", async () => {
    const { id } = await addUser(under.database);
    const first = await signIn(id);
    for (let count = 1; count < 100; count++) {
      nowMs += 1;
      await signIn(id);
    }
    await prove(first.cookie);
    nowMs += 1;
    const last = await signIn(id);
    await expect(prove(first.cookie)).rejects.toMatchObject(notAuthenticated);
    expect(await here.sessions.list(caller(await prove(last.cookie)))).toHaveLength(100);
  });

  it("notes its use, to the minute", async () => {
    const { cookie, session } = await signIn((await addUser(under.database)).id);
    const updatedAt = async () =>
      (await here.sessions.list(caller(await prove(cookie)))).find(({ id }) => id === session.id)?.updatedAt;
    nowMs += 59_999;
    await prove(cookie);
    await here.uses.flush();
    expect(await updatedAt()).toEqual(session.createdAt);
    nowMs += 1;
    await prove(cookie);
    await here.uses.flush();
    expect(await updatedAt()).toEqual(new Date(nowMs));
  });

  describe("of anybody", () => {
    const last = () => here.events.at(-1);
    const asAdmin = async () => {
      const root = await addUser(under.database, { email: `${newId(new Date())}@example.org` });
      const { cookie } = await signIn(root.id);
      return caller({ ...(await prove(cookie)), superuser: true });
    };

    it("are listed by superusers, with who asks among them", async () => {
      const root = await asAdmin();
      const { id } = await addUser(under.database);
      expect(await here.sessions.listOf(root, id)).toEqual([]);
      const one = await signIn(id);
      nowMs += 1;
      const two = await signIn(id);
      const listed = await here.sessions.listOf(root, id.toUpperCase());
      expect(listed.map((each) => each.id)).toEqual([two.session.id, one.session.id]);
      nowMs = one.session.expiresAt.getTime();
      expect((await here.sessions.listOf(root, id)).map((each) => each.id)).toEqual([two.session.id]);
      await expect(here.sessions.listOf(root, newId(clock.now()))).rejects.toMatchObject({
        reason: "USER_NOT_FOUND",
        message: "user doesn't exist",
      });
    });

    it("end one by one, once, at every process; their owners are told, and the audit names them", async () => {
      const root = await asAdmin();
      const user = await addUser(under.database);
      const { cookie, session } = await signIn(user.id);
      const other = await signIn(user.id);
      await prove(cookie, there);
      const revoke = (id: string) => here.sessions.revokeAny(root, id);
      const results = await Promise.allSettled([session.id, session.id.toUpperCase()].map(revoke));
      expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
      expect(last()).toEqual({
        action: "user.revoke_session",
        target: user.id,
        details: { session: session.id },
      });
      expect(here.told.filter(([email]) => email === user.email)).toEqual([[user.email, 1]]);
      await expect(prove(cookie)).rejects.toMatchObject(notAuthenticated);
      await eventually(() => expect(prove(cookie, there)).rejects.toMatchObject(notAuthenticated));
      expect((await prove(other.cookie)).id).toBe(user.id);
      const gone = { reason: "SESSION_NOT_FOUND", message: "session doesn't exist" };
      await expect(revoke(session.id)).rejects.toMatchObject(gone);
      nowMs = other.session.expiresAt.getTime();
      await expect(revoke(other.session.id)).rejects.toMatchObject(gone);
    });

    it("end all at once, by one mail and one record; without any nobody is mailed", async () => {
      const root = await asAdmin();
      const user = await addUser(under.database);
      const { cookie } = await signIn(user.id);
      await signIn(user.id);
      expect(await here.sessions.revokeAllOf(root, user.id)).toBe(2);
      expect(last()).toEqual({ action: "session.revoke_all", target: user.id, details: { revoked: "2" } });
      await expect(prove(cookie)).rejects.toMatchObject(notAuthenticated);
      expect(await here.sessions.revokeAllOf(root, user.id)).toBe(0);
      expect(here.told.filter(([email]) => email === user.email)).toEqual([[user.email, 2]]);
      await expect(here.sessions.revokeAllOf(root, newId(clock.now()))).rejects.toMatchObject({
        reason: "USER_NOT_FOUND",
      });
    });

    it("are nobody's business but a superuser's", async () => {
      const user = await addUser(under.database);
      const { cookie, session } = await signIn(user.id);
      const me = caller(await prove(cookie));
      const told = here.told.length;
      const calls = [
        () => here.sessions.listOf(me, user.id),
        () => here.sessions.revokeAny(me, session.id),
        () => here.sessions.revokeAllOf(me, user.id),
      ];
      for (const call of calls) await expect(call()).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
      expect((await prove(cookie)).sessionId).toBe(session.id);
      expect(here.told).toHaveLength(told);
    });
  });

  it("is pinged with a new device, while it lives", async () => {
    const { cookie, session } = await signIn((await addUser(under.database)).id);
    const me = caller(await prove(cookie));
    await here.sessions.ping(me, { ...unknownDevice, browser: "Firefox" });
    expect((await here.sessions.list(me))[0]?.device.browser).toBe("Firefox");
    await here.sessions.revoke(me, session.id);
    await expect(here.sessions.ping(me, unknownDevice)).rejects.toMatchObject({
      reason: "SESSION_NOT_FOUND",
    });
  });

  it("is swept when it is over, not before", async () => {
    const { session } = await signIn((await addUser(under.database)).id);
    const sweep = (atMs: number) =>
      under.database.transaction((tx) => deleteExpiredSessions(tx, new Date(atMs), 1000));
    await sweep(session.expiresAt.getTime() - 1);
    const find = () => findLiveSession(under.database.reader, session.id);
    expect(await find()).toBeDefined();
    await sweep(session.expiresAt.getTime());
    expect(await find()).toBeUndefined();
  });

  it("refuses when the database cannot be read", async () => {
    const { cookie } = await signIn((await addUser(under.database)).id);
    const database = await under.openAnother();
    const alone = await openSessions(database, clock);
    await alone.close();
    await database.close();
    await expect(prove(cookie, alone)).rejects.toThrow("driver has already been destroyed");
  });
});
