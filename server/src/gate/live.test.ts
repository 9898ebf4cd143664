import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type DatabaseUnderTest, describeDatabases } from "../../../test/parts/databases.ts";
import { findApiKey } from "../frontdoor/api-keys/store.ts";
import { defaultPolicy, type FrontendDefinition } from "../frontdoor/frontends/frontend.ts";
import { createTestContext } from "../frontdoor/provider-types/test-support.ts";
import { createRoom, toMachine } from "../frontdoor/test-support.ts";
import { silentLog } from "../lib/log.ts";
import { updateOrganizationState } from "../organizations/store.ts";
import type { Caller } from "../principals/principal.ts";
import type { GateAsk } from "./asks/ask.ts";
import { createAskProviders } from "./decisions/ask-providers.ts";
import { Decider } from "./decisions/decide.ts";
import { KeyRates } from "./decisions/key-rates.ts";
import { createDirectory } from "./directory/directory.ts";
import { bearer, createTestFailures, definitions, makeToken, refuseSession, toAsk } from "./test-support.ts";

/** The gate as one process has it, over a connection of its own. */
async function startProcess(under: DatabaseUnderTest) {
  const database = await under.openAnother();
  const context = createTestContext({ now: new Date() });
  context.apiKeys.findApiKey = (providerId, hash) => findApiKey(database.reader, providerId, hash);
  const room = createRoom(database, context);
  await room.feed.start();
  const { feed, types } = room;
  const { clock } = context;
  const directory = createDirectory({ reader: database.reader, feed, types });
  const keyRates = new KeyRates({ database, clock, log: silentLog, flushAfterMs: 20 });
  const decider = new Decider({
    directory,
    askProviders: createAskProviders(silentLog, refuseSession),
    makeIdentityHeaders: async () => ({ lines: [], renewAtMs: Number.POSITIVE_INFINITY }),
    feed,
    keyRates,
    failures: createTestFailures(context),
    isOwnSession: () => false,
    onDecision: () => {},
    clock,
    log: silentLog,
  });
  return {
    room,
    context,
    keyRates,
    directory,
    reason: async (ask: GateAsk) => (await decider.decide(ask)).reason,
    /** Whether it is decided from memory alone. */
    isKnown: (ask: GateAsk) => !(decider.decide(ask) instanceof Promise),
    stop: async () => {
      await keyRates.flush();
      await feed.stop();
    },
  };
}

describeDatabases("a change", (under) => {
  let here: Awaited<ReturnType<typeof startProcess>>;
  let there: typeof here;
  let manager: Caller;
  let orgId: string;
  let frontdoorId: string;
  let jwtId: string;
  let keysId: string;
  let frontend: FrontendDefinition;
  let frontendId: string;
  let token: { readonly authorization: string };
  const host = "app.example.com";

  beforeAll(async () => {
    here = await startProcess(under);
    there = await startProcess(under);
  });
  afterAll(async () => {
    await here.stop();
    await there.stop();
  });

  beforeEach(async () => {
    const { room, context } = here;
    orgId = await room.createOrganization();
    manager = toMachine(orgId, "manager");
    frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
    const create = async (name: keyof typeof definitions) =>
      (await room.providers.create(manager, frontdoorId, { name, enabled: true, ...definitions[name] })).id;
    jwtId = await create("jwt");
    keysId = await create("keys");
    frontend = {
      hostname: host,
      providerIds: [jwtId, keysId],
      policy: defaultPolicy,
      authorization: "JUDGE",
      scheme: "https",
      assertionHeader: "",
    };
    frontendId = (await room.frontends.create(manager, frontdoorId, frontend)).id;
    token = bearer(makeToken(context, { email: "a@example.com", email_verified: true }));
  });

  const ask = (headers: Parameters<typeof toAsk>[0], rest: Partial<GateAsk> = {}) =>
    toAsk(headers, { frontdoorId, host, ...rest });
  const replace = (change: Partial<FrontendDefinition>) =>
    here.room.frontends.replace(manager, { frontdoorId, id: frontendId }, { ...frontend, ...change });
  const makeKey = async () => {
    const ref = { frontdoorId, id: keysId };
    const { key, record } = await here.room.apiKeys.create(manager, ref, { title: "ci" });
    return { headers: { "x-api-key": key }, id: record.id };
  };

  /** Lets somebody in at both, and has both remember it. */
  async function letIn(asked: GateAsk): Promise<void> {
    for (const process of [here, there]) {
      // Of what was made for the test it hears before, not amid it.
      await process.room.feed.pollNow();
      expect(await process.reason(asked)).toBe("IDENTIFIED");
      expect(process.isKnown(asked)).toBe(true);
    }
  }

  /** Holds for the next ask here, and there as soon as the feed has been read, which is several times a second. */
  async function expectReason(asked: GateAsk, reason: string): Promise<void> {
    expect(await here.reason(asked)).toBe(reason);
    await there.room.feed.pollNow();
    expect(await there.reason(asked)).toBe(reason);
  }

  it("of a provider: disabled, changed, enabled, deleted", async () => {
    const asked = ask(token);
    const ref = { frontdoorId, id: jwtId };
    const { providers } = here.room;
    await letIn(asked);
    await providers.update(manager, ref, { enabled: false });
    await expectReason(asked, "BAD_CREDENTIAL");
    await providers.update(manager, ref, { enabled: true });
    await expectReason(asked, "IDENTIFIED");
    await providers.update(manager, ref, { data: { audiences: ["another"] } });
    await expectReason(asked, "BAD_CREDENTIAL");
    await providers.rollback(manager, ref, { revision: 1 });
    await expectReason(asked, "IDENTIFIED");
    await providers.delete(manager, ref, {});
    await expectReason(asked, "BAD_CREDENTIAL");
  });

  it("of a frontend: its policy, its providers, its host, its end", async () => {
    const asked = ask(token);
    await letIn(asked);
    await replace({ policy: { ...defaultPolicy, emailPatterns: ["*@other.example"] } });
    await expectReason(asked, "EMAIL_NOT_ALLOWED");
    await replace({ providerIds: [keysId] });
    await expectReason(asked, "BAD_CREDENTIAL");
    await replace({});
    await expectReason(asked, "IDENTIFIED");
    await replace({ hostname: "elsewhere.example.com" });
    await expectReason(asked, "UNKNOWN_HOST");
    await expectReason(ask(token, { host: "elsewhere.example.com" }), "IDENTIFIED");
    await here.room.frontends.delete(manager, { frontdoorId, id: frontendId });
    await expectReason(ask(token, { host: "elsewhere.example.com" }), "UNKNOWN_HOST");
  });

  it("that makes a frontend: the host was unknown a moment ago", async () => {
    const asked = ask(token, { host: "new.example.com" });
    await expectReason(asked, "UNKNOWN_HOST");
    await here.room.frontends.create(manager, frontdoorId, { ...frontend, hostname: "new.example.com" });
    await expectReason(asked, "IDENTIFIED");
  });

  it("of an API key: made, deleted, and no other's with it", async () => {
    const [one, other] = [await makeKey(), await makeKey()];
    await letIn(ask(one.headers));
    await letIn(ask(other.headers));
    await here.room.apiKeys.delete(manager, { frontdoorId, id: keysId }, one.id);
    await expectReason(ask(one.headers), "BAD_CREDENTIAL");
    expect([here.isKnown(ask(other.headers)), there.isKnown(ask(other.headers))]).toEqual([true, true]);
    expect(here.isKnown(ask(token))).toBe(false);
    await letIn(ask(token));
    await makeKey();
    expect(here.isKnown(ask(token))).toBe(true);
  });

  it("of the organization, and of the frontdoor", async () => {
    const asked = ask(token);
    await letIn(asked);
    const setState = (state: "enabled" | "disabled") =>
      here.room.database.transaction(async (tx) => {
        await updateOrganizationState(tx, orgId, state, new Date());
        await here.room.feed.append(tx, { topic: "organization", subject: orgId });
      });
    await setState("disabled");
    await expectReason(asked, "FRONTDOOR_CLOSED");
    await setState("enabled");
    await expectReason(asked, "IDENTIFIED");
    await here.room.frontdoors.delete(manager, frontdoorId);
    await expectReason(asked, "UNKNOWN_HOST");
  });

  it("is not missed by who is judged while it is made", async () => {
    const { providers } = here.room;
    const ref = { frontdoorId, id: jwtId };
    for (let round = 0; round < 10; round += 1) {
      const asked = ask(bearer(makeToken(here.context, { sub: `s${round}` })));
      const racing = Promise.all(Array.from({ length: 5 }, () => here.reason(asked)));
      await providers.update(manager, ref, { enabled: false });
      expect(await here.reason(asked)).toBe("BAD_CREDENTIAL");
      await racing;
      expect(await here.reason(asked)).toBe("BAD_CREDENTIAL");
      await providers.update(manager, ref, { enabled: true });
      expect(await here.reason(asked)).toBe("IDENTIFIED");
    }
  });

  it("asks for hosts anew: the exact name wins over the wildcard as soon as it is there", async () => {
    const at = (name: string) => ask({}, { host: name });
    const open = { ...defaultPolicy, publicPaths: ["/*"] };
    const { room } = here;
    const wild = { ...frontend, hostname: "*.apps.example.com", policy: open };
    await room.frontends.create(manager, frontdoorId, wild);
    await expectReason(at("a.apps.example.com"), "PUBLIC_PATH");
    await expectReason(at("b.apps.example.com"), "PUBLIC_PATH");
    for (const name of [
      "apps.example.com",
      "x.a.apps.example.com",
      "aapps.example.com",
      ".apps.example.com",
    ]) {
      expect(await here.reason(at(name))).toBe("UNKNOWN_HOST");
    }
    const made = await room.frontends.create(manager, frontdoorId, {
      ...frontend,
      hostname: "a.apps.example.com",
    });
    await expectReason(at("a.apps.example.com"), "NO_CREDENTIAL");
    await expectReason(at("b.apps.example.com"), "PUBLIC_PATH");
    await room.frontends.delete(manager, { frontdoorId, id: made.id });
    await expectReason(at("a.apps.example.com"), "PUBLIC_PATH");
  });

  it("of who uses up a key's rate: both know", async () => {
    await replace({ policy: { ...defaultPolicy, apiKeyRate: { requests: 10, perSeconds: 86_400 } } });
    const { headers } = await makeKey();
    const use = async (process: typeof here, times: number) => {
      const reasons = [];
      for (let count = 0; count < times; count += 1) reasons.push(await process.reason(ask(headers)));
      await process.keyRates.flush();
      return reasons.filter((reason) => reason === "IDENTIFIED").length;
    };
    expect(await use(here, 6)).toBe(6);
    expect(await use(there, 1)).toBe(1);
    expect(await use(there, 10)).toBe(3);
    expect(await use(here, 1)).toBe(1);
    expect(await use(here, 10)).toBe(0);
    // One that comes later knows it as soon as it has told of its first use.
    const late = await startProcess(under);
    expect(await use(late, 1)).toBe(1);
    expect(await use(late, 10)).toBe(0);
    await late.stop();
  });
});
