import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { raceForUser } from "../../../test/parts/races.ts";
import { toBegin, toFinish } from "../auth/test-support.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { insertMember } from "../organizations/member-store.ts";
import { insertOrganization } from "../organizations/store.ts";
import { newRequestInfo } from "../sessions/test-support.ts";
import { findUser, findUserByEmail } from "../users/store.ts";
import { type AccountParts, openAccounts, type SignedIn } from "./test-support.ts";

const reasonOf = (call: Promise<unknown>) =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof DomainError ? error.reason : String(error)),
  );

describeDatabases("leaving", (under) => {
  let nowMs = Date.now();
  const clock = { now: () => new Date(nowMs) };
  let here: AccountParts;
  let there: AccountParts;

  beforeAll(async () => {
    here = await openAccounts(under.database, { clock });
    there = await openAccounts(await under.openAnother(), { clock });
  });
  afterAll(async () => {
    await here.close();
    await there.close();
  });
  beforeEach(() => {
    nowMs = Date.now();
    here.mails.length = 0;
    here.signIn.parts.events.length = 0;
  });

  let count = 0;
  const newEmail = (name = "ada") => `${name}-${count++}-${under.dialect}@example.org`;
  const leave = (person: SignedIn, at = here) => at.deletion.delete(person.caller);

  async function addOrganization(...owners: readonly SignedIn[]): Promise<string> {
    const now = clock.now();
    const id = newId(now);
    const made = { id, name: id, title: "", metadata: {}, avatar: "", state: "enabled" } as const;
    await under.database.transaction(async (tx) => {
      await insertOrganization(tx, { ...made, createdAt: now, updatedAt: now });
      for (const owner of owners) await insertMember(tx, { orgId: id, userId: owner.id, role: "owner" }, now);
    });
    return id;
  }

  async function beginChange(person: SignedIn, email: string) {
    const { state } = await here.emailChange.begin(person.caller, email, person.header);
    await here.drain();
    const text = here.mails.findLast(({ to }) => to === email)?.text ?? "";
    const code = /^([2-9B-Z]{6})$/m.exec(text)?.[1] ?? "";
    return () => here.emailChange.finish(person.caller, { state, code }, person.header);
  }

  it("takes all of the account, tells its address, and the next one by it is somebody else (22)", async () => {
    const email = newEmail();
    const phone = await here.signInByMail(email);
    const person = await here.signInByMail(email);
    const other = await here.signInByMail(newEmail());
    await addOrganization(person, other);
    const browser = randomBytes(32).toString("base64url");
    const { state } = await here.signIn.service.begin(toBegin({ email, browser }));
    await here.signIn.service.drain();
    const pending = toFinish({ state, code: here.mail.sent.get(email) ?? "", browsers: [browser] });

    await leave(person);
    expect(await findUser(under.database.reader, person.id)).toBeUndefined();
    expect(here.mails).toMatchObject([{ to: email, subject: "Your account was deleted" }]);
    for (const { caller } of [person, phone]) {
      const { sessionId } = caller.principal;
      const authenticated = here.signIn.parts.authenticator.authenticateSession(sessionId);
      expect(await reasonOf(authenticated)).toBe("NOT_AUTHENTICATED");
    }
    expect(await reasonOf(here.signIn.service.finish(pending))).toBe("INVALID_FLOW");
    expect(await reasonOf(leave(person))).toBe("REAUTH_REQUIRED");

    const again = await here.signInByMail(email);
    expect(again.id).not.toBe(person.id);
    const members = under.database.reader.selectFrom("memberships").selectAll();
    expect(await members.where("user_id", "in", [person.id, again.id]).execute()).toEqual([]);
  });

  it("needs a sign-in of the last ten minutes, and the session itself", async () => {
    const person = await here.signInByMail(newEmail());
    const principal = { ...person.caller.principal, credentialKind: "access_token" } as const;
    expect(await reasonOf(here.deletion.delete({ ...person.caller, principal }))).toBe("NOT_AUTHORIZED");
    nowMs += 600_001;
    expect(await reasonOf(leave(person))).toBe("REAUTH_REQUIRED");
    nowMs -= 1;
    expect(await reasonOf(leave(person))).toBe("done");
  });

  it("leaves no organization without an owner, and names them (20)", async () => {
    const person = await here.signInByMail(newEmail());
    const orgIds = [await addOrganization(person), await addOrganization(person)];
    await expect(leave(person)).rejects.toMatchObject({
      reason: "LAST_OWNER",
      kind: "failed_precondition",
      metadata: { org_ids: orgIds.toSorted().join(",") },
    });
    expect(await findUser(under.database.reader, person.id)).toBeDefined();
    expect(here.mails).toEqual([]);
  });

  it("leaves one of two owners who leave at once", async () => {
    for (let round = 0; round < 5; round++) {
      const [ada, bea] = [await here.signInByMail(newEmail()), await here.signInByMail(newEmail("bea"))];
      await addOrganization(ada, bea);
      const outcomes = await Promise.all([reasonOf(leave(ada)), reasonOf(leave(bea, there))]);
      expect(outcomes.toSorted()).toEqual(["LAST_OWNER", "done"]);
    }
  });

  it("waits while a change of the address can be undone, which a superuser need not", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const person = await here.signInByMail(from);
    const finished = await (await beginChange(person, to))();
    const moved = await here.present(finished, person.header);
    const until = new Date(nowMs + 7 * 24 * 3_600_000).toISOString();
    await expect(leave(moved)).rejects.toMatchObject({ reason: "EMAIL_UNDO_OPEN", metadata: { until } });
    nowMs += 7 * 24 * 3_600_000;
    expect(await reasonOf(leave(await here.signInByMail(to)))).toBe("done");
  });

  it.each([true, false])(
    "and a change of the address come one after the other (change first: %s)",
    async (isFirst) => {
      const [from, to] = [newEmail(), newEmail()];
      const person = await here.signInByMail(from);
      const change = await beginChange(person, to);
      const starts = [change, () => leave(person, there)];
      const outcomes = await raceForUser(under, person.id, isFirst ? starts : starts.toReversed());
      // SQLite has one transaction at a time, and the change has taken its flow in one of its own.
      const isChanged = outcomes[isFirst ? 0 : 1]?.status === "fulfilled";
      if (under.dialect === "postgres") expect(isChanged).toBe(isFirst);
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      const found = await findUserByEmail(under.database.reader, to);
      expect(found?.id).toBe(isChanged ? person.id : undefined);
      if (!isChanged) return;
      expect(outcomes[isFirst ? 1 : 0]).toMatchObject({ reason: { reason: "EMAIL_UNDO_OPEN" } });
      const token = /undo\?t=([\w-]+)/.exec(here.mails.findLast((mail) => mail.to === from)?.text ?? "")?.[1];
      expect(await here.emailUndo.undo(token ?? "", newRequestInfo())).toBe(from);
    },
  );
});
