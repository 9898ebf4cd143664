import { afterEach, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { eventually } from "../../../../test/parts/eventually.ts";
import type { OpenDatabase } from "../../db/kysely-database.ts";
import { reasonOf, toMachine } from "../../frontdoor/test-support.ts";
import { newId } from "../../lib/ids.ts";
import type { Caller } from "../../principals/principal.ts";
import {
  addUser,
  newRequestInfo,
  openSessions,
  type SessionParts,
  unknownDevice,
} from "../../sessions/test-support.ts";
import {
  askWith,
  begin,
  createPlace,
  type GateProcess,
  startGate,
  type TestPlace,
  toIdentity,
} from "./test-support.ts";

describeDatabases("sessions at frontends", (under) => {
  let here: GateProcess;
  let there: GateProcess;
  let place: TestPlace;
  /** A third process, where people sign in to this service itself. */
  let people: SessionParts;
  let signInDatabase: OpenDatabase;

  beforeEach(async () => {
    here = await startGate(under);
    there = await startGate(under, here.context);
    place = await createPlace(here);
    signInDatabase = await under.openAnother();
    people = await openSessions(signInDatabase, here.context.clock);
  });
  afterEach(async () => {
    await people.close();
    await here.stop();
    await there.stop();
  });

  const page = { size: 50, token: "" };
  const reason = async (cookie: string, process = here) => (await askWith(process, place, cookie)).reason;
  const all = async (only = {}) =>
    (await here.gateSessions.list(place.manager, place.frontdoorId, only, page)).items;
  const idsOf = (sessions: readonly { readonly id: string }[]) => sessions.map(({ id }) => id).toSorted();
  /** Lets a session in at both, so that both remember it. */
  const letIn = async (cookie: string) => {
    for (const process of [here, there]) expect(await reason(cookie, process)).toBe("IDENTIFIED");
  };
  const expectOver = async (cookie: string, process = there) => {
    await eventually(async () => expect(await reason(cookie, process)).toBe("SESSION_ENDED"));
  };
  const expectOverAtOnce = async (cookie: string) => {
    expect(await reason(cookie)).toBe("SESSION_ENDED");
    await expectOver(cookie);
  };

  /** Somebody signed in to this service, with a session at the frontend that hangs on theirs. */
  async function comeIn(user?: { readonly id: string }) {
    const { id: userId } = user ?? (await addUser(under.database));
    const parent = await signInDatabase.transaction(async (tx) => {
      const begun = await people.sessions.begin(tx, {
        userId,
        strategy: "mailotp",
        device: unknownDevice,
        replaces: [],
        browserKeys: [],
      });
      await people.feed.append(tx, ...begun.changes);
      return begun;
    });
    const child = await begin(here, place, {
      provider: { id: place.ownId, revision: 1 },
      identity: toIdentity({ subject: userId }),
      parentSessionId: parent.session.id,
    });
    const principal = await people.authenticator.authenticateCookie(parent.cookie);
    const caller: Caller = { principal, request: newRequestInfo() };
    return { userId, parent, child, caller };
  }

  it("are listed for managers: those that let somebody in, and no others", async () => {
    const { session } = await begin(here, place);
    const bob = await begin(here, place, { identity: toIdentity({ subject: "bob" }) });
    const { child, parent } = await comeIn();
    expect(idsOf(await all())).toEqual(idsOf([session, bob.session, child.session]));
    expect(idsOf(await all({ providerId: place.oidcId.toUpperCase() }))).toEqual(
      idsOf([session, bob.session]),
    );
    expect(idsOf(await all({ subject: "bob" }))).toEqual([bob.session.id]);
    expect(await all({ subject: "carol" })).toEqual([]);
    const [first, ...rest] = idsOf([session, bob.session, child.session]);
    const paged = await here.gateSessions.list(place.manager, place.frontdoorId, {}, { size: 1, token: "" });
    expect(idsOf(paged.items)).toEqual([first]);
    const next = { size: 5, token: paged.nextPageToken };
    expect(idsOf((await here.gateSessions.list(place.manager, place.frontdoorId, {}, next)).items)).toEqual(
      rest,
    );
    expect(
      await reasonOf(here.gateSessions.list(place.manager, place.frontdoorId, { subject: "bob" }, next)),
    ).toBe("INVALID_REQUEST");
    await here.room.providers.update(place.manager, { ...place, id: place.oidcId }, { enabled: false });
    expect(idsOf(await all())).toEqual([child.session.id]);
    here.context.pass((parent.session.expiresAt.getTime() - here.context.clock.now().getTime()) / 1000);
    expect(await all()).toEqual([]);
  });

  it("are managers' to see and to end, where they belong", async () => {
    const { session, cookie } = await begin(here, place);
    const viewer = toMachine(place.orgId, "viewer");
    const stranger = toMachine(await here.room.createOrganization(), "owner");
    const other = await createPlace(here);
    const { gateSessions } = here;
    const holder = { frontdoorId: place.frontdoorId, providerId: place.oidcId, subject: "alice" };
    for (const [caller, refusal] of [
      [viewer, "NOT_AUTHORIZED"],
      [stranger, "FRONTDOOR_NOT_FOUND"],
    ] as const) {
      expect(await reasonOf(gateSessions.list(caller, place.frontdoorId, {}, page))).toBe(refusal);
      expect(await reasonOf(gateSessions.end(caller, place.frontdoorId, session.id))).toBe(refusal);
      expect(await reasonOf(gateSessions.endAll(caller, holder))).toBe(refusal);
    }
    for (const [door, id] of [
      [other.frontdoorId, session.id],
      [place.frontdoorId, newId(new Date())],
      [place.frontdoorId, "nonsense"],
    ] as const) {
      const caller = door === place.frontdoorId ? place.manager : other.manager;
      expect(await reasonOf(gateSessions.end(caller, door, id))).toBe("GATE_SESSION_NOT_FOUND");
    }
    expect(
      await reasonOf(gateSessions.endAll(other.manager, { ...holder, frontdoorId: other.frontdoorId })),
    ).toBe("AUTH_PROVIDER_NOT_FOUND");
    expect(await reason(cookie)).toBe("IDENTIFIED");
  });

  it("end one by one, once, at once everywhere, and are recorded", async () => {
    const { session, cookie } = await begin(here, place);
    const { cookie: other } = await begin(here, place);
    await letIn(cookie);
    const end = () => here.gateSessions.end(place.manager, place.frontdoorId, session.id.toUpperCase());
    const ends = await Promise.allSettled([end(), end()]);
    expect(ends.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await expectOverAtOnce(cookie);
    expect(await reason(other)).toBe("IDENTIFIED");
    expect(here.room.events.filter(({ action }) => action === "gate_session.end")).toEqual([
      {
        action: "gate_session.end",
        target: session.id,
        orgId: place.orgId,
        details: {
          frontdoor: place.frontdoorId,
          frontend: place.frontendId,
          provider: place.oidcId,
          subject: "alice",
          because: "manager",
        },
      },
    ]);
  });

  it("end together, of one holder of one provider", async () => {
    const cookies = [(await begin(here, place)).cookie, (await begin(here, place)).cookie];
    const { cookie: bobs } = await begin(here, place, { identity: toIdentity({ subject: "bob" }) });
    for (const cookie of cookies) await letIn(cookie);
    const holder = {
      frontdoorId: place.frontdoorId,
      providerId: place.oidcId.toUpperCase(),
      subject: "alice",
    };
    expect(await here.gateSessions.endAll(place.manager, holder)).toBe(2);
    for (const cookie of cookies) await expectOverAtOnce(cookie);
    expect(await reason(bobs)).toBe("IDENTIFIED");
    expect(await here.gateSessions.endAll(place.manager, holder)).toBe(0);
  });

  it("are listed and ended by their holder alone, of those that hang on their own session", async () => {
    const { userId, caller, child } = await comeIn();
    const second = await comeIn({ id: userId });
    const { caller: stranger, child: foreign } = await comeIn();
    await begin(here, place, { identity: toIdentity({ subject: userId }) });
    expect(idsOf(await here.gateSessions.listOwn(caller))).toEqual(
      idsOf([child.session, second.child.session]),
    );
    for (const id of [foreign.session.id, newId(new Date()), "nonsense"]) {
      expect(await reasonOf(here.gateSessions.endOwn(caller, id))).toBe("GATE_SESSION_NOT_FOUND");
    }
    await letIn(child.cookie);
    await here.gateSessions.endOwn(caller, child.session.id.toUpperCase());
    await expectOverAtOnce(child.cookie);
    expect(idsOf(await here.gateSessions.listOwn(caller))).toEqual([second.child.session.id]);
    expect(idsOf(await here.gateSessions.listOwn(stranger))).toEqual([foreign.session.id]);
    expect(await reasonOf(here.gateSessions.listOwn(place.manager))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(here.gateSessions.endOwn(place.manager, foreign.session.id))).toBe(
      "NOT_AUTHORIZED",
    );
  });

  it.each<[string, (person: Awaited<ReturnType<typeof comeIn>>) => Promise<unknown>]>([
    ["is signed out", ({ caller }) => people.sessions.signOut(caller as never)],
    ["is revoked", ({ caller, parent }) => people.sessions.revoke(caller, parent.session.id)],
    ["is one of all that are revoked", ({ caller }) => people.sessions.revokeAll(caller, false, [])],
  ])("end with the session that they hang on, when that %s", async (_what, end) => {
    const person = await comeIn();
    const { child: other } = await comeIn();
    await letIn(person.child.cookie);
    await end(person);
    for (const process of [here, there]) await expectOver(person.child.cookie, process);
    expect(await reason(other.cookie)).toBe("IDENTIFIED");
  });

  it("hang on a session that is there, or do not begin", async () => {
    const { parent, caller, userId } = await comeIn();
    await people.sessions.revoke(caller, parent.session.id);
    const late = begin(here, place, {
      provider: { id: place.ownId, revision: 1 },
      identity: toIdentity({ subject: userId }),
      parentSessionId: parent.session.id,
    });
    await expect(late).rejects.toThrow();
  });

  it("outlive that their holder proves themselves again", async () => {
    const { userId, parent, child } = await comeIn();
    await letIn(child.cookie);
    const live = await people.authenticator.findByCookie(parent.cookie);
    await signInDatabase.transaction(async (tx) => {
      const replaces = live ? [live] : [];
      const again = await people.sessions.begin(tx, {
        userId,
        strategy: "passkey",
        device: unknownDevice,
        replaces,
        browserKeys: [],
      });
      await people.feed.append(tx, ...again.changes);
    });
    await letIn(child.cookie);
  });

  it("end for good once their provider is disabled, or is another one", async () => {
    const ref = { ...place, id: place.oidcId };
    const { providers } = here.room;
    const data = { issuer: "https://id.example.org", clientId: "app" };
    for (const change of [
      [{ enabled: false }, { enabled: true }],
      [{ data: { issuer: "https://other.example.org" } }, { data }],
      [{ data: { clientId: "other" } }, { data }],
    ]) {
      const { revision } = await providers.get(place.manager, ref);
      const { cookie } = await begin(here, place, { provider: { id: place.oidcId, revision } });
      await letIn(cookie);
      for (const step of change) await providers.update(place.manager, ref, step);
      await expectOverAtOnce(cookie);
    }
    const { revision } = await providers.get(place.manager, ref);
    const { cookie } = await begin(here, place, { provider: { id: place.oidcId, revision } });
    await providers.update(place.manager, ref, { name: "renamed", data: { scopes: ["openid"] } });
    await letIn(cookie);
  });

  it("are removed by the sweep when they are over, or what they were for is gone", async () => {
    const { session: kept } = await begin(here, place, { maxAgeSeconds: 7200 });
    await begin(here, place, { maxAgeSeconds: 60 });
    const [gone, deleted, closed] = [
      await createPlace(here),
      await createPlace(here),
      await createPlace(here),
    ];
    for (const each of [gone, deleted, closed]) {
      for (let begun = 0; begun < 3; begun += 1) await begin(here, each, { maxAgeSeconds: 7200 });
    }
    here.context.pass(60);
    await here.room.frontends.delete(gone.manager, { ...gone, id: gone.frontendId });
    await here.room.providers.delete(deleted.manager, { ...deleted, id: deleted.oidcId }, {});
    await under.database.transaction((tx) =>
      tx.deleteFrom("frontdoors").where("id", "=", closed.frontdoorId).execute(),
    );
    for (const { run } of here.sweeps ?? []) await run();
    const rows = await under.database.reader.selectFrom("gate_sessions").select("id").execute();
    const places = [gone, deleted, closed, place].map(({ frontdoorId }) => frontdoorId);
    const left = await under.database.reader
      .selectFrom("gate_sessions")
      .select("id")
      .where("frontdoor_id", "in", places)
      .execute();
    expect(left).toEqual([{ id: kept.id }]);
    expect(rows.map(({ id }) => id)).toContain(kept.id);
  });

  it("are proven anew under their old end, by another cookie, if they are the same holder's", async () => {
    const { session, cookie } = await begin(here, place);
    await letIn(cookie);
    here.context.pass(1800);
    const renewed = await begin(here, place, { renews: session.id });
    expect(renewed.session).toMatchObject({ id: session.id, expiresAt: session.expiresAt });
    await expectOverAtOnce(cookie);
    await letIn(renewed.cookie);
    const bobs = await begin(here, place, { renews: session.id, identity: toIdentity({ subject: "bob" }) });
    expect(bobs.session.id).not.toBe(session.id);
    await expectOverAtOnce(renewed.cookie);
    await letIn(bobs.cookie);
    const late = await begin(here, place, { renews: session.id });
    expect(late.session.id).not.toBe(session.id);
    const other = await createPlace(here);
    await begin(here, other, { renews: late.session.id });
    await letIn(late.cookie);
  });
});
