import { beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { defaultPolicy, type FrontendDefinition } from "../../frontdoor/frontends/frontend.ts";
import { createTestContext } from "../../frontdoor/provider-types/test-support.ts";
import { createRoom, reasonOf, type TestRoom, toMachine } from "../../frontdoor/test-support.ts";
import { DomainError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { silentLog } from "../../lib/log.ts";
import type { Caller } from "../../principals/principal.ts";
import { bearer, definitions, host, makeToken, refuseSession } from "../test-support.ts";
import { createAskProviders } from "./ask-providers.ts";
import { createExplain } from "./explain.ts";
import { ExplainService } from "./explain-service.ts";

describeDatabases("explanations", (under) => {
  const context = createTestContext();
  let room: TestRoom;
  let manager: Caller;
  let frontdoorId: string;
  let frontend: FrontendDefinition;
  let taken: string[];
  let state: "enabled" | "disabled";

  beforeAll(() => {
    room = createRoom(under.database, context);
  });

  beforeEach(async () => {
    taken = [];
    state = "enabled";
    const orgId = await room.createOrganization();
    manager = toMachine(orgId, "manager");
    frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
    const draft = { name: "jwt", enabled: true, ...definitions.jwt };
    const { id } = await room.providers.create(manager, frontdoorId, draft);
    frontend = {
      hostname: host,
      providerIds: [id],
      policy: defaultPolicy,
      authorization: "JUDGE",
      scheme: "https",
      assertionHeader: "",
    };
    await room.frontends.create(manager, frontdoorId, frontend);
  });

  function createService(
    explain = createExplain({
      askProviders: createAskProviders(silentLog, refuseSession),
      makeUnsignedHeaders,
    }),
    // Longer than any machine takes.
    maxSeconds = 3600,
  ) {
    return new ExplainService({
      reader: under.database.reader,
      frontdoorAccess: room.frontdoorAccess,
      types: room.types,
      draftFrontend: (...asked) => room.frontends.draft(...asked),
      findOrganizationState: async () => state,
      explain,
      rate: {
        take: (org) => {
          if (taken.push(org) > 3) throw new DomainError("TOO_MANY_EXPLANATIONS");
          return { key: "", at: new Date() };
        },
      },
      maxSeconds,
    });
  }
  const makeUnsignedHeaders = async () => ({ lines: [], renewAtMs: 0 });

  const visit = (change: object = {}) => {
    const { authorization } = bearer(makeToken(context));
    return { host, method: "GET", target: "/", lines: ["Authorization", authorization], ...change };
  };
  const explain = (definition?: FrontendDefinition, change: object = {}, caller = manager) =>
    createService().explain(caller, frontdoorId, visit(change), definition);

  it("are of the stored frontend, or of one that is not stored, which stays so", async () => {
    const staffOnly = { ...defaultPolicy, requiredClaims: { groups: "staff" } };
    expect(await explain()).toMatchObject({ reason: "IDENTIFIED" });
    expect(await explain({ ...frontend, policy: staffOnly })).toMatchObject({ reason: "CLAIM_MISSING" });
    expect(await explain()).toMatchObject({ reason: "IDENTIFIED" });
  });

  it("go by the host of what is described, a wildcard's too", async () => {
    expect(await explain({ ...frontend, hostname: "other.example.com" })).toMatchObject({
      reason: "UNKNOWN_HOST",
    });
    expect(await explain({ ...frontend, hostname: "*.example.com" })).toMatchObject({ reason: "IDENTIFIED" });
    expect(await explain(undefined, { host: "other.example.com" })).toMatchObject({ reason: "UNKNOWN_HOST" });
  });

  it("read the request as the gate does", async () => {
    expect(await explain(undefined, { host: "a@app.example.com" })).toMatchObject({
      reason: "MALFORMED_ASK",
    });
    expect(await explain(undefined, { lines: ["X_Vestibule.Subject", "x"] })).toMatchObject({
      reason: "FORGED_IDENTITY",
    });
    state = "disabled";
    expect(await explain(frontend)).toMatchObject({ reason: "FRONTDOOR_CLOSED" });
  });

  it("are for managers of the frontdoor's organization", async () => {
    const { principal } = manager;
    const orgId = principal.type === "serviceuser" ? principal.orgId : "";
    expect(await reasonOf(explain(undefined, {}, toMachine(orgId, "viewer")))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(explain(undefined, {}, toMachine(newId(new Date()), "owner")))).toBe(
      "FRONTDOOR_NOT_FOUND",
    );
    expect(taken).toEqual([]);
  });

  it("are not of what could not be stored", async () => {
    const providerIds = [newId(new Date())];
    expect(await reasonOf(explain({ ...frontend, providerIds }))).toBe("INVALID_REQUEST");
    expect(await reasonOf(explain({ ...frontend, hostname: "no host" }))).toBe("INVALID_REQUEST");
    const policy = { ...defaultPolicy, publicPaths: ["/a/../b"] };
    expect(await reasonOf(explain({ ...frontend, policy }))).toBe("INVALID_REQUEST");
  });

  it("are so many, and end", async () => {
    for (let times = 0; times < 3; times += 1) await explain();
    expect(await reasonOf(explain())).toBe("TOO_MANY_EXPLANATIONS");
    taken = [];
    const never = createService(() => new Promise(() => {}), 0.05);
    expect(await reasonOf(never.explain(manager, frontdoorId, visit(), undefined))).toBe("UNAVAILABLE");
  });
});
