import { randomBytes } from "node:crypto";
import { beforeAll, beforeEach, expect, it } from "vitest";
import { type Faults, SoftAuthenticator } from "../../../../test/parts/authenticator.ts";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import type { AuditEvent, AuditTrail } from "../../audit/audit.ts";
import type { Database } from "../../db/database.ts";
import { newId } from "../../lib/ids.ts";
import type { JsonValue } from "../../lib/json.ts";
import { silentLog } from "../../lib/log.ts";
import { PasskeyService } from "../../passkeys/service.ts";
import { findPasskeyByCredentialId, findPasskeyOwner, findPasskeys } from "../../passkeys/store.ts";
import type { Caller } from "../../principals/principal.ts";
import type { BeginResult, FinishingUser, Strategy } from "../strategy.ts";
import { createPasskeyStrategy } from "./passkey.ts";

const origin = "http://localhost:7400";
const request = { callbackUrl: `${origin}/auth/callback`, state: "s" };
const info = { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} };
const refused = { reason: "INVALID_FLOW", message: "invalid flow or expired" };

describeDatabases("passkeys", (under) => {
  let database: Database;
  let passkeys: PasskeyService;
  let strategy: Strategy;
  let events: (Pick<AuditEvent, "action"> & { details?: object | undefined })[];
  let mails: string[];
  let now: Date;
  let isSessionLive = true;

  beforeAll(() => {
    database = under.database;
    const clock = { now: () => now };
    const audit = {
      record: async (_tx: unknown, { principal }: Caller, event: AuditEvent) =>
        void events.push({ ...event, details: { ...event.details, by: principal.id } }),
      recordOwn: async (_tx: unknown, _agent: unknown, event: AuditEvent) => void events.push(event),
      note: () => {},
      refuse: () => {},
    } as unknown as AuditTrail;
    const notify = (email: string, event: string, name: string) =>
      void mails.push(`${email} ${event} ${name}`);
    passkeys = new PasskeyService({
      database,
      audit,
      clock,
      notify,
      holdSession: async () => isSessionLive,
      hasOtherWayIn: async () => true,
      requireRemovable: async () => {},
    });
    strategy = createPasskeyStrategy({
      rpDisplayName: "Vestibule",
      rpId: "localhost",
      rpOrigins: [origin],
      flowSeconds: 600,
      passkeys,
      findByCredentialId: (id) => findPasskeyByCredentialId(database.reader, id),
      findByUser: (id) => findPasskeys(database.reader, id),
      findOwner: (id) => findPasskeyOwner(database.reader, id),
      clock,
      log: silentLog,
    });
  });

  beforeEach(() => {
    events = [];
    mails = [];
    now = new Date();
  });

  async function newUser(): Promise<FinishingUser> {
    const id = newId(now);
    const email = `${id}@example.org`;
    await database.transaction((tx) =>
      tx
        .insertInto("users")
        .values({
          id,
          name: id,
          title: "",
          email,
          email_proven: 1,
          passkey_handle: randomBytes(32).toString("base64url"),
          metadata: "{}",
          avatar: "",
          state: "enabled",
          created_at: now.getTime(),
          updated_at: now.getTime(),
        })
        .execute(),
    );
    const principal = {
      type: "user",
      id,
      email,
      emailProven: true,
      sessionId: "s1",
      superuser: false,
      authVia: "session",
      credentialKind: "session",
    } as const;
    return { userId: id, email, sessionId: "s1", authenticatedAt: now, caller: { principal, request: info } };
  }

  // biome-ignore lint/suspicious/noExplicitAny: WebAuthn's own JSON
  const optionsOf = (begun: BeginResult): any => begun.stateOptions?.options;
  const flowOf = (begun: BeginResult, user?: FinishingUser) => ({
    id: "f",
    callbackUrl: request.callbackUrl,
    secret: begun.secret,
    ...(user && { user }),
  });
  const finish = (begun: BeginResult, answer: unknown, user?: FinishingUser) =>
    strategy.finish({ code: "", stateOptions: { options: answer as JsonValue }, flow: flowOf(begun, user) });

  async function register(
    user: FinishingUser,
    device = new SoftAuthenticator({ origin }),
    faults: Faults = {},
  ) {
    const begun = await strategy.begin({ ...request, user });
    const answer = device.create(optionsOf(begun), faults);
    return { device, begun, answer, proof: await finish(begun, answer, user) };
  }

  async function login(device: SoftAuthenticator, faults: Faults = {}) {
    const begun = await strategy.begin(request);
    return await finish(begun, device.get(optionsOf(begun), faults));
  }

  it("are registered in a session, then sign in without a name", async () => {
    const user = await newUser();
    const { device, begun, proof } = await register(user);
    expect(begun.stateOptions?.type).toBe("register");
    expect(optionsOf(begun)).toMatchObject({
      rp: { id: "localhost" },
      attestation: "none",
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
    });
    expect(Buffer.from(optionsOf(begun).user.id, "base64url")).toHaveLength(32);
    expect(proof).toMatchObject({ kind: "registration", userId: user.userId });
    expect(mails).toEqual([`${user.email} added Passkey`]);
    expect(events).toMatchObject([{ action: "passkey.add", details: { name: "Passkey", by: user.userId } }]);

    const asked = await strategy.begin({ ...request, email: user.email });
    expect(asked.stateOptions?.type).toBe("login");
    expect(optionsOf(asked).allowCredentials ?? []).toEqual([]);
    expect(await finish(asked, device.get(optionsOf(asked)))).toMatchObject({
      kind: "passkey",
      userId: user.userId,
    });
    const [stored] = await findPasskeys(database.reader, user.userId);
    expect(stored).toMatchObject({ counter: 1, transports: ["internal"], isSynced: false, name: "Passkey" });
    expect(stored?.lastUsedAt).toEqual(now);
  });

  it("take the answer as JSON in a string, as Frontier's clients send it", async () => {
    const user = await newUser();
    const begun = await strategy.begin({ ...request, user });
    const device = new SoftAuthenticator({ origin });
    const proof = await finish(begun, JSON.stringify(device.create(optionsOf(begun))), user);
    expect(proof.kind).toBe("registration");
  });

  it("begin a sign-in for everyone who has no session, whatever address they name", async () => {
    const user = await newUser();
    const begun = await strategy.begin({ ...request, email: user.email });
    expect(begun.stateOptions?.type).toBe("login");
    // The attack: answer the sign-in with a registration for the account that was named.
    const made = new SoftAuthenticator({ origin }).create({
      challenge: optionsOf(begun).challenge,
      rp: { id: "localhost" },
      user: { id: "x" },
    });
    await expect(finish(begun, made)).rejects.toMatchObject(refused);
    expect(await findPasskeys(database.reader, user.userId)).toEqual([]);
  });

  it("are added within ten minutes of the sign-in, and not a moment later", async () => {
    const user = await newUser();
    const aged = (ms: number) => ({ ...user, authenticatedAt: new Date(now.getTime() - ms) });
    expect((await strategy.begin({ ...request, user: aged(600_000) })).stateOptions?.type).toBe("register");
    await expect(strategy.begin({ ...request, user: aged(600_001) })).rejects.toMatchObject({
      reason: "REAUTH_REQUIRED",
      kind: "failed_precondition",
    });
  });

  it("need the session that began the registration", async () => {
    const user = await newUser();
    const begun = await strategy.begin({ ...request, user });
    const answer = new SoftAuthenticator({ origin }).create(optionsOf(begun));
    await expect(finish(begun, answer)).rejects.toMatchObject(refused);
  });

  it("are not added once the session is over, whatever it was when the answer came", async () => {
    const user = await newUser();
    isSessionLive = false;
    await expect(register(user)).rejects.toMatchObject({ reason: "INVALID_FLOW" });
    isSessionLive = true;
    expect(await findPasskeys(database.reader, user.userId)).toEqual([]);
    await register(user);
  });

  it("are several per person, each once", async () => {
    const user = await newUser();
    const first = await register(user);
    const second = await register(user);
    expect(optionsOf(second.begun).excludeCredentials).toMatchObject([
      { id: first.device.credentialId.toString("base64url") },
    ]);
    await expect(register(user, first.device)).rejects.toMatchObject({ reason: "PASSKEY_TAKEN" });
    await expect(register(await newUser(), first.device)).rejects.toMatchObject({ reason: "PASSKEY_TAKEN" });
    const names = (await findPasskeys(database.reader, user.userId)).map((one) => one.name);
    expect(names.toSorted()).toEqual(["Passkey", "Passkey 2"]);
  });

  it("are twenty at most, also when they race", async () => {
    const user = await newUser();
    for (let count = 0; count < 18; count++) await register(user);
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => register(user)));
    expect(outcomes.filter((one) => one.status === "fulfilled")).toHaveLength(2);
    for (const one of outcomes) {
      if (one.status === "rejected") expect(one.reason).toMatchObject({ reason: "TOO_MANY_PASSKEYS" });
    }
  });

  it.each<[string, Faults]>([
    ["another origin", { origin: "http://evil.example.org" }],
    ["another port", { origin: "http://localhost:7401" }],
    ["another relying party", { rpId: "example.org" }],
    ["another challenge", { challenge: "AAAA" }],
    ["another ceremony", { type: "webauthn.create" }],
    ["no user verification", { userVerified: false }],
    ["another key", { wrongKey: true }],
    ["another user's handle", { userHandle: randomBytes(32).toString("base64url") }],
    ["no user handle", { userHandle: null }],
  ])("refuse a sign-in with %s", async (_name, faults) => {
    const user = await newUser();
    const { device } = await register(user);
    // Whose passkey it is is told to the audit, for whoever asks why they did not get in.
    const owner = { type: "user", id: user.userId };
    await expect(login(device, faults)).rejects.toMatchObject({ ...refused, owner });
    expect(await login(device)).toMatchObject({ kind: "passkey" });
  });

  it.each<[string, Faults]>([
    ["another origin", { origin: "http://evil.example.org" }],
    ["another relying party", { rpId: "example.org" }],
    ["another challenge", { challenge: "AAAA" }],
    ["no user verification", { userVerified: false }],
  ])("refuse a registration with %s", async (_name, faults) => {
    const user = await newUser();
    await expect(register(user, undefined, faults)).rejects.toMatchObject(refused);
    expect(await findPasskeys(database.reader, user.userId)).toEqual([]);
  });

  it("refuse an answer to another challenge: a replay", async () => {
    const { device } = await register(await newUser());
    const first = await strategy.begin(request);
    const answer = device.get(optionsOf(first));
    expect(await finish(first, answer)).toMatchObject({ kind: "passkey" });
    await expect(finish(await strategy.begin(request), answer)).rejects.toMatchObject(refused);
  });

  /** They are noted behind the answer. */
  const countRegressions = () =>
    events.filter(({ action }) => action === "passkey.counter_regression").length;

  it("refuse a counter that went back where the key is bound to one device", async () => {
    const { device } = await register(await newUser(), new SoftAuthenticator({ origin, counter: 5 }));
    expect(await login(device)).toMatchObject({ kind: "passkey" });
    for (const counter of [6, 5, 0]) await expect(login(device, { counter })).rejects.toMatchObject(refused);
    expect(await login(device)).toMatchObject({ kind: "passkey" });
    await expect.poll(countRegressions).toBe(3);
  });

  it("take a synced key, whose counter stays 0 or wanders", async () => {
    const { device } = await register(await newUser(), new SoftAuthenticator({ origin, isSynced: true }));
    expect(await login(device)).toMatchObject({ kind: "passkey" });
    expect(await login(device)).toMatchObject({ kind: "passkey" });
    expect(await login(device, { counter: 9 })).toMatchObject({ kind: "passkey" });
    expect(await login(device, { counter: 3 })).toMatchObject({ kind: "passkey" });
    await expect.poll(countRegressions).toBe(1);
  });

  it("take a key that has become synced, whose counter begins anew, and keep that it is", async () => {
    const user = await newUser();
    const { device } = await register(user, new SoftAuthenticator({ origin, counter: 5 }));
    expect(await login(device)).toMatchObject({ kind: "passkey" });
    const kept = async () => {
      const [passkey] = await findPasskeys(database.reader, user.userId);
      return [passkey?.counter, passkey?.isSynced, passkey?.isBackedUp];
    };
    expect(await kept()).toEqual([6, false, false]);
    Object.assign(device, { isSynced: true, counter: 0 });
    expect(await login(device)).toMatchObject({ kind: "passkey" });
    expect(await kept()).toEqual([0, true, false]);
    device.isBackedUp = true;
    expect(await login(device)).toMatchObject({ kind: "passkey" });
    expect(await kept()).toEqual([0, true, true]);
    const noted = events.filter(({ action }) => action !== "passkey.add");
    expect(noted).toMatchObject([{ action: "passkey.sync", details: { user: user.userId } }]);
    // Bound again it cannot be (WebAuthn Level 3 §7.2).
    Object.assign(device, { isSynced: false, isBackedUp: false, counter: 9 });
    await expect(login(device)).rejects.toMatchObject(refused);
    expect(await kept()).toEqual([0, true, true]);
  });

  it("are asked for by algorithms of ours, whatever Node has, and taken by no other", async () => {
    const user = await newUser();
    const { begun } = await register(user);
    const asked = optionsOf(begun).pubKeyCredParams.map(({ alg }: { alg: number }) => alg);
    expect(asked).toEqual([-8, -7, -257]);
    await expect(register(user, undefined, { algorithm: -48 })).rejects.toMatchObject(refused);
    await expect(register(user, undefined, { algorithm: -36 })).rejects.toMatchObject(refused);
    const { device } = await register(user);
    const stored = await findPasskeyByCredentialId(
      database.reader,
      device.credentialId.toString("base64url"),
    );
    // Of ML-DSA-44, as a Node that has it would have taken it: the last byte of the pair 3, -7.
    const key = Buffer.from(stored?.publicKey ?? []);
    const at = key.indexOf(Buffer.from([0x03, 0x26]));
    const changed = Buffer.concat([key.subarray(0, at + 1), Buffer.from([0x38, 47]), key.subarray(at + 2)]);
    await database.transaction((tx) =>
      tx
        .updateTable("passkeys")
        .set({ public_key: changed.toString("base64url") })
        .where("id", "=", stored?.id ?? "")
        .execute(),
    );
    await expect(login(device)).rejects.toMatchObject({
      ...refused,
      detail: expect.stringContaining("algorithm -48 is none that is taken"),
    });
  });

  it("have an id of 1023 bytes at most (WebAuthn Level 3 §7.1)", async () => {
    const user = await newUser();
    const { device } = await register(user, new SoftAuthenticator({ origin, idBytes: 1023 }));
    expect(await login(device)).toMatchObject({ kind: "passkey" });
    await expect(register(user, new SoftAuthenticator({ origin, idBytes: 1024 }))).rejects.toMatchObject(
      refused,
    );
    expect(await findPasskeys(database.reader, user.userId)).toHaveLength(1);
  });

  it.each([[undefined], [null], ["{"], ["[]"], [7], [[]]])(
    "name the field when the answer is %j",
    async (answer) => {
      await expect(finish(await strategy.begin(request), answer)).rejects.toMatchObject({
        reason: "INVALID_REQUEST",
        violations: [{ field: "state_options.options" }],
      });
    },
  );

  it.each([[{}], [true], ["usb"], [[7, "USB", "x".repeat(21)]]])(
    "are registered without transports where the answer says %j",
    async (transports) => {
      const user = await newUser();
      const begun = await strategy.begin({ ...request, user });
      const answer = new SoftAuthenticator({ origin }).create(optionsOf(begun));
      Object.assign(answer.response, { transports });
      expect(await finish(begun, answer, user)).toMatchObject({ kind: "registration" });
      expect(await findPasskeys(database.reader, user.userId)).toMatchObject([{ transports: [] }]);
    },
  );

  it.each([
    [{}],
    [{ id: 7 }],
    [{ id: "x" }],
    [{ id: "\u0000" }],
    [{ id: "\ud800" }],
    [{ id: "x", response: null }],
  ])("refuse %j", async (answer) => {
    await expect(finish(await strategy.begin(request), answer)).rejects.toMatchObject(refused);
  });

  it("are listed, renamed and removed by their owner alone", async () => {
    const user = await newUser();
    const callerOf = ({ userId, email }: FinishingUser) =>
      ({ principal: { type: "user", id: userId, email }, request: {} }) as unknown as Caller;
    const { device } = await register(user);
    const owner = callerOf(user);
    const [passkey] = await passkeys.list(owner);
    const id = passkey?.id ?? "";
    const stranger = callerOf(await newUser());
    expect(await passkeys.list(stranger)).toEqual([]);
    await expect(passkeys.rename(stranger, id, "mine")).rejects.toMatchObject({
      reason: "PASSKEY_NOT_FOUND",
    });
    await expect(passkeys.delete(stranger, id)).rejects.toMatchObject({ reason: "PASSKEY_NOT_FOUND" });

    expect((await passkeys.rename(owner, id.toUpperCase(), "Laptop")).name).toBe("Laptop");
    await passkeys.delete(owner, id);
    expect(mails.at(-1)).toBe(`${user.email} removed Laptop`);
    await expect(login(device)).rejects.toMatchObject(refused);
    await expect(passkeys.delete(owner, id)).rejects.toMatchObject({ reason: "PASSKEY_NOT_FOUND" });
    expect(events.map((event) => event.action)).toEqual(["passkey.add", "passkey.rename", "passkey.remove"]);
  });
});
