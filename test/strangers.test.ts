/** What strangers do to other people's mailboxes, while their owners sign in: over the wire, and over three servers. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { countMails, findCode, Person, waitForMail } from "./parts/person.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

const origin = "http://localhost:7400";
const config = { trusted_proxies: ["127.0.0.1"] };
const env = { VESTIBULE_PUBLIC_URL: origin };
const wrongCodes = ["BCDFGH", "CDFGHJ", "DFGHJK"];

/** As a trusted proxy names who asks. */
const from = (address: string) => ({ origin, "x-forwarded-for": address });

// Of an SQLite file there is one server.
describe.each([
  ["sqlite", 1],
  ["postgres", 3],
] as const)("strangers (%s, %d servers)", (database, count) => {
  let state: ServerState;
  let servers: readonly TestServer[] = [];
  beforeAll(async () => {
    state = await createState(database);
    const first = await startServer({ state, env, config });
    const others = Array.from({ length: count - 1 }, () => startServer({ state, env, config }));
    servers = [first, ...(await Promise.all(others))];
  });
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.kill()));
    await state?.remove();
  });
  const at = (index: number) => servers[index % count] as TestServer;

  /** The same browser at another server. */
  function move(person: Person, index: number): Person {
    const moved = new Person(at(index));
    for (const [name, value] of person.cookies) moved.cookies.set(name, value);
    return moved;
  }

  const begin = (person: Person, email: string, headers: Record<string, string>, strategyName = "mailotp") =>
    person.call("Authenticate", { strategyName, email }, headers);

  /** Signs in at one server and another. @throws Error when no mail comes */
  async function signIn(person: Person, email: string, headers: Record<string, string>, index = 0) {
    const { json } = await begin(person, email, headers, "maillink");
    // Of the mails that strangers have sent there as well the owner's is told by its link.
    const isOwn = (mail: string) => mail.replaceAll("=\n", "").includes(json.state);
    const code = findCode(await waitForMail(at(0), email, [], isOwn));
    const elsewhere = move(person, index + 1);
    const answer = await elsewhere.call("AuthCallback", { state: json.state, code }, headers);
    expect(answer.status, answer.text).toBe(200);
    return elsewhere;
  }

  /** Asks for five mails and answers twelve wrong codes, at all servers at once. */
  async function annoy(email: string, address: string): Promise<void> {
    const headers = from(address);
    const flows = await Promise.all(
      Array.from({ length: 5 }, async (_, index) => {
        const person = new Person(at(index));
        return { person, state: (await begin(person, email, headers)).json.state as string };
      }),
    );
    const guesses = flows.flatMap(({ person, state: flow }, index) =>
      wrongCodes.map((code) => move(person, index + 1).call("AuthCallback", { state: flow, code }, headers)),
    );
    for (const { json } of await Promise.all(guesses)) {
      expect(json).toMatchObject({ code: "invalid_argument" });
    }
  }

  it("who type wrong codes keep Carl out neither where he was before nor, from one network, anywhere (T4)", async () => {
    const email = `carl-${database}@example.org`;
    const carl = await signIn(new Person(at(0)), email, from("192.0.2.10"));
    await Promise.all([annoy(email, "198.51.100.1"), signIn(carl, email, from("192.0.2.10"), 1)]);
    await signIn(new Person(at(0)), email, from("192.0.2.11"));
    for (const address of ["198.51.100.2", "198.51.100.3", "198.51.100.4"]) await annoy(email, address);
    await signIn(carl, email, from("198.51.100.1"), 2);
  });

  it("who ask for mails keep none from Dora, and what is withheld is counted over all servers (T5)", async () => {
    const email = `dora-${database}@example.org`;
    const dora = await signIn(new Person(at(0)), email, from("192.0.2.20"));
    const addresses = ["203.0.113.1", "203.0.113.2", "203.0.113.3"];
    const asked = addresses.flatMap((address) =>
      Array.from({ length: 6 }, (_, index) => begin(new Person(at(index)), email, from(address))),
    );
    const [own] = await Promise.all([signIn(dora, email, from("192.0.2.20"), 1), ...asked]);
    for (const { status, json } of await Promise.all(asked))
      expect([status, Object.keys(json)]).toEqual([200, ["state"]]);
    // Five that all strangers share, her first one among them, and her second, of her own.
    await eventually(() => expect(countMails(at(0), email)).toBe(6));
    await signIn(own, email, from("192.0.2.20"), 2);
    expect(countMails(at(0), email)).toBe(7);
  });

  it("see the same page whether or not the mail went out, with the hint that it may not have", async () => {
    const [email, stranger] = [`ivy-${database}@example.org`, new Person(at(0))];
    const pages: string[] = [];
    for (let mail = 0; mail < 4; mail++) {
      const { json } = await begin(stranger, email, from("203.0.113.50"));
      const headers = { host: "localhost:7400" };
      const { text } = await stranger.send(`/login/check-mail?state=${json.state}`, { headers });
      pages.push(text.replaceAll(/(value|nonce)="[^"]*"/g, ""));
    }
    expect(new Set(pages).size).toBe(1);
    expect(pages[0]).toContain("No mail after a minute?");
    await eventually(() => expect(countMails(at(0), email)).toBe(3));
  });

  it("who come with the key of their own account are strangers to others (case 40)", async () => {
    const [email, theirs] = [`lena-${database}@example.org`, `mallory-${database}@example.org`];
    await signIn(new Person(at(0)), email, from("192.0.2.30"));
    const mallory = await signIn(new Person(at(0)), theirs, from("203.0.113.9"));
    expect(mallory.cookies.get("vestibule_device")).toHaveLength(43);
    for (let mail = 0; mail < 6; mail++) await begin(move(mallory, mail), email, from("203.0.113.9"));
    await signIn(mallory, theirs, from("203.0.113.9"));
    await eventually(() => expect(countMails(at(0), email)).toBe(4));
  });
});
