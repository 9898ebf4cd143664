import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { eventually } from "../../../../test/parts/eventually.ts";
import { defaultPolicy } from "../../frontdoor/frontends/frontend.ts";
import { toFrontendDefinition } from "../../frontdoor/test-support.ts";
import { toldOf } from "../test-support.ts";
import { sessionsPerSubject } from "./gate-session.ts";
import {
  askWith,
  begin,
  createPlace,
  type GateProcess,
  startGate,
  type TestPlace,
  toIdentity,
} from "./test-support.ts";

describeDatabases("a session at a frontend", (under) => {
  let here: GateProcess;
  let there: GateProcess;
  let place: TestPlace;

  beforeAll(async () => {
    here = await startGate(under);
    there = await startGate(under, here.context);
  });
  afterAll(async () => {
    await here.stop();
    await there.stop();
  });
  beforeEach(async () => {
    place = await createPlace(here);
  });

  const reason = async (...asked: Parameters<typeof askWith>) => (await askWith(...asked)).reason;
  const replace = (change: Parameters<typeof toFrontendDefinition>[0]) => {
    const providerIds = [place.oidcId, place.ownId];
    const definition = toFrontendDefinition({ hostname: place.host, providerIds, ...change });
    return here.room.frontends.replace(place.manager, { ...place, id: place.frontendId }, definition);
  };

  it("lets its holder in, as whom the provider said, without its cookie, on every process", async () => {
    const email = "alice@example.com";
    const identity = toIdentity({ name: "Alice", email, emailVerified: true, groups: ["x"] });
    const { cookie, session } = await begin(here, place, { identity });
    for (const process of [here, there]) {
      const decision = await askWith(process, place, cookie);
      expect(decision).toMatchObject({ isAllowed: true, reason: "IDENTIFIED", cookie: "" });
      expect(decision).not.toHaveProperty("consumed");
      expect(toldOf(decision)).toEqual({ Subject: `${place.oidcId}:alice` });
    }
    const known = await here.find(place.frontdoorId, place.host);
    expect(await here.judgeSession(known, place.host, cookie)).toMatchObject({
      isGood: true,
      identity: { ...identity, dependsOn: [session.id], expiresAt: session.expiresAt },
    });
  });

  it("is stored without what opens it, and without what it is renewed by", async () => {
    const kept = { refreshToken: "canary-refresh-token" };
    const { cookie } = await begin(here, place, { kept, sid: "s1" });
    const rows = await under.database.reader.selectFrom("gate_sessions").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(cookie);
    expect(JSON.stringify(rows)).not.toContain("canary");
  });

  it("is good at its own frontend and host alone", async () => {
    const { cookie } = await begin(here, place);
    await replace({ hostname: "*.example.com" });
    expect(await reason(here, place, cookie)).toBe("IDENTIFIED");
    expect(await reason(here, place, cookie, { host: "other.example.com" })).toBe("SESSION_UNFIT");
    const other = await createPlace(here);
    expect(await reason(here, other, cookie)).toBe("SESSION_UNFIT");
  });

  it.each([
    ["of nobody", "x".repeat(43)],
    ["cut short", "x".repeat(42)],
    ["empty", ""],
    ["of other letters", "ü".repeat(43)],
    ["endless", "x".repeat(10_000)],
  ])("is denied with a cookie %s, and does not count as a failure", async (_what, cookie) => {
    const decision = await askWith(here, place, cookie);
    expect(decision).toMatchObject({ isAllowed: false, reason: "SESSION_ENDED", challenges: ["Bearer"] });
  });

  it("is nobody's next to another", async () => {
    const { cookie } = await begin(here, place);
    const twice = `${cookie}; __Host-vestibule=${cookie}`;
    expect(await reason(here, place, twice)).toBe("AMBIGUOUS_CREDENTIAL");
  });

  it("ends on the millisecond, however often it was used", async () => {
    const { cookie, session } = await begin(here, place, { maxAgeSeconds: 60 });
    here.context.pass(59.999);
    expect(await reason(here, place, cookie)).toBe("IDENTIFIED");
    here.context.pass(0.001);
    expect(session.expiresAt).toEqual(here.context.clock.now());
    const asks = Array.from({ length: 40 }, (_, index) => reason(index % 2 ? here : there, place, cookie));
    expect(new Set(await Promise.all(asks))).toEqual(new Set(["SESSION_ENDED"]));
  });

  it("lives no longer than the policy lets it by now, and no longer than it was made for", async () => {
    const { cookie } = await begin(here, place);
    here.context.pass(60);
    await replace({ policy: { ...defaultPolicy, sessionMaxAge: 61 } });
    expect(await reason(here, place, cookie)).toBe("IDENTIFIED");
    here.context.pass(1);
    expect(await reason(here, place, cookie)).toBe("SESSION_ENDED");
    await replace({ policy: { ...defaultPolicy, sessionMaxAge: 86_400 } });
    expect(await reason(here, place, cookie)).toBe("IDENTIFIED");
    here.context.pass(3600);
    expect(await reason(here, place, cookie)).toBe("SESSION_ENDED");
  });

  it("is held against the provider's rules as they are now, and against the policy", async () => {
    const { cookie } = await begin(here, place);
    here.login.admit = () => ({ allowed: false, reason: "claim_mismatch", detail: "not of example.com" });
    const decision = await askWith(here, place, cookie);
    expect(decision).toMatchObject({ reason: "SESSION_UNFIT", detail: "not of example.com" });
    here.login.admit = (_provider, identity) => ({ allowed: true, identity });
    await replace({ policy: { ...defaultPolicy, emailPatterns: ["*@example.com"] } });
    expect(await reason(here, place, cookie)).toBe("EMAIL_NOT_ALLOWED");
  });

  it("ends for as long as its provider lets nobody in there", async () => {
    const { cookie } = await begin(here, place);
    await replace({ providerIds: [place.ownId] });
    expect(await reason(here, place, cookie)).toBe("SESSION_ENDED");
  });

  it("is one of so many of its holder: the oldest end, at once everywhere", async () => {
    const { cookie } = await begin(here, place);
    expect(await reason(there, place, cookie)).toBe("IDENTIFIED");
    const others = { identity: toIdentity({ subject: "bob" }) };
    const { cookie: bobs } = await begin(here, place, others);
    for (let begun = 0; begun < sessionsPerSubject; begun += 1) {
      here.context.pass(0.001);
      await begin(here, place);
    }
    expect(await reason(here, place, cookie)).toBe("SESSION_ENDED");
    await eventually(async () => expect(await reason(there, place, cookie)).toBe("SESSION_ENDED"));
    expect(await reason(there, place, bobs)).toBe("IDENTIFIED");
  });

  it("notes its use to a minute", async () => {
    const { cookie, session } = await begin(here, place);
    here.context.pass(120);
    await askWith(here, place, cookie);
    const usedAt = here.context.clock.now().getTime();
    await eventually(async () => {
      const row = await under.database.reader
        .selectFrom("gate_sessions")
        .select("last_used_at")
        .where("id", "=", session.id)
        .executeTakeFirstOrThrow();
      expect(row.last_used_at).toBe(usedAt);
    });
  });
});
