/** What strangers do to a mailbox leaves its owner's sign-in alone (case 40, T4, T5). */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { newRequestInfo } from "../sessions/test-support.ts";
import { createFakeMail, openSignIn, type SignInParts, toBegin, toFinish } from "./test-support.ts";

const clock = { now: () => new Date() };

/** Somebody at a browser, somewhere. */
interface Visitor {
  readonly browser: string;
  readonly clientAddress: string;
  browserKeys: readonly string[];
}

describeDatabases("strangers", (under) => {
  const mail = createFakeMail();
  let processes: SignInParts[];
  beforeAll(async () => {
    const databases = [under.database, await under.openAnother(), await under.openAnother()];
    const options = { clock, strategies: [mail], mailsPerMailbox: 5 };
    processes = await Promise.all(databases.map((database) => openSignIn(database, options)));
  });
  afterAll(() => Promise.all(processes.map((each) => each.close())));

  let count = 0;
  const newEmail = () => `carl-${count++}-${under.dialect}@example.org`;
  function newVisitor(browserKeys: readonly string[] = []): Visitor {
    const clientAddress = `2001:db8:${count++}::1`;
    return { browser: randomBytes(32).toString("base64url"), clientAddress, browserKeys };
  }
  const at = (index = 0) => processes[index % processes.length] as SignInParts;

  /** Asks for a code; answers it, if a mail was sent. */
  async function ask(email: string, visitor: Visitor, index = 0) {
    mail.sent.delete(email);
    const { browser, browserKeys, clientAddress } = visitor;
    const info = { ...newRequestInfo(), clientAddress };
    const { state } = await at(index).service.begin(toBegin({ email, browser, browserKeys, info }));
    await at(index).service.drain();
    return { state, code: mail.sent.get(email) };
  }

  async function answer(state: string, code: string, visitor: Visitor, index = 0) {
    const { browser, browserKeys, clientAddress } = visitor;
    const info = { ...newRequestInfo(), clientAddress };
    const given = { state, code, browsers: [browser], browserKeys, info };
    const { begun } = await at(index).service.finish(toFinish(given));
    return begun;
  }

  /** Signs in, and keeps the key as a browser does. */
  async function signIn(email: string, visitor: Visitor): Promise<void> {
    const { state, code = "no mail" } = await ask(email, visitor);
    const begun = await answer(state, code, visitor);
    visitor.browserKeys = [begun?.browserKey ?? ""];
  }

  /** Asks for a mail and answers it wrong, over and over. */
  async function annoy(email: string, visitor: Visitor, times: number): Promise<void> {
    let flow = await ask(email, visitor);
    for (let tries = 0; tries < times; tries++) {
      if (tries % 3 === 2) flow = await ask(email, visitor, tries);
      await answer(flow.state, "wrong", visitor, tries).catch(() => {});
    }
  }

  it("who type twelve wrong codes, and ask for as many mails, keep nobody out of a known browser", async () => {
    const [email, carl] = [newEmail(), newVisitor()];
    await signIn(email, carl);
    for (const stranger of [newVisitor(), newVisitor(), newVisitor()]) await annoy(email, stranger, 12);
    expect((await ask(email, newVisitor())).code).toBeUndefined();
    for (let times = 0; times < 4; times++) await signIn(email, carl);
  });

  it("of one network keep nobody out who comes from another one in a new browser", async () => {
    const [email, stranger] = [newEmail(), newVisitor()];
    await annoy(email, stranger, 24);
    expect((await ask(email, stranger)).code).toBeUndefined();
    await signIn(email, newVisitor());
  });

  it("get nowhere by the key of another account, nor by one that they made up", async () => {
    const [email, mallory, malloryEmail] = [newEmail(), newVisitor(), newEmail()];
    await signIn(email, newVisitor());
    await signIn(malloryEmail, mallory);
    const [known] = mallory.browserKeys;
    expect(known).toBeDefined();
    for (const keys of [mallory.browserKeys, [randomBytes(32).toString("base64url")]]) {
      const stranger = newVisitor(keys);
      const codes = [];
      for (let mails = 0; mails < 6; mails++) codes.push((await ask(email, stranger)).code);
      expect(codes.filter((code) => code !== undefined).length).toBeLessThanOrEqual(3);
    }
    // The account that signed in there and these two took the five that all strangers share.
    expect((await ask(email, newVisitor())).code).toBeUndefined();
    expect((await ask(malloryEmail, mallory)).code).toBeDefined();
  });

  it("may guess no more in a known browser than anywhere: it has a budget, and no more", async () => {
    const [email, carl] = [newEmail(), newVisitor()];
    await signIn(email, carl);
    await annoy(email, carl, 12);
    expect((await ask(email, carl)).code).toBeUndefined();
    await signIn(email, newVisitor(carl.browserKeys.map(() => randomBytes(32).toString("base64url"))));
  });

  it("are judged ten times from any number of networks at once, over three processes", async () => {
    const email = newEmail();
    const visitors = Array.from({ length: 5 }, () => newVisitor());
    const flows: { state: string }[] = [];
    for (const [index, visitor] of visitors.entries()) flows.push(await ask(email, visitor, index));
    let judged = 0;
    const { finish } = mail;
    mail.finish = (request) => {
      judged += 1;
      return finish.call(mail, request);
    };
    const guesses = visitors.flatMap((visitor, index) =>
      [0, 1, 2].map((turn) => answer(flows[index]?.state ?? "", "wrong", visitor, index + turn)),
    );
    await Promise.allSettled(guesses);
    mail.finish = finish;
    expect(judged).toBe(10);
  });
});
