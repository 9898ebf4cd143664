import { afterEach, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { eventually } from "../../../../test/parts/eventually.ts";
import type { LogoutOutcome } from "../../frontdoor/provider-types/provider-type.ts";
import { DomainError } from "../../lib/errors.ts";
import { createBackchannelLogout } from "./backchannel.ts";
import {
  askWith,
  begin,
  createPlace,
  type GateProcess,
  startGate,
  type TestPlace,
  toIdentity,
} from "./test-support.ts";

describeDatabases("a logout that a provider tells of", (under) => {
  let here: GateProcess;
  let there: GateProcess;
  let place: TestPlace;
  /** What each token says. */
  const tokens = new Map<string, LogoutOutcome>();

  beforeEach(async () => {
    here = await startGate(under);
    there = await startGate(under, here.context);
    place = await createPlace(here);
    tokens.clear();
    for (const { login } of [here, there]) {
      login.verifyLogout = async (_provider, token) =>
        tokens.get(token) ?? { allowed: false, reason: "bad_signature", detail: "not one of its keys" };
    }
  });
  afterEach(async () => {
    await here.stop();
    await there.stop();
  });

  let made = 0;
  function makeToken(said: {
    readonly subject?: string;
    readonly sid?: string;
    readonly jti?: string;
  }): string {
    made += 1;
    const issuedAt = here.context.clock.now();
    const goodUntil = new Date(issuedAt.getTime() + 120_000);
    const token = `token ${made}`;
    tokens.set(token, { allowed: true, jti: `jti ${made}`, issuedAt, goodUntil, ...said });
    return token;
  }

  const tell = async (token: string | undefined, { process = here, id = place.oidcId } = {}) => {
    const logOut = createBackchannelLogout({
      database: process.database,
      types: process.types,
      sessions: process.gateSessions,
    });
    const form = new Map(token === undefined ? [] : [["logout_token", token]]);
    const info = {
      requestId: "r",
      clientAddress: "::1",
      fromTrustedProxy: false,
      userAgent: "",
      outcome: {},
    };
    const path = `/gate/backchannel/${id}`;
    const absent = { authorization: undefined, project: undefined, organization: undefined };
    return await logOut({ form, path, ...absent, info }).catch((error: unknown) =>
      error instanceof DomainError ? error : Promise.reject(error),
    );
  };
  const refusal = { reason: "INVALID_REQUEST" };
  const reason = async (cookie: string, process = here) => (await askWith(process, place, cookie)).reason;
  const letIn = async (...cookies: readonly string[]) => {
    for (const cookie of cookies) {
      for (const process of [here, there]) expect(await reason(cookie, process)).toBe("IDENTIFIED");
    }
  };
  const expectOver = async (...cookies: readonly string[]) => {
    for (const cookie of cookies) {
      expect(await reason(cookie)).toBe("SESSION_ENDED");
      await eventually(async () => expect(await reason(cookie, there)).toBe("SESSION_ENDED"));
    }
  };
  const beginBy = async (sid: string | undefined, subject = "alice") =>
    (await begin(here, place, { identity: toIdentity({ subject }), ...(sid !== undefined && { sid }) }))
      .cookie;

  it("of a person ends all of their sessions, at once everywhere, and is recorded", async () => {
    const [one, two, bobs] = [await beginBy("s1"), await beginBy(undefined), await beginBy("s3", "bob")];
    await letIn(one, two, bobs);
    expect(await tell(makeToken({ subject: "alice" }))).toBe("");
    await expectOver(one, two);
    await letIn(bobs);
    expect(here.recorded).toHaveLength(2);
    expect(here.recorded[0]).toMatchObject({
      action: "gate_session.end",
      orgId: place.orgId,
      details: { subject: "alice", because: "provider_logout" },
    });
  });

  it("of one of the provider's sessions ends those of it", async () => {
    const [one, two] = [await beginBy("s1"), await beginBy("s2")];
    await letIn(one, two);
    expect(await tell(makeToken({ sid: "s1" }))).toBe("");
    await expectOver(one);
    await letIn(two);
  });

  it("of both ends besides whatever of theirs may be of that session", async () => {
    const [one, two, unknown, bobs] = [
      await beginBy("s1"),
      await beginBy("s2"),
      await beginBy(undefined),
      await beginBy("s1", "bob"),
    ];
    await letIn(one, two, unknown, bobs);
    expect(await tell(makeToken({ subject: "alice", sid: "s1" }))).toBe("");
    await expectOver(one, unknown);
    await letIn(two, bobs);
  });

  it.each([
    [{ subject: "alice" }, ["bob s1", "alice s1"]],
    [{ sid: "s1" }, ["alice s2", "alice", "alice s1"]],
    [{ subject: "alice", sid: "s1" }, ["alice s2", "bob s1", "alice s1"]],
  ])("of %j ends the ways in of those who are about to have such a session", async (said, left) => {
    const { oidcId: providerId, ownId } = place;
    const proven = [
      { providerId, subject: "alice", sid: "s1" },
      { providerId, subject: "alice", sid: "s2" },
      { providerId, subject: "alice" },
      { providerId, subject: "bob", sid: "s1" },
      { providerId: ownId, subject: "alice", sid: "s1" },
    ];
    for (const each of proven) here.waysIn.add(each);
    expect(await tell(makeToken(said))).toBe("");
    expect([...here.waysIn].map(({ subject, sid }) => [subject, sid].join(" ").trim())).toEqual(left);
  });

  it("of whoever has no session is carried out", async () => {
    expect(await tell(makeToken({ subject: "nobody" }))).toBe("");
  });

  it("is good once, however many are told of it at once", async () => {
    const first = makeToken({ subject: "alice", jti: "same" });
    const second = makeToken({ subject: "alice", jti: "same" });
    const told = await Promise.all([
      tell(first),
      tell(second, { process: there }),
      tell(first, { process: there }),
    ]);
    expect(told.filter((answer) => answer === "")).toHaveLength(1);
    const cookie = await beginBy("s1");
    expect(await tell(first)).toMatchObject({ ...refusal, message: "logout_token was used before" });
    await letIn(cookie);
  });

  it("may have another provider's jti", async () => {
    const other = await createPlace(here);
    expect(await tell(makeToken({ subject: "alice", jti: "theirs" }), { id: other.oidcId })).toBe("");
    expect(await tell(makeToken({ subject: "alice", jti: "theirs" }))).toBe("");
  });

  it("ends nothing of another provider, and nothing when it is no good", async () => {
    const cookie = await beginBy("s1");
    const other = await createPlace(here);
    await tell(makeToken({ subject: "alice", sid: "s1" }), { id: other.oidcId });
    expect(await tell("forged")).toMatchObject({ ...refusal, message: "logout_token is not good" });
    expect(await tell(undefined)).toMatchObject({ ...refusal, message: "logout_token is missing" });
    tokens.set("untold", { allowed: false, reason: "unavailable", detail: "no keys" });
    expect(await tell("untold")).toMatchObject({
      ...refusal,
      message: "logout_token cannot be verified now",
    });
    const nobody = { ...refusal, message: "no auth provider here takes a logout token" };
    const token = makeToken({ subject: "alice" });
    for (const id of ["nonsense", place.frontdoorId, place.ownId]) {
      expect(await tell(token, { id })).toMatchObject(nobody);
    }
    await letIn(cookie);
    await here.room.providers.update(place.manager, { ...place, id: place.oidcId }, { enabled: false });
    expect(await tell(token)).toMatchObject(nobody);
  });
});
