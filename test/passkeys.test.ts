/** Passkeys over the wire: added inside a session, used without a name, looked after by their owner alone. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SoftAuthenticator } from "./parts/authenticator.ts";
import { basic, postJson } from "./parts/http.ts";
import { countMails, Person } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

describe.each(["sqlite", "postgres"] as const)("passkeys (%s)", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ database });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  let count = 0;
  async function newPerson() {
    const email = `grace-${count++}@example.org`;
    const person = new Person(server);
    await person.signIn(email);
    return { person, email };
  }

  const newDevice = (isSynced = false) =>
    new SoftAuthenticator({ origin: `http://localhost:${server.port}`, isSynced });

  /** Signs in, or inside a session registers, with Frontier's shape: JSON in a string. */
  async function use(person: Person, device: SoftAuthenticator, type: "register" | "login") {
    const begun = await person.call("Authenticate", { strategyName: "passkey" });
    expect(begun.json.stateOptions.type).toBe(type);
    const { options } = begun.json.stateOptions;
    const response = type === "register" ? device.create(options) : device.get(options);
    const stateOptions = { options: JSON.stringify(response) };
    return await person.call("AuthCallback", { state: begun.json.state, stateOptions });
  }

  const listed = async (person: Person) => (await person.call("ListPasskeys")).json.passkeys ?? [];

  it("are added, listed with their use, renamed and removed", async () => {
    const { person, email } = await newPerson();
    expect(await listed(person)).toEqual([]);
    const [phone, token] = [newDevice(true), newDevice()];
    expect((await use(person, phone, "register")).status).toBe(200);
    expect((await use(person, token, "register")).status).toBe(200);
    const [first, second] = await listed(person);
    expect(first).toEqual({
      id: expect.stringMatching(/^[\w-]{36}$/),
      name: "Passkey",
      createdAt: expect.any(String),
      synced: true,
    });
    expect(second).toMatchObject({ name: "Passkey 2" });

    const elsewhere = new Person(server);
    expect((await use(elsewhere, phone, "login")).status).toBe(200);
    expect((await elsewhere.call("GetCurrentUser")).json.user.email).toBe(email);
    expect((await listed(person))[0].lastUsedAt).toEqual(expect.any(String));

    const renamed = await person.call("RenamePasskey", { id: first.id.toUpperCase(), name: "My phone" });
    expect(renamed.json.passkey).toMatchObject({ id: first.id, name: "My phone", synced: true });

    expect((await person.call("DeletePasskey", { id: first.id })).json).toEqual({});
    expect(await listed(person)).toMatchObject([{ id: second.id }]);
    const refused = await use(new Person(server), phone, "login");
    expect(refused.json).toMatchObject({ code: "invalid_argument", message: "invalid flow or expired" });
    expect((await elsewhere.call("GetCurrentUser")).status).toBe(200);
    // One code, two added, one removed.
    await expect.poll(() => countMails(server, email)).toBe(4);
  });

  it.each([
    ["empty", "", false],
    ["a space", " ", false],
    ["a new line in it", "a\nBcc: b", false],
    ["a zero byte", "a\u0000", false],
    ["101 characters", "x".repeat(101), false],
    ["100 characters", "x".repeat(100), true],
    ["spaces in it", "Ada’s phone ", true],
  ])("take or refuse a name that is %s", async (_, name, isGood) => {
    const { person } = await newPerson();
    await use(person, newDevice(), "register");
    const [{ id }] = await listed(person);
    const answer = await person.call("RenamePasskey", { id, name });
    expect(answer.status).toBe(isGood ? 200 : 400);
    expect((await listed(person))[0].name).toBe(isGood ? name : "Passkey");
  });

  it("sign in anew who is signed in, in the same session by another cookie", async () => {
    const { person, email } = await newPerson();
    const device = newDevice();
    await use(person, device, "register");
    const before = (await person.call("ListSessions")).json.sessions;
    const cookie = person.cookies.get("sid");
    const asked = { strategyName: "passkey", reauthenticate: true };
    const { state, stateOptions } = (await person.call("Authenticate", asked)).json;
    expect(stateOptions.type).toBe("login");
    const answer = { state, stateOptions: { options: device.get(stateOptions.options) } };
    expect((await person.call("AuthCallback", answer)).status).toBe(200);
    expect((await person.call("GetCurrentUser")).json.user.email).toBe(email);
    const { sessions } = (await person.call("ListSessions")).json;
    expect(sessions).toHaveLength(1);
    expect(sessions[0].id).toBe(before[0].id);
    expect(person.cookies.get("sid")).not.toBe(cookie);
  });

  it("are nobody else's", async () => {
    const [{ person }, { person: stranger }] = [await newPerson(), await newPerson()];
    await use(person, newDevice(), "register");
    const [{ id }] = await listed(person);
    const unknown = { code: "not_found", message: "passkey doesn't exist" };
    expect((await stranger.call("RenamePasskey", { id, name: "mine" })).json).toMatchObject(unknown);
    expect((await stranger.call("DeletePasskey", { id })).json).toMatchObject(unknown);
    expect(await listed(stranger)).toEqual([]);
    expect(await listed(person)).toMatchObject([{ id, name: "Passkey" }]);
  });

  it("are for people with a credential", async () => {
    const id = "018f0000-0000-7000-8000-000000000001";
    const calls = [
      ["ListPasskeys", {}],
      ["RenamePasskey", { id, name: "x" }],
      ["DeletePasskey", { id }],
    ] as const;
    for (const [method, message] of calls) {
      const path = `/vestibule.v1.AuthService/${method}`;
      expect((await postJson(server, path, message)).json).toMatchObject({ message: "not authenticated" });
      const byMachine = await postJson(server, path, message, basic(server));
      expect(byMachine.json).toMatchObject({ code: "permission_denied", message: "not authorized" });
    }
  });
});
