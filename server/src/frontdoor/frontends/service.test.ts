import { sql } from "kysely";
import { beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import type { Caller } from "../../principals/principal.ts";
import {
  createRoom,
  oidcData,
  reasonOf,
  refusalOf,
  type TestRoom,
  toFrontendDefinition,
  toMachine,
} from "../test-support.ts";
import { defaultPolicy, type FrontendDefinition, type FrontendPolicy } from "./frontend.ts";
import { toFrontendTag } from "./service.ts";
import { findFrontendAtHost } from "./store.ts";

const page = { size: 50, token: "" };

describeDatabases("custom frontends", (under) => {
  let room: TestRoom;
  let orgId: string;
  let manager: Caller;
  let viewer: Caller;
  let frontdoorId: string;

  beforeAll(() => {
    room = createRoom(under.database);
  });
  beforeEach(async () => {
    orgId = await room.createOrganization();
    manager = toMachine(orgId, "manager");
    viewer = toMachine(orgId, "viewer");
    frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
  });

  const policy: FrontendPolicy = { ...defaultPolicy, publicPaths: ["/health"] };
  const request = (rest: Partial<FrontendDefinition> = {}) =>
    toFrontendDefinition({ hostname: "App.example.com", policy, ...rest });
  const create = (rest: Partial<FrontendDefinition> = {}) =>
    room.frontends.create(manager, frontdoorId, request(rest));
  const newProvider = async (name: string, enabled = true) => {
    const draft = { name, type: "API_KEY", enabled, data: {} };
    return (await room.providers.create(manager, frontdoorId, draft)).id;
  };

  it("keep their providers in order, and are active while one is enabled", async () => {
    const [off, on] = [await newProvider("off", false), await newProvider("on")];
    const made = await create({ providerIds: [on, off.toUpperCase()] });
    expect(made).toMatchObject({
      hostname: "app.example.com",
      providerIds: [on, off],
      isActive: true,
      policy,
    });
    const ref = { frontdoorId, id: made.id };
    await room.providers.update(manager, { frontdoorId, id: on }, { enabled: false });
    expect(await room.frontends.get(viewer, ref)).toMatchObject({ isActive: false });
    const replaced = await room.frontends.replace(
      manager,
      ref,
      request({ hostname: "b.example", providerIds: [off] }),
    );
    expect(replaced).toMatchObject({
      id: made.id,
      hostname: "b.example",
      providerIds: [off],
      isActive: false,
    });
    await room.frontends.delete(manager, ref);
    expect(await reasonOf(room.frontends.get(manager, ref))).toBe("CUSTOM_FRONTEND_NOT_FOUND");
    expect(await reasonOf(room.frontends.delete(manager, ref))).toBe("CUSTOM_FRONTEND_NOT_FOUND");
  });

  it("have host names of their own in a frontdoor, whatever their case", async () => {
    const raced = await Promise.allSettled(Array.from({ length: 5 }, () => create()));
    expect(raced.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await reasonOf(create({ hostname: "APP.EXAMPLE.COM" }))).toBe("HOSTNAME_TAKEN");
    const { id } = await create({ hostname: "b.example" });
    expect(await reasonOf(room.frontends.replace(manager, { frontdoorId, id }, request()))).toBe(
      "HOSTNAME_TAKEN",
    );
    const other = (await room.frontdoors.create(manager, "", "")).id;
    expect((await room.frontends.create(manager, other, request())).hostname).toBe("app.example.com");
  });

  it("accept providers of their own frontdoor only, each once", async () => {
    const own = await newProvider("own");
    const other = (await room.frontdoors.create(manager, "", "")).id;
    const draft = { name: "foreign", type: "API_KEY", enabled: true, data: {} };
    const foreign = (await room.providers.create(manager, other, draft)).id;
    for (const providerIds of [
      [own, foreign],
      [own, own],
      [own, "nonsense"],
    ]) {
      expect(await refusalOf(create({ providerIds }))).toMatchObject({
        violations: [{ field: "auth_provider_ids[1]" }],
      });
    }
    expect((await room.frontends.list(viewer, frontdoorId, page)).items).toEqual([]);
  });

  it("are not overwritten by who has read an older state, its providers' included", async () => {
    const provider = await newProvider("on");
    const made = await create({ providerIds: [provider] });
    const ref = { frontdoorId, id: made.id };
    const replace = (ifMatch: string, hostname: string) =>
      room.frontends.replace(manager, ref, request({ hostname, providerIds: [provider] }), { ifMatch });
    const first = toFrontendTag(made);
    const second = toFrontendTag(await replace(first, "b.example"));
    expect(second).not.toBe(first);
    for (const stale of [first, `W/${second}`, "", "1"]) {
      expect(await reasonOf(replace(stale, "never.example"))).toBe("PRECONDITION_FAILED");
      expect(await reasonOf(room.frontends.delete(manager, ref, { ifMatch: stale }))).toBe(
        "PRECONDITION_FAILED",
      );
    }
    await room.providers.update(manager, { frontdoorId, id: provider }, { enabled: false });
    expect(await reasonOf(replace(second, "never.example"))).toBe("PRECONDITION_FAILED");
    const third = toFrontendTag(await room.frontends.get(viewer, ref));
    const raced = await Promise.allSettled([replace(third, "c.example"), replace(third, "d.example")]);
    expect(raced.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect(await reasonOf(room.frontends.delete(manager, ref, { ifNoneMatch: "*" }))).toBe(
      "PRECONDITION_FAILED",
    );
    await room.frontends.delete(manager, ref, { ifMatch: "*" });
  });

  it("are written by managers and read by viewers, where they belong", async () => {
    const { id } = await create();
    const other = (await room.frontdoors.create(manager, "", "")).id;
    expect(await reasonOf(room.frontends.create(viewer, frontdoorId, request()))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(room.frontends.delete(viewer, { frontdoorId, id }))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(room.frontends.get(manager, { frontdoorId: other, id }))).toBe(
      "CUSTOM_FRONTEND_NOT_FOUND",
    );
    const stranger = toMachine(await room.createOrganization(), "owner");
    expect(await reasonOf(room.frontends.get(stranger, { frontdoorId, id }))).toBe("FRONTDOOR_NOT_FOUND");
    expect((await room.frontends.list(viewer, frontdoorId, page)).items.map((each) => each.id)).toEqual([id]);
  });

  it("keep all that is said of them, and have defaults for what is not", async () => {
    const said: FrontendDefinition = {
      hostname: "*.apps.localhost:8080",
      providerIds: [await newProvider("on")],
      policy: {
        publicPaths: [],
        protectedPaths: ["/admin/*"],
        emailPatterns: ["*@example.com"],
        requiredClaims: { groups: ["staff"] },
        corsPreflight: true,
        sessionMaxAge: 3600,
        apiKeyRate: { requests: 10, perSeconds: 60 },
      },
      authorization: "PASS",
      scheme: "http",
      assertionHeader: "X-Goog-IAP-JWT-Assertion",
    };
    const made = await create(said);
    expect(made).toEqual({ id: made.id, frontdoorId, isActive: true, ...said });
    const ref = { frontdoorId, id: made.id };
    expect(await room.frontends.get(viewer, ref)).toEqual(made);
    const tag = toFrontendTag(made);
    for (const change of [
      { authorization: "JUDGE" },
      { assertionHeader: "" },
      { policy: { ...said.policy, sessionMaxAge: 3601 } },
      { policy: { ...said.policy, corsPreflight: false } },
      { policy: { ...said.policy, apiKeyRate: { requests: 10, perSeconds: 61 } } },
      { policy: { ...said.policy, protectedPaths: [] } },
      { hostname: "app.localhost:8080", scheme: "https" },
    ] as const) {
      const changed = await room.frontends.replace(manager, ref, { ...said, ...change });
      expect(changed).toMatchObject(change);
      expect(toFrontendTag(changed)).not.toBe(tag);
    }
    expect(toFrontendTag(await room.frontends.replace(manager, ref, said))).toBe(tag);
  });

  it("from before read as if nothing had been said", async () => {
    const { id } = await create();
    const old = JSON.stringify({ publicPaths: ["/old"], emailPatterns: [], requiredClaims: {} });
    await under.database.transaction((tx) =>
      tx.updateTable("custom_frontends").set({ policy: old }).where("id", "=", id).execute(),
    );
    expect(await room.frontends.get(viewer, { frontdoorId, id })).toMatchObject({
      policy: { ...defaultPolicy, publicPaths: ["/old"] },
      authorization: "JUDGE",
      scheme: "https",
      assertionHeader: "",
    });
  });

  it("are at http on this machine alone", async () => {
    for (const hostname of ["localhost", "localhost:8080", "app.localhost", "127.0.0.1", "127.1.2.3:81"]) {
      expect(await create({ hostname, scheme: "http" })).toMatchObject({ hostname, scheme: "http" });
    }
    for (const hostname of [
      "app.example.com",
      "localhost.example",
      "notlocalhost",
      "126.0.0.1",
      "10.0.0.1",
    ]) {
      expect(await refusalOf(create({ hostname, scheme: "http" }))).toMatchObject({
        violations: [{ field: "scheme" }],
      });
    }
  });

  it("have an assertion header that means nothing else", async () => {
    for (const [index, assertionHeader] of [
      "X-JWT-Assertion",
      "cf-access-jwt-assertion",
      "X-Goog-IAP-JWT-Assertion",
      "X-Pomerium-Jwt-Assertion",
    ].entries()) {
      const hostname = `a${index}.example`;
      expect(await create({ hostname, assertionHeader })).toMatchObject({ assertionHeader });
    }
    for (const assertionHeader of [
      "Authorization",
      "cookie",
      "HOST",
      "X-Forwarded-User",
      "X-Vestibule-Assertion",
      "x-vestibule-anything",
      "x_vestibule_subject",
      "x.vestibule.subject",
      "X-API-Key",
      "X_JWT_Assertion",
      "X JWT",
      "X-JWT:",
      "X-JWT\r\nX-Evil",
      "Überschrift",
    ]) {
      expect(await refusalOf(create({ assertionHeader })), assertionHeader).toMatchObject({
        violations: [{ field: "assertion_header" }],
      });
    }
  });

  it("are found at their host: the exact one, else the wildcard one label above", async () => {
    const [off, on] = [await newProvider("off", false), await newProvider("on")];
    const exact = await create({ hostname: "a.apps.example.com", providerIds: [on, off] });
    const many = await create({ hostname: "*.apps.example.com", providerIds: [off] });
    await create({ hostname: "*.apps.example.com:8443" });
    const other = (await room.frontdoors.create(manager, "", "")).id;
    await room.frontends.create(manager, other, request({ hostname: "b.example" }));
    const find = (host: string, door = frontdoorId) => findFrontendAtHost(under.database.reader, door, host);
    const provider = (id: string, enabled: boolean) => ({
      id,
      name: enabled ? "on" : "off",
      type: "API_KEY",
      enabled,
      revision: 1,
      sessionsFrom: 1,
      data: {},
    });
    expect(await find("a.apps.example.com")).toEqual({
      ...exact,
      orgId,
      isOpen: true,
      providers: [provider(on, true), provider(off, false)],
    });
    expect(await find("b.apps.example.com")).toEqual({
      ...many,
      orgId,
      isOpen: true,
      providers: [provider(off, false)],
    });
    expect(await find("b.apps.example.com:8443")).toMatchObject({
      hostname: "*.apps.example.com:8443",
      providers: [],
    });
    for (const host of [
      "apps.example.com",
      "a.b.apps.example.com",
      ".apps.example.com",
      "b.apps.example.com:80",
      "b.example",
      "example",
      "",
    ]) {
      expect(await find(host), host).toBeUndefined();
    }
    expect(await find("b.example", other)).toMatchObject({ frontdoorId: other });
    expect(await find("b.example", "nonsense")).toBeUndefined();
    await room.frontends.delete(manager, { frontdoorId, id: exact.id });
    expect(await find("a.apps.example.com")).toMatchObject({ id: many.id });
    await under.database.transaction((tx) =>
      tx.updateTable("organizations").set({ state: "disabled" }).where("id", "=", orgId).execute(),
    );
    expect(await find("a.apps.example.com")).toMatchObject({ isOpen: false });
    await under.database.transaction((tx) =>
      tx.updateTable("frontdoors").set({ deleted_at: 1 }).where("id", "=", frontdoorId).execute(),
    );
    expect(await find("a.apps.example.com")).toBeUndefined();
  });

  it("are found with their providers as their newest revision has them, secrets masked", async () => {
    const draft = { name: "oidc", type: "OIDC", enabled: true, data: oidcData };
    const { id } = await room.providers.create(manager, frontdoorId, draft);
    await room.providers.update(manager, { frontdoorId, id }, { data: { audiences: ["two"] } });
    await create({ providerIds: [id] });
    const found = await findFrontendAtHost(under.database.reader, frontdoorId, "app.example.com");
    const data = { ...oidcData, clientSecret: "********", audiences: ["two"] };
    expect(found?.providers).toEqual([
      { id, name: "oidc", type: "OIDC", enabled: true, revision: 2, sessionsFrom: 1, data },
    ]);
  });

  it("are found by indexes alone", async () => {
    if (under.dialect === "postgres") return;
    const statements: string[] = [];
    const other = await under.openAnother({ onStatement: (text) => statements.push(text) });
    await other.transaction((tx) => findFrontendAtHost(tx, frontdoorId, "app.example.com"));
    const [statement = ""] = statements.filter((text) => text.includes("custom_frontends"));
    const { rows: steps } = await sql<{
      detail: string;
    }>`${sql.raw(`explain query plan ${statement}`)}`.execute(other.reader);
    const reads = steps.map(({ detail }) => detail).filter((detail) => /^(SCAN|SEARCH)/.test(detail));
    expect(reads).toContain(
      "SEARCH custom_frontends USING INDEX sqlite_autoindex_custom_frontends_2 (frontdoor_id=? AND hostname=?)",
    );
    // The one row that was found is all that is looked through.
    expect(reads.filter((read) => read.startsWith("SCAN"))).toEqual(["SCAN f"]);
  });
});
