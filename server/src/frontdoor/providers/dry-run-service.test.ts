import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { startLocalServer } from "../../egress/test-support.ts";
import { findTenant } from "../../organizations/store.ts";
import type { Caller } from "../../principals/principal.ts";
import type { ProviderCheck } from "../provider-types/provider-type.ts";
import { makeKey, startIssuer, startSeconds, type TestIssuer } from "../provider-types/test-support.ts";
import { createRoom, oidcData, reasonOf, refusalOf, type TestRoom, toMachine } from "../test-support.ts";
import type { DryRunDraft, DryRunServiceOptions } from "./dry-run-service.ts";

const mask = "********";

describeDatabases("dry runs", (under) => {
  let room: TestRoom;
  let manager: Caller;
  let frontdoorId: string;
  let issuer: TestIssuer;
  const key = makeKey("k1");

  beforeAll(async () => {
    room = createRoom(under.database);
    issuer = await startIssuer(key);
    manager = toMachine(await room.createOrganization(), "manager");
    frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
  });
  afterAll(() => issuer.close());
  beforeEach(() => {
    issuer.posts.length = 0;
    room.events.length = 0;
  });

  async function run(draft: Partial<DryRunDraft>, caller = manager): Promise<ProviderCheck[]> {
    const whole = { frontdoorId, id: "", sample: {}, ...draft };
    const checks: ProviderCheck[] = [];
    for await (const check of room.dryRuns.test(caller, whole, new AbortController().signal))
      checks.push(check);
    return checks;
  }

  const failed = (checks: readonly ProviderCheck[]) => checks.filter(({ ok }) => !ok).map(({ name }) => name);
  const ownData = () => ({ issuer: issuer.origin, clientId: "abc", clientSecret: "canary-secret-1" });
  let count = 0;
  const store = async () => {
    const draft = { name: `p${count++}`, type: "OIDC", enabled: true, data: ownData() };
    return (await room.providers.create(manager, frontdoorId, draft)).id;
  };

  it("test a definition that is not stored, and judge a sample", async () => {
    const token = key.sign({ iss: issuer.origin, aud: "abc", sub: "alice", exp: startSeconds + 600 });
    const checks = await run({ type: "OIDC", data: ownData(), sample: { token } });
    expect(failed(checks)).toEqual([]);
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["schema", "jwks", "client", "sample"]),
    );
    expect(issuer.posts).toHaveLength(1);
    expect(JSON.stringify(checks)).not.toContain("canary");
    expect(JSON.stringify(room.events)).not.toMatch(new RegExp(`canary|${token}`));
    expect(room.events).toMatchObject([{ action: "auth_provider.test" }]);
    expect(await under.database.reader.selectFrom("auth_providers").selectAll().execute()).toEqual([]);
  });

  it("test a stored one with its stored secret", async () => {
    const id = await store();
    expect(failed(await run({ id }))).toEqual([]);
    const [post] = issuer.posts;
    const sent = Buffer.from(post?.authorization?.split(" ")[1] ?? "", "base64").toString() + post?.body;
    expect(sent).toContain("canary-secret-1");
  });

  it("never send a kept secret to a changed endpoint", async () => {
    const id = await store();
    for (const secret of [{}, { clientSecret: mask }]) {
      const data = { issuer: `${issuer.origin}/elsewhere`, ...secret };
      expect(await refusalOf(run({ id, data }))).toMatchObject({
        violations: [{ field: "data.clientSecret" }],
      });
    }
    expect(issuer.posts).toEqual([]);
    // Data that does not even fit is an answer, and still nothing is sent.
    expect(failed(await run({ id, data: { issuer: "http://x y" } }))).toEqual(["schema"]);
    const literal = { clientId: "other", clientSecret: "canary-secret-2" };
    expect(failed(await run({ id, data: literal }))).toEqual([]);
    expect((await room.providers.get(manager, { frontdoorId, id })).revision).toBe(1);
  });

  it("refuse the mask for what is not stored, another type and an unknown one", async () => {
    const data = { ...ownData(), clientSecret: mask };
    expect(await refusalOf(run({ type: "OIDC", data }))).toMatchObject({
      violations: [{ field: "data.clientSecret" }],
    });
    expect(await refusalOf(run({ id: await store(), type: "JWT" }))).toMatchObject({
      violations: [{ field: "type" }],
    });
    expect(await refusalOf(run({ type: "SAML" }))).toMatchObject({ violations: [{ field: "type" }] });
    expect(await refusalOf(run({}))).toMatchObject({ violations: [{ field: "type" }] });
  });

  it("need the right to write, in the frontdoor's own organization", async () => {
    const { principal } = manager;
    const viewer = toMachine(principal.type === "serviceuser" ? principal.orgId : "", "viewer");
    const stranger = toMachine(await room.createOrganization(), "owner");
    const id = await store();
    expect(await reasonOf(run({ id }, viewer))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(run({ type: "OIDC", data: oidcData }, viewer))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(run({ id }, stranger))).toBe("FRONTDOOR_NOT_FOUND");
    expect(issuer.posts).toEqual([]);
  });

  it("are limited in number, and end when nobody waits any more", async () => {
    const draft = { frontdoorId, id: "", type: "API_KEY", data: {}, sample: {} };
    const { signal } = new AbortController();
    const begun = [room.dryRuns.test(manager, draft, signal), room.dryRuns.test(manager, draft, signal)];
    for (const each of begun) expect((await each.next()).value).toMatchObject({ name: "schema", ok: true });
    expect(await reasonOf(run({ type: "API_KEY", data: {} }))).toBe("TOO_MANY_DRY_RUNS");
    // Another organization is not in its way.
    const neighbour = toMachine(await room.createOrganization(), "manager");
    const theirs = { ...draft, frontdoorId: (await room.frontdoors.create(neighbour, "", "")).id };
    const third = room.dryRuns.test(neighbour, theirs, signal);
    expect((await third.next()).value).toMatchObject({ name: "schema" });
    await third.return(undefined);
    for (const each of begun) await each.return(undefined);
    expect(failed(await run({ type: "API_KEY", data: {} }))).toEqual([]);
    expect(await room.dryRuns.test(manager, draft, AbortSignal.abort()).next()).toMatchObject({ done: true });
  });

  /** A room that says when who asks next has a turn or waits for one. */
  function createWaitingRoom(options: Partial<DryRunServiceOptions>) {
    let tell = () => {};
    const at = createRoom(under.database, undefined, {
      // Longer than any machine takes: what is seen here is an order.
      maxSeconds: 3600,
      ...options,
      findTenant: async (orgId) => {
        const tenant = await findTenant(under.database.reader, orgId);
        // Whoever hears of their tenant asks for a turn at once, before any immediate.
        setImmediate(tell);
        return tenant;
      },
    });
    const onAsked = () =>
      new Promise<void>((resolve) => {
        tell = resolve;
      });
    return { at, onAsked };
  }

  it("wait their turn when all together are too many, which comes round by tenants", async () => {
    const { at: busy, onAsked } = createWaitingRoom({ maxRuns: 4 });
    const { signal } = new AbortController();
    const began: string[] = [];
    const ask = async (name: string, createdBy: string) => {
      const caller = toMachine(await room.createOrganization("enabled", undefined, createdBy), "manager");
      const id = (await room.frontdoors.create(caller, "", "")).id;
      const draft = { frontdoorId: id, id: "", type: "API_KEY", data: {}, sample: {} };
      const run = busy.dryRuns.test(caller, draft, signal);
      const asked = onAsked();
      const first = run.next().then((event) => {
        began.push(name);
        return event;
      });
      // Turns come in the order in which they were asked for.
      await asked;
      return { run, first };
    };
    // One person's organizations are one tenant, and have half of all at most.
    const greedy = [];
    for (const name of ["a1", "a2", "a3", "a4", "a5"]) greedy.push(await ask(name, "greedy"));
    const others = [await ask("b1", "b"), await ask("c1", "c")];
    await Promise.all([greedy[0], greedy[1], ...others].map((each) => each?.first));
    expect(began.toSorted()).toEqual(["a1", "a2", "b1", "c1"]);
    const last = await ask("d1", "d");
    await others[0]?.run.return(undefined);
    await last.first;
    await greedy[0]?.run.return(undefined);
    await greedy[2]?.first;
    expect(began.slice(4)).toEqual(["d1", "a3"]);
    for (const each of [...greedy, ...others, last]) void each.run.return(undefined);
    await Promise.all(greedy.map((each) => each.first));
  });

  it("are told to come later when their turn does not come in time", async () => {
    const limits: AbortController[] = [];
    const abortAfter = () => {
      const limit = new AbortController();
      limits.push(limit);
      return limit.signal;
    };
    const { at: busy, onAsked } = createWaitingRoom({ maxRuns: 1, abortAfter });
    const { signal } = new AbortController();
    const draft = { frontdoorId, id: "", type: "API_KEY", data: {}, sample: {} };
    const first = busy.dryRuns.test(manager, draft, signal);
    await first.next();
    const asked = onAsked();
    const second = reasonOf(busy.dryRuns.test(manager, draft, signal).next());
    await asked;
    limits[1]?.abort();
    expect(await second).toBe("TOO_MANY_DRY_RUNS");
    await first.return(undefined);
    expect((await busy.dryRuns.test(manager, draft, signal).next()).value).toMatchObject({ name: "schema" });
  });

  it("answer what they know when the servers are too slow, and say what is missing", async () => {
    const limit = new AbortController();
    const silent = await startLocalServer(() => limit.abort());
    const hasty = createRoom(under.database, undefined, { abortAfter: () => limit.signal });
    const data = { issuer: silent.origin, clientId: "abc" };
    const draft = { frontdoorId, id: "", type: "OIDC", data, sample: {} };
    const checks: ProviderCheck[] = [];
    for await (const check of hasty.dryRuns.test(manager, draft, new AbortController().signal))
      checks.push(check);
    expect(checks[0]).toMatchObject({ name: "schema", ok: true });
    expect(checks.at(-1)).toMatchObject({ name: "time_limit", ok: false, detail: expect.any(String) });
    expect(failed(checks)).toEqual(["time_limit"]);
    // One that has nothing to wait for is not cut, whatever the time.
    expect(failed(await run({ type: "API_KEY", data: {} }))).toEqual([]);
    await silent.close();
  });
});
