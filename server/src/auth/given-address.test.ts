import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { hashSecret } from "../lib/secrets.ts";
import { findIdentities } from "../users/identity-store.ts";
import { moveUser } from "../users/move.ts";
import { findUser, insertUser, lockUser } from "../users/store.ts";
import { deleteUndos, insertUndo } from "../users/undo-store.ts";
import { toNewUser } from "../users/user.ts";
import type { Proof } from "./strategy.ts";
import {
  createFakeMail,
  createFakeProvider,
  openSignIn,
  type SignInParts,
  toBegin,
  toFinish,
} from "./test-support.ts";

const newBrowser = () => randomBytes(32).toString("base64url");

describeDatabases("an address that a provider changes", (under) => {
  const clock = { now: () => new Date() };
  const [mail, google] = [createFakeMail(), createFakeProvider("google")];
  let here: SignInParts;
  beforeAll(async () => {
    here = await openSignIn(under.database, { clock, strategies: [mail, google] });
  });
  afterAll(() => here.close());

  type Said = Partial<Extract<Proof, { kind: "identity" }>>;
  let count = 0;
  const newEmail = () => `ada-${count++}-${under.dialect}@example.org`;
  const newSubject = () => randomBytes(8).toString("hex");

  async function comeBy(subject: string, said: Said): Promise<string> {
    const [code, browser] = [newBrowser(), newBrowser()];
    const issuer = "https://google.example";
    const proven = { emailVerified: true, isAuthoritative: true, ...said };
    google.people.set(code, { kind: "identity", issuer, subject, ...proven });
    const { state } = await here.service.begin(toBegin({ strategyName: "google", browser }));
    const { begun } = await here.service.finish(toFinish({ state, code, browsers: [browser] }));
    return begun?.session.userId ?? "";
  }

  const emailOf = async (id: string) => (await findUser(under.database.reader, id))?.email;

  it("is taken over where the present one is that very identity's, and the mailbox before is told", async () => {
    const [subject, from, to, further] = [newSubject(), newEmail(), newEmail(), newEmail()];
    const id = await comeBy(subject, { email: from });
    const browser = newBrowser();
    const { state } = await here.service.begin(toBegin({ email: from, browser }));
    await here.service.drain();
    here.parts.events.length = 0;
    expect(await comeBy(subject, { email: to })).toBe(id);
    expect(await findUser(under.database.reader, id)).toMatchObject({ email: to, emailProven: true });
    expect(await findIdentities(under.database.reader, id)).toMatchObject([{ email: to, gaveEmail: true }]);
    expect(here.moves).toEqual([{ from, to }]);
    expect(here.parts.events[0]).toEqual({
      action: "user.change_email",
      target: id,
      mailbox: from,
      details: { email: to, previous_email: from, sessions: "0", because: "identity" },
    });
    // A code under way for the one before is no good.
    const answer = toFinish({ state, code: mail.sent.get(from) ?? "", browsers: [browser] });
    await expect(here.service.finish(answer)).rejects.toMatchObject({ reason: "INVALID_FLOW" });
    await comeBy(subject, { email: further });
    expect(await emailOf(id)).toBe(further);
  });

  it.each<[string, Said]>([
    ["its provider does not speak for the new one's domain", { isAuthoritative: false }],
    ["the provider has not verified it", { emailVerified: false }],
  ])("is not where %s", async (_, said) => {
    const [subject, from] = [newSubject(), newEmail()];
    const id = await comeBy(subject, { email: from });
    expect(await comeBy(subject, { email: newEmail(), ...said })).toBe(id);
    expect(await emailOf(id)).toBe(from);
  });

  it("is not where the provider did not speak for the present one's", async () => {
    const [subject, from] = [newSubject(), newEmail()];
    const id = await comeBy(subject, { email: from, isAuthoritative: false });
    await comeBy(subject, { email: from });
    await comeBy(subject, { email: newEmail() });
    expect(await emailOf(id)).toBe(from);
  });

  it("is not by an identity that came later, nor once the account has another address", async () => {
    const [subject, later, from, own] = [newSubject(), newSubject(), newEmail(), newEmail()];
    const id = await comeBy(subject, { email: from });
    expect(await comeBy(later, { email: from })).toBe(id);
    await comeBy(later, { email: newEmail() });
    expect(await emailOf(id)).toBe(from);
    await under.database.transaction(async (tx) => {
      const before = await lockUser(tx, id);
      if (before !== undefined) await moveUser(tx, before, { ...before, email: own });
    });
    await comeBy(subject, { email: newEmail() });
    expect(await emailOf(id)).toBe(own);
  });

  it("is not while it is another account's, or held for one", async () => {
    const [subject, from, taken, held] = [newSubject(), newEmail(), newEmail(), newEmail()];
    const id = await comeBy(subject, { email: from });
    const now = clock.now();
    const other = toNewUser(taken, now);
    await under.database.transaction(async (tx) => {
      await insertUser(tx, other);
      const expiresAt = new Date(now.getTime() + 60_000);
      const undo = { id: newSubject(), userId: other.id, email: held, changedAt: now, expiresAt };
      await insertUndo(tx, undo, hashSecret(undo.id));
    });
    for (const email of [taken, held]) {
      expect(await comeBy(subject, { email })).toBe(id);
      expect(await emailOf(id)).toBe(from);
    }
    await under.database.transaction((tx) => deleteUndos(tx, other.id));
    await comeBy(subject, { email: held });
    expect(await emailOf(id)).toBe(held);
  });
});
