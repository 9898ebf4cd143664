import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { raceForUser } from "../../../test/parts/races.ts";
import { deleteFlowsOf } from "../auth/flow-store.ts";
import { toBegin, toFinish } from "../auth/test-support.ts";
import { Avatars } from "../avatars/avatars.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { findPasskeys, insertPasskey } from "../passkeys/store.ts";
import { newRequestInfo } from "../sessions/test-support.ts";
import { findIdentities } from "../users/identity-store.ts";
import { UserService } from "../users/service.ts";
import { findUser, findUserByEmail, insertUser } from "../users/store.ts";
import { deleteExpiredUndos } from "../users/undo-store.ts";
import { toNewUser } from "../users/user.ts";
import { type AccountParts, newBrowserHeader, openAccounts, type SignedIn } from "./test-support.ts";

const dayMs = 24 * 3_600_000;

const reasonOf = (call: Promise<unknown>) =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof DomainError ? error.reason : String(error)),
  );

describeDatabases("an account's address", (under) => {
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
  const find = (id: string) => findUser(under.database.reader, id);
  const mailTo = (email: string) => here.mails.findLast(({ to }) => to === email);
  const codeIn = (email: string) => /^([2-9B-Z]{6})$/m.exec(mailTo(email)?.text ?? "")?.[1] ?? "";
  const tokenIn = (email: string) => /undo\?t=([\w-]{43})/.exec(mailTo(email)?.text ?? "")?.[1] ?? "";
  const actions = () => here.signIn.parts.events.map(({ action }) => action);

  async function begin({ caller, header }: SignedIn, email: string) {
    const { state } = await here.emailChange.begin(caller, email, header);
    await here.drain();
    return { state, code: codeIn(email) };
  }

  const finish = ({ caller, header }: SignedIn, answer: { state: string; code: string }, at = here) =>
    at.emailChange.finish(caller, answer, header);

  /** Changes an address, and answers what undoes that. */
  async function move(person: SignedIn, from: string, to: string) {
    const finished = await finish(person, await begin(person, to));
    return { token: tokenIn(from), person: await here.present(finished, person.header) };
  }

  const isLive = (person: SignedIn) =>
    reasonOf(here.signIn.parts.authenticator.authenticateSession(person.caller.principal.sessionId)).then(
      (reason) => reason === "done",
    );

  const undo = (token: string, at = here) => at.emailUndo.undo(token, newRequestInfo());

  async function addPasskey(userId: string): Promise<string> {
    const id = newId(clock.now());
    const key = {
      credentialId: id,
      publicKey: new Uint8Array(1),
      counter: 0,
      transports: [],
      isSynced: false,
      isBackedUp: false,
    };
    await under.database.transaction((tx) =>
      insertPasskey(tx, { ...key, id, userId, name: "P", createdAt: clock.now() }),
    );
    return id;
  }

  it("changes nothing until the code is back, then all at once (16, 17)", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const phone = await here.signInByMail(from);
    const person = await here.signInByMail(from);
    const begun = await begin(person, to);
    expect(mailTo(to)?.subject).toContain(begun.code);
    expect(await find(person.id)).toMatchObject({ email: from });
    const again = await here.signInByMail(from);
    expect(again.id).toBe(person.id);

    // Codes under way for either address.
    const flows = [];
    for (const email of [from, to]) {
      const browser = randomBytes(32).toString("base64url");
      const { state } = await here.signIn.service.begin(toBegin({ email, browser }));
      await here.signIn.service.drain();
      flows.push(toFinish({ state, code: here.mail.sent.get(email) ?? "", browsers: [browser] }));
    }

    const finished = await finish(person, { ...begun, code: ` ${begun.code.toLowerCase()} ` });
    expect(finished.user).toMatchObject({ id: person.id, email: to, emailProven: true });
    expect(await Promise.all([phone, again, person].map(isLive))).toEqual([false, false, false]);
    const renewed = await here.present(finished, person.header);
    expect(renewed.caller.principal).toMatchObject({ id: person.id, email: to, superuser: false });
    for (const flow of flows) expect(await reasonOf(here.signIn.service.finish(flow))).toBe("INVALID_FLOW");
    expect(await reasonOf(finish(renewed, begun))).toBe("INVALID_FLOW");
    expect((await here.signInByMail(to)).id).toBe(person.id);
    expect(here.signIn.parts.events).toContainEqual({
      action: "user.change_email",
      target: person.id,
      mailbox: from,
      details: { email: to, previous_email: from, sessions: "3" },
    });
  });

  it("is told at the old mailbox, which can undo it (15)", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const { token, person } = await move(await here.signInByMail(from), from, to);
    expect(mailTo(from)).toMatchObject({ subject: "The address of your account was changed" });
    expect(mailTo(from)?.text).toContain(to);
    await addPasskey(person.id);
    expect(await here.emailUndo.look(token)).toMatchObject({ from, to });
    expect(await find(person.id)).toMatchObject({ email: to });

    expect(await undo(token)).toBe(from);
    expect(await find(person.id)).toMatchObject({ email: from, emailProven: true });
    expect(await isLive(person)).toBe(false);
    expect(await findPasskeys(under.database.reader, person.id)).toEqual([]);
    expect(mailTo(from)?.subject).toBe("Your account has this address again");
    expect(mailTo(to)?.subject).toBe("The address of an account was taken back");
    expect(here.signIn.parts.events).toContainEqual({
      action: "user.undo_email_change",
      target: person.id,
      mailbox: from,
      details: { email: from, previous_email: to, sessions: "1", passkeys: "1", identities: "0", pats: "2" },
    });
    for (const gone of [token, "x", ""]) {
      expect(await reasonOf(undo(gone))).toBe("INVALID_FLOW");
      expect(await reasonOf(here.emailUndo.look(gone))).toBe("INVALID_FLOW");
    }
  });

  it("stays for 72 hours once it was taken back", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const { token } = await move(await here.signInByMail(from), from, to);
    await undo(token);
    const takenBackAt = nowMs;
    const other = newEmail();
    nowMs = takenBackAt + 72 * 3_600_000 - 1000;
    const soon = await here.signInByMail(from);
    const until = new Date(takenBackAt + 72 * 3_600_000).toISOString();
    await expect(begin(soon, other)).rejects.toMatchObject({
      reason: "EMAIL_CHANGE_PAUSED",
      metadata: { until },
    });
    nowMs += 1000;
    const { person } = await move(soon, from, other);
    expect(person.caller.principal.email).toBe(other);
  });

  it("takes from a thief what came after, and leaves what was there before", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const owner = await here.signInByMail(from);
    const old = await addPasskey(owner.id);
    nowMs += 1;
    const { token, person } = await move(owner, from, to);
    nowMs += 1;
    await addPasskey(owner.id);
    const joined = {
      issuer: "https://google.example",
      subject: to,
      emailVerified: true,
      isAuthoritative: true,
    };
    here.provider.people.set(to, { kind: "identity", ...joined, email: to });
    const browser = randomBytes(32).toString("base64url");
    const { state } = await here.signIn.service.begin(toBegin({ strategyName: "google", browser }));
    await here.signIn.service.finish(toFinish({ state, code: to, browsers: [browser] }));
    expect(await findIdentities(under.database.reader, person.id)).toHaveLength(1);
    await undo(token);
    expect((await findPasskeys(under.database.reader, owner.id)).map(({ id }) => id)).toEqual([old]);
    expect(await findIdentities(under.database.reader, owner.id)).toEqual([]);
  });

  it("is undone by the earliest for good, and by a later one no further than that", async () => {
    const [a, b, c] = [newEmail("a"), newEmail("b"), newEmail("c")];
    const first = await move(await here.signInByMail(a), a, b);
    nowMs += 1000;
    const second = await move(first.person, b, c);
    // The later one, by whoever reads b, leads back to b; a's still leads to a.
    expect(await undo(second.token)).toBe(b);
    expect(await find(first.person.id)).toMatchObject({ email: b });
    expect(await undo(first.token)).toBe(a);

    nowMs += 4 * dayMs;
    const third = await move(await here.signInByMail(a), a, b);
    nowMs += 1000;
    const fourth = await move(third.person, b, c);
    expect(await undo(third.token)).toBe(a);
    expect(await reasonOf(undo(fourth.token))).toBe("INVALID_FLOW");
    expect(await find(first.person.id)).toMatchObject({ email: a });
  });

  it("is held for the account for 7 days: nobody signs up with it or is given it, nothing opens by it", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const { token, person } = await move(await here.signInByMail(from), from, to);
    nowMs += 7 * dayMs - 1000;
    expect(await reasonOf(here.signInByMail(from))).toBe("ADDRESS_HELD");
    const identity = { issuer: "https://google.example", subject: from, emailVerified: true, email: from };
    const comeBy = async (isAuthoritative: boolean) => {
      const code = `${from} ${isAuthoritative}`;
      here.provider.people.set(code, { kind: "identity", ...identity, isAuthoritative });
      const browser = randomBytes(32).toString("base64url");
      const { state } = await here.signIn.service.begin(toBegin({ strategyName: "google", browser }));
      return await reasonOf(here.signIn.service.finish(toFinish({ state, code, browsers: [browser] })));
    };
    expect([await comeBy(true), await comeBy(false)]).toEqual(["ADDRESS_HELD", "LINK_REQUIRED"]);

    // Nor may another account have it, or this one but by the link.
    const other = newEmail("bea");
    nowMs += 1;
    for (const each of [await here.signInByMail(other), await here.signInByMail(to)]) {
      const { state, code } = await begin(each, from);
      expect(code).toBe("");
      expect(mailTo(from)?.subject).toBe("Somebody asked to use your address");
      expect(await reasonOf(finish(each, { state, code: "BCDFGH" }))).toBe("INVALID_OTP");
    }
    const users = openUsers();
    const root = toRoot(person);
    expect(await reasonOf(users.create(root, { email: from }))).toBe("USER_EXISTS");
    const { id } = (await findUserByEmail(under.database.reader, other)) ?? { id: "" };
    expect(await reasonOf(users.update(root, id, { email: from }))).toBe("USER_EXISTS");

    nowMs += 1000;
    expect(await reasonOf(undo(token))).toBe("INVALID_FLOW");
    const stranger = await here.signInByMail(from);
    expect(stranger.id).not.toBe(person.id);
    const swept = await under.database.transaction((tx) => deleteExpiredUndos(tx, clock.now(), 100));
    expect(swept).toBeGreaterThan(0);
  });

  const openUsers = () =>
    new UserService({
      database: under.database,
      feed: here.signIn.parts.feed,
      audit: here.signIn.parts.audit,
      avatars: new Avatars({ clock, publicUrl: "https://id.example.com" }),
      clock,
      endSessions: (tx, userId) => here.signIn.parts.sessions.endAll(tx, userId),
      endFlows: deleteFlowsOf,
      strikeOut: async () => {},
      onEmailChange: () => {},
    });
  const toRoot = ({ caller }: SignedIn) => ({
    ...caller,
    principal: { ...caller.principal, superuser: true },
  });

  it("is a superuser's to give: codes for either die, and nothing from before can be undone", async () => {
    const [a, b, c] = [newEmail("a"), newEmail("b"), newEmail("c")];
    const { token, person } = await move(await here.signInByMail(a), a, b);
    const pending = await begin(person, newEmail());
    const browser = randomBytes(32).toString("base64url");
    const { state } = await here.signIn.service.begin(toBegin({ email: b, browser }));
    await here.signIn.service.drain();
    const updated = await openUsers().update(toRoot(person), person.id, { email: c });
    expect(updated).toMatchObject({ email: c, emailProven: false });
    const code = here.mail.sent.get(b) ?? "";
    const old = toFinish({ state, code, browsers: [browser] });
    expect(await reasonOf(here.signIn.service.finish(old))).toBe("INVALID_FLOW");
    expect(await reasonOf(undo(token))).toBe("INVALID_FLOW");
    expect(await reasonOf(finish(person, pending))).toBe("INVALID_FLOW");
    // Back to the address that was held for them.
    expect(await openUsers().update(toRoot(person), person.id, { email: a })).toMatchObject({ email: a });
  });

  it("of another account is asked for as any other, and its mailbox is told (19)", async () => {
    const taken = newEmail("bea");
    await here.signInByMail(taken);
    const person = await here.signInByMail(newEmail());
    const { state, code } = await begin(person, taken.toUpperCase());
    expect([code, mailTo(taken)?.subject]).toEqual(["", "Somebody asked to use your address"]);
    expect(mailTo(taken)?.text).not.toContain(person.caller.principal.email);
    expect(await here.emailChange.peek(person.caller, state, person.header)).toBe(taken);
    const guesses = ["BCDFGH", "BCDFGH", "BCDFGH", "BCDFGH"];
    const outcomes = [];
    for (const guess of guesses) outcomes.push(await reasonOf(finish(person, { state, code: guess })));
    expect(outcomes).toEqual(["INVALID_OTP", "INVALID_OTP", "INVALID_OTP", "INVALID_FLOW"]);
    expect(actions()).toContain("user.refuse_email_change");
  });

  it("is not changed by three wrong codes, nor by the right one after them", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const person = await here.signInByMail(from);
    const { state, code } = await begin(person, to);
    const wrong = code === "BCDFGH" ? "BCDFGJ" : "BCDFGH";
    for (let tries = 0; tries < 3; tries++) {
      expect(await reasonOf(finish(person, { state, code: wrong }))).toBe("INVALID_OTP");
    }
    expect(await reasonOf(finish(person, { state, code }))).toBe("INVALID_FLOW");
    expect(await find(person.id)).toMatchObject({ email: from });
  });

  it("shares the count of wrong codes with sign-ins of the mailbox", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const person = await here.signInByMail(from);
    const network = { ...newRequestInfo(), clientAddress: "198.51.100.7" };
    for (let flow = 0; flow < 2; flow++) {
      const browser = randomBytes(32).toString("base64url");
      const { state } = await here.signIn.service.begin(toBegin({ email: to, browser }));
      for (let tries = 0; tries < 3; tries++) {
        const answer = toFinish({ state, code: "no", browsers: [browser], info: network });
        expect(await reasonOf(here.signIn.service.finish(answer))).toBe("INVALID_OTP");
      }
    }
    const begun = await begin(person, to);
    const there = { ...person, caller: { ...person.caller, request: network } };
    expect(await reasonOf(finish(there, begun))).toBe("INVALID_OTP");
    expect(await reasonOf(finish(person, begun))).toBe("done");
  });

  it("needs a sign-in of the last ten minutes, and the session, browser and code that belong together (18)", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const person = await here.signInByMail(from);
    nowMs += 600_000;
    const begun = await begin(person, to);
    nowMs += 1;
    await expect(begin(person, to)).rejects.toMatchObject({ reason: "REAUTH_REQUIRED" });
    const elsewhere = { ...person, header: newBrowserHeader() };
    expect(await reasonOf(finish(elsewhere, begun))).toBe("INVALID_AUTH_STATE");
    const again = { ...(await here.signInByMail(from)), header: person.header };
    expect(await reasonOf(finish(again, begun))).toBe("INVALID_AUTH_STATE");
    expect(await reasonOf(finish(person, { ...begun, state: "" }))).toBe("INVALID_FLOW");
    const byToken = {
      ...person.caller,
      principal: { ...person.caller.principal, credentialKind: "access_token" },
    };
    for (const call of [
      here.emailChange.begin(byToken as SignedIn["caller"], to, person.header),
      here.emailChange.finish(byToken as SignedIn["caller"], begun, person.header),
    ]) {
      expect(await reasonOf(call)).toBe("NOT_AUTHORIZED");
    }
    expect(await find(person.id)).toMatchObject({ email: from });
    nowMs += 600_000;
    expect(await reasonOf(finish(person, begun))).toBe("INVALID_FLOW");
  });

  it.each([
    "",
    "ada",
    "ada@",
    "ada@example.org\r\nBcc: x@example.org",
    "\u212aada@example.org",
    "ada@[127.0.0.1]",
  ])("is not %j", async (email) => {
    const person = await here.signInByMail(newEmail());
    await expect(begin(person, email)).rejects.toMatchObject({ reason: "INVALID_EMAIL" });
  });

  it("that nobody has proven is proven by the same calls, and is no other before", async () => {
    const email = newEmail();
    const identity = { issuer: "https://google.example", subject: email, email, emailVerified: true };
    here.provider.people.set(email, { kind: "identity", ...identity, isAuthoritative: false });
    const browser = randomBytes(32).toString("base64url");
    const { state } = await here.signIn.service.begin(toBegin({ strategyName: "google", browser }));
    const { begun } = await here.signIn.service.finish(toFinish({ state, code: email, browsers: [browser] }));
    if (begun === undefined) throw new Error("no session");
    const person = await here.present(begun);
    await expect(begin(person, newEmail())).rejects.toMatchObject({ reason: "ADDRESS_UNPROVEN" });
    const proven = await finish(person, await begin(person, email));
    expect(proven).toMatchObject({ user: { id: person.id, email, emailProven: true }, setCookies: [] });
    expect(await isLive(person)).toBe(true);
    expect(await findIdentities(under.database.reader, person.id)).toHaveLength(1);
    expect(here.mails.map(({ to }) => to)).toEqual([email]);
    const now = { ...person.caller.principal, emailProven: true };
    const again = { ...person, caller: { ...person.caller, principal: now } };
    await expect(begin(again, email)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  });

  it("becomes one account's, whichever of two asks first, and whoever signs up meanwhile", async () => {
    const to = newEmail();
    const [ada, bea] = [await here.signInByMail(newEmail()), await here.signInByMail(newEmail())];
    const begun = await begin(ada, to);
    const other = await begin(bea, to);
    // The first to come ends the other's.
    expect(await reasonOf(finish(bea, other))).toBe("done");
    expect(await reasonOf(finish(ada, begun))).toBe("INVALID_FLOW");

    const next = newEmail();
    const late = await begin(ada, next);
    const stranger = toNewUser(next, clock.now());
    await under.database.transaction((tx) => insertUser(tx, stranger));
    expect(await reasonOf(finish(ada, late))).toBe("INVALID_FLOW");
    expect(await reasonOf(finish(ada, late))).toBe("INVALID_FLOW");
    expect(await findUserByEmail(under.database.reader, next)).toMatchObject({ id: stranger.id });
  });

  it("is changed once, however many answers race in two processes", async () => {
    const [from, to] = [newEmail(), newEmail()];
    const person = await here.signInByMail(from);
    const begun = await begin(person, to);
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, index) => reasonOf(finish(person, begun, index % 2 ? here : there))),
    );
    expect(outcomes.filter((outcome) => outcome === "done")).toHaveLength(1);
    for (const outcome of outcomes) expect(["done", "INVALID_FLOW", "INVALID_OTP"]).toContain(outcome);
    // Whichever process made it has sent the mail.
    here.mails.push(...there.mails);
    const token = tokenIn(from);
    const undos = await Promise.all(
      Array.from({ length: 6 }, (_, index) => reasonOf(undo(token, index % 2 ? here : there))),
    );
    expect(undos.filter((outcome) => outcome === "done")).toHaveLength(1);
  });

  it.each([true, false])(
    "leaves no session to a sign-in by the old one that races the change (change first: %s)",
    async (isFirst) => {
      const [from, to] = [newEmail(), newEmail()];
      const person = await here.signInByMail(from);
      const begun = await begin(person, to);
      const browser = randomBytes(32).toString("base64url");
      const { state } = await there.signIn.service.begin(toBegin({ email: from, browser }));
      await there.signIn.service.drain();
      const answer = toFinish({ state, code: there.mail.sent.get(from) ?? "", browsers: [browser] });
      const change = () => finish(person, begun);
      const signIn = () => there.signIn.service.finish(answer);
      const starts = isFirst ? [change, signIn] : [signIn, change];
      const outcomes = await raceForUser(under, person.id, starts);
      const [changed, signedIn] = isFirst ? outcomes : outcomes.toReversed();
      expect(changed?.status).toBe("fulfilled");
      const live = await under.database.reader
        .selectFrom("sessions")
        .select("id")
        .where("user_id", "=", person.id)
        .execute();
      // The one that the change has begun.
      expect(live).toHaveLength(1);
      if (isFirst) {
        const reason = expect.stringMatching(/^INVALID_(FLOW|OTP)$/);
        expect(signedIn).toMatchObject({ reason: { reason } });
      }
      expect(await findUserByEmail(under.database.reader, from)).toBeUndefined();
    },
  );

  it("is one of two that race: the second change finds the first", async () => {
    const [from, b, c] = [newEmail(), newEmail(), newEmail()];
    const person = await here.signInByMail(from);
    const [one, two] = [await begin(person, b), await begin(person, c)];
    const outcomes = await raceForUser(under, person.id, [
      () => finish(person, one),
      () => finish(person, two, there),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(outcomes[1]).toMatchObject({ reason: { reason: "INVALID_FLOW" } });
    expect(await find(person.id)).toMatchObject({ email: b });
  });
});
