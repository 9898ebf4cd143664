import { afterEach, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { eventually } from "../../../../test/parts/eventually.ts";
import type { ProviderRefusal } from "../../frontdoor/provider-types/provider-type.ts";
import type { Metadata } from "../../lib/metadata.ts";
import { toldOf } from "../test-support.ts";
import { outageMs } from "./renewals.ts";
import {
  askWith,
  begin,
  createPlace,
  type GateProcess,
  startGate,
  type TestPlace,
  toIdentity,
} from "./test-support.ts";

const unavailable: ProviderRefusal = { allowed: false, reason: "unavailable", detail: "it does not answer" };
const refused: ProviderRefusal = { allowed: false, reason: "unknown_credential", detail: "invalid_grant" };

describeDatabases("asking a session's provider again", (under) => {
  let here: GateProcess;
  let there: GateProcess;
  let place: TestPlace;

  beforeEach(async () => {
    here = await startGate(under);
    there = await startGate(under, here.context);
    place = await createPlace(here);
  });
  afterEach(async () => {
    await here.stop();
    await there.stop();
  });

  const reason = async (process: GateProcess, cookie: string) =>
    (await askWith(process, place, cookie)).reason;
  const inMinutes = (minutes: number) => new Date(here.context.clock.now().getTime() + minutes * 60_000);
  const beginDueInTenMinutes = async (kept: Metadata = { refreshToken: "first" }) =>
    (await begin(here, place, { kept, renewAt: inMinutes(10) })).cookie;
  const answer = (token: string, said: Parameters<typeof toIdentity>[0] = {}) => ({
    allowed: true as const,
    identity: toIdentity(said),
    kept: { refreshToken: token },
    renewAt: inMinutes(10),
  });
  const renewals = () => [...here.login.renewals, ...there.login.renewals];
  const onRenew = (renew: GateProcess["login"]["onRenew"]) => {
    for (const { login } of [here, there]) login.onRenew = renew;
  };

  it("waits for its time, then happens by what was kept last, and is what everybody goes by", async () => {
    const cookie = await beginDueInTenMinutes();
    let round = 0;
    onRenew(async () => {
      round += 1;
      return answer(`token ${round}`, { name: `Alice ${round}`, groups: [`g${round}`] });
    });
    here.context.pass(599);
    expect(await reason(here, cookie)).toBe("IDENTIFIED");
    expect(renewals()).toEqual([]);
    here.context.pass(1);
    expect(toldOf(await askWith(here, place, cookie))).toEqual({ Subject: `${place.oidcId}:alice` });
    await eventually(async () => {
      const known = await there.find(place.frontdoorId, place.host);
      expect(await there.judgeSession(known, place.host, cookie)).toMatchObject({
        identity: { name: "Alice 1", groups: ["g1"] },
      });
    });
    here.context.pass(600);
    expect(await reason(there, cookie)).toBe("IDENTIFIED");
    expect(renewals()).toEqual([{ refreshToken: "first" }, { refreshToken: "token 1" }]);
  });

  it("does not happen for an explanation, which is of what is stored", async () => {
    const cookie = await beginDueInTenMinutes();
    here.context.pass(600 + outageMs / 1000);
    const known = await here.find(place.frontdoorId, place.host);
    const explained = await here.explainSession(known, place.host, cookie);
    expect(explained).toMatchObject({ isGood: true, identity: { subject: "alice" } });
    expect(renewals()).toEqual([]);
  });

  it("happens once, however many ask at two processes at once", async () => {
    const cookie = await beginDueInTenMinutes();
    onRenew(async () => answer("second"));
    await Promise.all([reason(here, cookie), reason(there, cookie)]);
    here.context.pass(600);
    const asks = Array.from({ length: 40 }, (_, index) => reason(index % 2 ? here : there, cookie));
    expect(new Set(await Promise.all(asks))).toEqual(new Set(["IDENTIFIED"]));
    expect(renewals()).toEqual([{ refreshToken: "first" }]);
  });

  it("happens once long after its time too: nobody comes in before it is answered", async () => {
    const cookie = await beginDueInTenMinutes();
    const held = Promise.withResolvers<ReturnType<typeof answer>>();
    onRenew(() => held.promise);
    here.context.pass(600 + outageMs / 1000);
    const told: string[] = [];
    const asks = Array.from({ length: 20 }, async (_, index) => {
      told.push(await reason(index % 2 ? here : there, cookie));
    });
    await eventually(() => expect(renewals()).toHaveLength(1));
    expect(told).toEqual([]);
    held.resolve(answer("second"));
    await Promise.all(asks);
    expect(new Set(told)).toEqual(new Set(["IDENTIFIED"]));
    expect(renewals()).toHaveLength(1);
  });

  it("ends the session where the provider refuses, at once everywhere, and is recorded", async () => {
    const cookie = await beginDueInTenMinutes();
    onRenew(async () => refused);
    expect(await reason(there, cookie)).toBe("IDENTIFIED");
    here.context.pass(600);
    const decision = await askWith(here, place, cookie);
    expect(decision).toMatchObject({
      reason: "SESSION_ENDED",
      detail: expect.stringContaining("invalid_grant"),
    });
    await eventually(async () => expect(await reason(there, cookie)).toBe("SESSION_ENDED"));
    expect(renewals()).toHaveLength(1);
    expect(here.recorded).toMatchObject([
      {
        action: "gate_session.end",
        orgId: place.orgId,
        details: { subject: "alice", because: "renewal_refused" },
      },
    ]);
  });

  it("ends the session where the provider says that it is somebody else's now", async () => {
    const cookie = await beginDueInTenMinutes();
    onRenew(async () => answer("second", { subject: "mallory" }));
    here.context.pass(600);
    expect(await reason(here, cookie)).toBe("SESSION_ENDED");
  });

  it("is held against the provider's rules", async () => {
    const cookie = await beginDueInTenMinutes();
    onRenew(async () => answer("second", { groups: ["left"] }));
    here.login.admit = (_provider, identity) =>
      identity.groups.includes("left")
        ? { allowed: false, reason: "claim_mismatch", detail: "has left" }
        : { allowed: true, identity };
    here.context.pass(600);
    expect(await reason(here, cookie)).toBe("SESSION_UNFIT");
  });

  it("is not for a session that was ended while the provider was asked: its answer is worth nothing", async () => {
    const cookie = await beginDueInTenMinutes();
    const held = Promise.withResolvers<ReturnType<typeof answer>>();
    onRenew(() => held.promise);
    here.context.pass(600);
    const asked = reason(here, cookie);
    await eventually(() => expect(renewals()).toHaveLength(1));
    await under.database.transaction((tx) => tx.deleteFrom("gate_sessions").execute());
    held.resolve(answer("second"));
    expect(await asked).toBe("SESSION_ENDED");
    expect(await under.database.reader.selectFrom("gate_sessions").selectAll().execute()).toEqual([]);
  });

  it("lets a session go on for a quarter of an hour without the provider, which is asked every ten seconds", async () => {
    const cookie = await beginDueInTenMinutes();
    onRenew(async () => unavailable);
    here.context.pass(600);
    for (let asked = 1; asked <= 3; asked += 1) {
      for (const process of [here, here, there]) expect(await reason(process, cookie)).toBe("IDENTIFIED");
      expect(renewals()).toHaveLength(asked);
      here.context.pass(10);
    }
    here.context.pass(outageMs / 1000 - 30 - 1);
    expect(await reason(here, cookie)).toBe("IDENTIFIED");
    here.context.pass(1);
    const denied = await askWith(here, place, cookie);
    expect(denied).toMatchObject({ reason: "UNAVAILABLE", retryAfterSeconds: 5 });
    expect(await reason(there, cookie)).toBe("UNAVAILABLE");
    onRenew(async () => answer("second"));
    here.context.pass(10);
    expect(await reason(there, cookie)).toBe("IDENTIFIED");
    expect(await reason(here, cookie)).toBe("IDENTIFIED");
  });

  it("takes a provider that fails for one that cannot be asked, and its answer for a defect's no", async () => {
    const cookie = await beginDueInTenMinutes();
    onRenew(() => Promise.reject(new Error("a defect")));
    here.context.pass(600);
    expect(await reason(here, cookie)).toBe("IDENTIFIED");
    here.context.pass(outageMs / 1000);
    expect(await reason(here, cookie)).toBe("UNAVAILABLE");
  });

  it.each([
    ["renews it, where the token was not used up", () => answer("second"), "IDENTIFIED"],
    ["ends it, where the provider takes the token for stolen", () => refused, "SESSION_ENDED"],
  ])(
    "goes to another process after one that was killed in the middle: that %s",
    async (_what, then, outcome) => {
      const cookie = await beginDueInTenMinutes();
      const held = Promise.withResolvers<ReturnType<typeof answer>>();
      here.login.onRenew = () => held.promise;
      there.login.onRenew = async () => then();
      here.context.pass(600);
      const killed = reason(here, cookie);
      await eventually(() => expect(here.login.renewals).toHaveLength(1));
      expect(await reason(there, cookie)).toBe("IDENTIFIED");
      here.context.pass(59);
      expect(await reason(there, cookie)).toBe("IDENTIFIED");
      expect(there.login.renewals).toEqual([]);
      here.context.pass(1);
      expect(await reason(there, cookie)).toBe(outcome);
      expect(there.login.renewals).toEqual([{ refreshToken: "first" }]);
      // The first was only slow, after all: what it heard is as old as its lease.
      held.resolve(answer("too late", { name: "Nobody" }));
      await killed;
      const known = await there.find(place.frontdoorId, place.host);
      const judged = await there.judgeSession(known, place.host, cookie);
      expect(judged.isGood ? judged.identity.name : "over").toBe(
        outcome === "IDENTIFIED" ? undefined : "over",
      );
    },
  );

  it("keeps nobody waiting for a slow provider for longer than a proxy waits", async () => {
    const hasty = await startGate(under, here.context, 1);
    const cookie = await beginDueInTenMinutes();
    const held = Promise.withResolvers<ReturnType<typeof answer>>();
    hasty.login.onRenew = () => held.promise;
    here.context.pass(600);
    expect(await reason(hasty, cookie)).toBe("IDENTIFIED");
    here.context.pass(outageMs / 1000);
    expect(await reason(hasty, cookie)).toBe("UNAVAILABLE");
    await eventually(() => expect(hasty.login.renewals).toHaveLength(2));
    held.resolve(answer("second"));
    await eventually(async () => expect(await reason(hasty, cookie)).toBe("IDENTIFIED"));
    await hasty.stop();
  });

  it("waits for nothing while the provider has just been found to be away", async () => {
    const cookie = await beginDueInTenMinutes();
    onRenew(async () => unavailable);
    here.context.pass(600 + outageMs / 1000);
    expect(await reason(here, cookie)).toBe("UNAVAILABLE");
    // Whoever waited here would do so for longer than the test lasts.
    expect(await reason(there, cookie)).toBe("UNAVAILABLE");
    expect(await reason(here, cookie)).toBe("UNAVAILABLE");
    expect(renewals()).toHaveLength(1);
  });
});

describeDatabases("a session that only a visit can renew", (under) => {
  let here: GateProcess;
  let place: TestPlace;

  beforeEach(async () => {
    here = await startGate(under);
    place = await createPlace(here);
  });
  afterEach(() => here.stop());

  const visit = { headers: { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" } };

  it("is good for all but visits once it is due, for an hour, and comes to its end anyway", async () => {
    const { cookie } = await begin(here, place, { maxAgeSeconds: 3 * 3600 });
    const ask = async (options = {}) => (await askWith(here, place, cookie, options)).reason;
    here.context.pass(599);
    expect([await ask(visit), await ask()]).toEqual(["IDENTIFIED", "IDENTIFIED"]);
    here.context.pass(1);
    expect([await ask(), await ask(visit), await ask()]).toEqual(["IDENTIFIED", "SESSION_DUE", "IDENTIFIED"]);
    here.context.pass(3599);
    expect([await ask(visit), await ask()]).toEqual(["SESSION_DUE", "IDENTIFIED"]);
    here.context.pass(1);
    expect([await ask(), await ask(visit)]).toEqual(["SESSION_DUE", "SESSION_DUE"]);
    here.context.pass(3 * 3600);
    expect([await ask(), await ask(visit)]).toEqual(["SESSION_ENDED", "SESSION_ENDED"]);
    expect(here.login.renewals).toEqual([]);
  });
});
