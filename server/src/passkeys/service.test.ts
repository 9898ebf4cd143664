import { randomBytes } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { raceForUser } from "../../../test/parts/races.ts";
import type { Database } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import type { Caller } from "../principals/principal.ts";
import { holdSession } from "../sessions/store.ts";
import {
  addUser,
  newRequestInfo,
  openSessions,
  type SessionParts,
  unknownDevice,
} from "../sessions/test-support.ts";
import { hasWayInWithoutPasskey } from "../users/identity-service.ts";
import { insertIdentity } from "../users/identity-store.ts";
import { requireNoUndo } from "../users/undo.ts";
import { maxPasskeys, type Passkey } from "./passkey.ts";
import { type NewPasskey, PasskeyService } from "./service.ts";
import { findPasskeyByCredentialId } from "./store.ts";

const noId = "019a0000-0000-7000-8000-000000000000";

function reasonsOf(outcomes: readonly PromiseSettledResult<unknown>[]): string[] {
  return outcomes.map((outcome) => {
    if (outcome.status === "fulfilled") return "ok";
    return outcome.reason instanceof DomainError ? outcome.reason.reason : String(outcome.reason);
  });
}

async function reasonOf(call: Promise<unknown>): Promise<string | undefined> {
  return reasonsOf(await Promise.allSettled([call]))[0];
}

describeDatabases("passkeys of a person", (under) => {
  let now: Date;
  let events: SessionParts["events"];
  let mails: string[];
  let sessions: SessionParts;
  let passkeys: PasskeyService;
  let another: PasskeyService;

  beforeAll(async () => {
    const clock = { now: () => now };
    now = new Date();
    sessions = await openSessions(under.database, clock);
    const create = (database: Database) =>
      new PasskeyService({
        database,
        audit: sessions.audit,
        clock,
        holdSession,
        hasOtherWayIn: hasWayInWithoutPasskey,
        requireRemovable: (tx, userId, since) => requireNoUndo(tx, userId, now, since),
        notify: (email, event, name) => void mails.push(`${email} ${event} ${name}`),
      });
    passkeys = create(under.database);
    // SQLite has one process alone.
    another = under.dialect === "postgres" ? create(await under.openAnother()) : passkeys;
    return () => sessions.close();
  });

  beforeEach(() => {
    now = new Date();
    mails = [];
    events = sessions.events;
    events.length = 0;
  });

  /** Somebody with a live session. */
  async function newPerson(emailProven = true) {
    return await signIn({ emailProven, ...(await addUser(under.database, { emailProven })) });
  }

  /** The same person in one more session. */
  async function signIn({ id, email, emailProven }: { id: string; email: string; emailProven: boolean }) {
    const { session } = await under.database.transaction((tx) =>
      sessions.sessions.begin(tx, {
        userId: id,
        device: unknownDevice,
        strategy: "mailotp",
        browserKeys: [],
        replaces: [],
      }),
    );
    const principal = {
      type: "user",
      id,
      email,
      emailProven,
      sessionId: session.id,
      superuser: false,
      authVia: "session",
      credentialKind: "session",
    } as const;
    return { id, userId: id, email, emailProven, principal, request: newRequestInfo() };
  }

  const machine: Caller = {
    principal: {
      type: "serviceuser",
      id: noId,
      orgId: noId,
      role: "owner",
      superuser: true,
      credentialId: "c",
      authVia: "client_credentials",
      credentialKind: "client_secret",
    },
    request: newRequestInfo(),
  };

  function newPasskey(userId: string, rest: Partial<NewPasskey> = {}): NewPasskey {
    return {
      userId,
      credentialId: randomBytes(16).toString("base64url"),
      publicKey: new Uint8Array(randomBytes(77)),
      counter: 0,
      transports: ["internal", "hybrid"],
      isSynced: true,
      isBackedUp: true,
      ...rest,
    };
  }

  /** Lets time pass, in milliseconds: ids are in order from one to the next. */
  const pass = (ms: number) => {
    now = new Date(now.getTime() + ms);
  };
  const find = async (passkey: Passkey) =>
    await findPasskeyByCredentialId(under.database.reader, passkey.credentialId);
  const namesOf = async (caller: Caller) => (await passkeys.list(caller)).map(({ name }) => name);

  describe("add", () => {
    it("stores what was verified, records it and tells the owner", async () => {
      const owner = await newPerson();
      const fresh = newPasskey(owner.userId, { counter: 7, isSynced: false });
      const added = await passkeys.add(owner, fresh);
      expect(added).toEqual({ ...fresh, id: expect.any(String), name: "Passkey", createdAt: now });
      expect(await passkeys.list(owner)).toEqual([added]);
      expect(events).toEqual([{ action: "passkey.add", target: added.id, details: { name: "Passkey" } }]);
      expect(mails).toEqual([`${owner.email} added Passkey`]);
    });

    it("names each by the next number that is free", async () => {
      const owner = await newPerson();
      const first = await passkeys.add(owner, newPasskey(owner.userId));
      pass(1);
      await passkeys.add(owner, newPasskey(owner.userId));
      await passkeys.rename(owner, first.id, "Passkey 3");
      pass(1);
      await passkeys.add(owner, newPasskey(owner.userId));
      expect(await namesOf(owner)).toEqual(["Passkey 3", "Passkey 2", "Passkey 4"]);
    });

    it("refuses a passkey that is registered, to its owner and to others", async () => {
      const [owner, stranger] = [await newPerson(), await newPerson()];
      const { credentialId } = await passkeys.add(owner, newPasskey(owner.userId));
      events.length = 0;
      mails.length = 0;
      for (const caller of [owner, stranger]) {
        const again = newPasskey(caller.userId, { credentialId });
        expect(await reasonOf(passkeys.add(caller, again))).toBe("PASSKEY_TAKEN");
      }
      expect(await namesOf(owner)).toEqual(["Passkey"]);
      expect(await namesOf(stranger)).toEqual([]);
      expect(mails).toEqual([]);
    });

    it("refuses where the session is over, another's or a machine's, or the user is gone", async () => {
      const [owner, stranger] = [await newPerson(), await newPerson()];
      expect(await reasonOf(passkeys.add(stranger, newPasskey(owner.userId)))).toBe("INVALID_FLOW");
      expect(await reasonOf(passkeys.add(machine, newPasskey(owner.userId)))).toBe("NOT_AUTHORIZED");
      expect(await reasonOf(passkeys.add(owner, newPasskey(noId)))).toBe("USER_NOT_FOUND");
      await under.database.transaction((tx) => sessions.sessions.endAll(tx, owner.userId));
      expect(await reasonOf(passkeys.add(owner, newPasskey(owner.userId)))).toBe("INVALID_FLOW");
      expect(await namesOf(owner)).toEqual([]);
      expect([...events, ...mails]).toEqual([]);
    });

    it(`refuses the one after ${maxPasskeys}, also of two at once`, async () => {
      const owner = await newPerson();
      for (let count = 1; count < maxPasskeys; count++) await passkeys.add(owner, newPasskey(owner.userId));
      events.length = 0;
      mails.length = 0;
      const elsewhere = await signIn(owner);
      const outcomes = await raceForUser(under, owner.userId, [
        () => passkeys.add(owner, newPasskey(owner.userId)),
        () => another.add(elsewhere, newPasskey(owner.userId)),
      ]);
      expect(reasonsOf(outcomes).sort()).toEqual(["TOO_MANY_PASSKEYS", "ok"]);
      const names = await namesOf(owner);
      expect(names).toHaveLength(maxPasskeys);
      expect(new Set(names).size).toBe(maxPasskeys);
      expect(events).toHaveLength(1);
      expect(mails).toEqual([`${owner.email} added Passkey ${maxPasskeys}`]);
    });

    it("stores a passkey once of two at once", async () => {
      const owner = await newPerson();
      const fresh = newPasskey(owner.userId);
      const outcomes = await raceForUser(
        under,
        owner.userId,
        [passkeys, another].map((service) => () => service.add(owner, fresh)),
      );
      expect(reasonsOf(outcomes).sort()).toEqual(["PASSKEY_TAKEN", "ok"]);
      expect(await namesOf(owner)).toEqual(["Passkey"]);
      expect(mails).toHaveLength(1);
    });
  });

  describe("list", () => {
    it("answers the caller's own, oldest first, to people alone", async () => {
      const [owner, stranger] = [await newPerson(), await newPerson()];
      const added: Passkey[] = [];
      for (let count = 0; count < 3; count++) {
        added.push(await passkeys.add(owner, newPasskey(owner.userId)));
        pass(1);
      }
      expect(await passkeys.list(owner)).toEqual(added);
      expect(await passkeys.list(stranger)).toEqual([]);
      expect(await reasonOf(passkeys.list(machine))).toBe("NOT_AUTHORIZED");
    });
  });

  describe("rename", () => {
    it("gives the caller's own another name, and records it", async () => {
      const owner = await newPerson();
      const added = await passkeys.add(owner, newPasskey(owner.userId));
      mails.length = 0;
      events.length = 0;
      const renamed = await passkeys.rename(owner, added.id.toUpperCase(), "Ada’s phone");
      expect(renamed).toEqual({ ...added, name: "Ada’s phone" });
      expect(await passkeys.list(owner)).toEqual([renamed]);
      expect(events).toEqual([
        {
          action: "passkey.rename",
          target: added.id,
          details: { name: "Ada’s phone" },
        },
      ]);
      expect(mails).toEqual([]);
    });

    it("refuses another's like one that there is not", async () => {
      const [owner, stranger] = [await newPerson(), await newPerson()];
      const { id } = await passkeys.add(owner, newPasskey(owner.userId));
      events.length = 0;
      expect(await reasonOf(passkeys.rename(stranger, id, "mine"))).toBe("PASSKEY_NOT_FOUND");
      expect(await reasonOf(passkeys.rename(owner, noId, "mine"))).toBe("PASSKEY_NOT_FOUND");
      expect(await reasonOf(passkeys.rename(machine, id, "mine"))).toBe("NOT_AUTHORIZED");
      expect(await namesOf(owner)).toEqual(["Passkey"]);
      expect(events).toEqual([]);
    });
  });

  describe("delete", () => {
    it("removes the caller's own, records it and tells the owner by what name it went", async () => {
      const owner = await newPerson();
      const added = await passkeys.add(owner, newPasskey(owner.userId));
      await passkeys.rename(owner, added.id, "Phone");
      events.length = 0;
      mails.length = 0;
      await passkeys.delete(owner, added.id.toUpperCase());
      expect(await passkeys.list(owner)).toEqual([]);
      expect(events).toEqual([{ action: "passkey.remove", target: added.id }]);
      expect(mails).toEqual([`${owner.email} removed Phone`]);
      // The same device may be registered anew.
      await passkeys.add(owner, newPasskey(owner.userId, { credentialId: added.credentialId }));
    });

    it("refuses another's like one that there is not", async () => {
      const [owner, stranger] = [await newPerson(), await newPerson()];
      const { id } = await passkeys.add(owner, newPasskey(owner.userId));
      events.length = 0;
      mails.length = 0;
      expect(await reasonOf(passkeys.delete(stranger, id))).toBe("PASSKEY_NOT_FOUND");
      expect(await reasonOf(passkeys.delete(owner, noId))).toBe("PASSKEY_NOT_FOUND");
      expect(await reasonOf(passkeys.delete(machine, id))).toBe("NOT_AUTHORIZED");
      expect(await namesOf(owner)).toEqual(["Passkey"]);
      expect([...events, ...mails]).toEqual([]);
    });

    it("refuses the last way in: no proven address, no identity, no other passkey", async () => {
      const owner = await newPerson(false);
      const first = await passkeys.add(owner, newPasskey(owner.userId));
      events.length = 0;
      mails.length = 0;
      expect(await reasonOf(passkeys.delete(owner, first.id))).toBe("LAST_WAY_IN");
      expect(await passkeys.list(owner)).toEqual([first]);
      expect([...events, ...mails]).toEqual([]);

      const second = await passkeys.add(owner, newPasskey(owner.userId));
      await passkeys.delete(owner, first.id);
      expect(await reasonOf(passkeys.delete(owner, second.id))).toBe("LAST_WAY_IN");
      const identity = { issuer: "https://idp.example", subject: owner.userId, strategy: "idp", email: "" };
      await under.database.transaction((tx) =>
        insertIdentity(tx, { ...identity, gaveEmail: false, userId: owner.userId, createdAt: now }),
      );
      await passkeys.delete(owner, second.id);
      expect(await passkeys.list(owner)).toEqual([]);
    });

    it("keeps one of the last two that are removed at once", async () => {
      const owner = await newPerson(false);
      const both = [
        await passkeys.add(owner, newPasskey(owner.userId)),
        await passkeys.add(owner, newPasskey(owner.userId)),
      ] as const;
      events.length = 0;
      mails.length = 0;
      const outcomes = await raceForUser(under, owner.userId, [
        () => passkeys.delete(owner, both[0].id),
        () => another.delete(owner, both[1].id),
      ]);
      expect(reasonsOf(outcomes).sort()).toEqual(["LAST_WAY_IN", "ok"]);
      expect(await passkeys.list(owner)).toHaveLength(1);
      expect(events).toHaveLength(1);
      expect(mails).toHaveLength(1);
    });

    it("removes one once of two calls at once", async () => {
      const owner = await newPerson();
      const { id } = await passkeys.add(owner, newPasskey(owner.userId));
      mails.length = 0;
      const outcomes = await raceForUser(
        under,
        owner.userId,
        [passkeys, another].map((service) => () => service.delete(owner, id)),
      );
      expect(reasonsOf(outcomes).sort()).toEqual(["PASSKEY_NOT_FOUND", "ok"]);
      expect(mails).toEqual([`${owner.email} removed Passkey`]);
    });
  });

  describe("a use", () => {
    const bound = (counter: number) => ({ counter, isSynced: false, isBackedUp: false });
    const synced = (counter: number) => ({ counter, isSynced: true, isBackedUp: true });

    it("is noted with its instant; the counter never goes back, whichever of two is stored last", async () => {
      const owner = await newPerson();
      const added = await passkeys.add(owner, newPasskey(owner.userId, bound(5)));
      await passkeys.noteUse(added, bound(9));
      expect(await find(added)).toEqual({ ...added, counter: 9, lastUsedAt: now });
      pass(1000);
      await passkeys.noteUse(added, bound(8));
      expect(await find(added)).toEqual({ ...added, counter: 9, lastUsedAt: now });
      await Promise.all([passkeys.noteUse(added, bound(12)), another.noteUse(added, bound(11))]);
      expect((await find(added))?.counter).toBe(12);
      await passkeys.noteUse({ ...added, id: noId }, bound(1));
    });

    it("tells that a passkey has become synced, which is recorded once and stays", async () => {
      const owner = await newPerson();
      const added = await passkeys.add(owner, newPasskey(owner.userId, bound(5)));
      events.length = 0;
      await Promise.all([passkeys.noteUse(added, synced(0)), another.noteUse(added, synced(0))]);
      await passkeys.noteUse(added, bound(99));
      expect(await find(added)).toMatchObject({ counter: 0, isSynced: true });
      expect(events).toEqual([{ action: "passkey.sync", target: added.id, details: { user: owner.userId } }]);
    });

    it("whose counter went back is recorded with both counters", async () => {
      const owner = await newPerson();
      const added = await passkeys.add(owner, newPasskey(owner.userId, { counter: 5 }));
      events.length = 0;
      passkeys.noteCounterRegression(added, 4);
      await expect
        .poll(() => events)
        .toEqual([
          {
            action: "passkey.counter_regression",
            target: added.id,
            details: { user: owner.userId, counters: "stored 5, presented 4" },
          },
        ]);
    });
  });
});
