import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import type { Caller } from "../../principals/principal.ts";
import type { ProviderData } from "../provider-types/provider-type.ts";
import {
  createRoom,
  oidcData,
  reasonOf,
  refusalOf,
  type TestRoom,
  toFrontendDefinition,
  toMachine,
} from "../test-support.ts";
import { findListState } from "./list-store.ts";
import { openSecrets } from "./secrets.ts";
import { findProvider } from "./store.ts";

const mask = "********";

describeDatabases("auth providers", (under) => {
  let room: TestRoom;
  let manager: Caller;
  let viewer: Caller;
  let orgId: string;
  let frontdoorId: string;

  beforeAll(async () => {
    room = createRoom(under.database);
  });

  beforeEach(async () => {
    orgId = await room.createOrganization();
    manager = toMachine(orgId, "manager");
    viewer = toMachine(orgId, "viewer");
    frontdoorId = (await room.frontdoors.create(manager, "", "door")).id;
    room.events.length = 0;
  });

  const draft = (rest: object = {}) => ({
    name: "okta",
    type: "OIDC",
    enabled: true,
    data: oidcData,
    ...rest,
  });
  const create = (rest: object = {}) => room.providers.create(manager, frontdoorId, draft(rest));
  const refTo = (id: string) => ({ frontdoorId, id });

  /** What is stored, secrets opened. */
  async function readSecrets(id: string) {
    const stored = await findProvider(under.database.reader, id);
    if (stored === undefined) throw new Error("no such provider");
    const owner = { providerId: id, revision: stored.revision };
    return openSecrets(room.sealer, owner, stored.sealedSecrets);
  }

  async function countRows(): Promise<number> {
    const { groups = [] } = (await findListState(under.database.reader, frontdoorId)) ?? {};
    return groups.reduce((sum, { count }) => sum + count, 0);
  }

  it("are created, read without their secrets, and stored with them sealed", async () => {
    const made = await create();
    expect(made).toEqual({ id: expect.any(String), name: "okta", type: "OIDC", enabled: true });
    const read = await room.providers.get(viewer, refTo(made.id.toUpperCase()));
    expect(read).toEqual({ ...made, revision: 1, data: { ...oidcData, clientSecret: mask } });
    expect(await readSecrets(made.id)).toEqual({ clientSecret: "canary-secret-1" });
    for (const table of ["auth_providers", "auth_provider_revisions", "auth_provider_changes"] as const) {
      const rows = await under.database.reader.selectFrom(table).selectAll().execute();
      expect(JSON.stringify(rows)).not.toContain("canary-secret");
    }
    expect(room.events).toMatchObject([{ action: "auth_provider.create", target: made.id, orgId }]);
    expect(JSON.stringify(room.events)).not.toContain("canary");
  });

  it("are read by viewers, written by managers, and unknown to everybody else", async () => {
    const { id } = await create();
    const stranger = toMachine(await room.createOrganization(), "owner");
    const root = toMachine(await room.createOrganization(), "viewer", { superuser: true });
    expect((await room.providers.get(root, refTo(id))).id).toBe(id);
    for (const ref of [refTo(id), { frontdoorId: "019a0000-0000-7000-8000-000000000000", id }]) {
      const refusal = await refusalOf(room.providers.get(stranger, ref));
      expect(refusal).toMatchObject({
        reason: "FRONTDOOR_NOT_FOUND",
        message: `Frontdoor ${ref.frontdoorId} not found`,
      });
    }
    expect(await reasonOf(room.providers.create(viewer, frontdoorId, draft({ name: "x" })))).toBe(
      "NOT_AUTHORIZED",
    );
    expect(await reasonOf(room.providers.update(viewer, refTo(id), { name: "x" }))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(room.providers.delete(viewer, refTo(id), {}))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(room.providers.create(stranger, frontdoorId, draft()))).toBe("FRONTDOOR_NOT_FOUND");
    const other = await room.frontdoors.create(manager, "", "other");
    const elsewhere = { frontdoorId: other.id, id };
    expect(await reasonOf(room.providers.get(manager, elsewhere))).toBe("AUTH_PROVIDER_NOT_FOUND");
    expect(await reasonOf(room.providers.update(manager, elsewhere, { name: "x" }))).toBe(
      "AUTH_PROVIDER_NOT_FOUND",
    );
    expect(await reasonOf(room.providers.delete(manager, elsewhere, {}))).toBe("AUTH_PROVIDER_NOT_FOUND");
    expect((await room.providers.get(viewer, refTo(id))).name).toBe("okta");
  });

  it("have names that are unique in NFC, of one create in a race exactly one", async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 12 }, () => create({ name: "raced" })));
    const refused = outcomes.filter((each) => each.status === "rejected");
    expect(refused.map(({ reason }) => reason.reason)).toEqual(
      Array.from({ length: 11 }, () => "NAME_TAKEN"),
    );
    expect(await countRows()).toBe(1);
    const { name } = await create({ name: "Cafe\u0301" });
    expect(name).toBe("Caf\u00e9");
    expect(await reasonOf(create({ name: "Caf\u00e9" }))).toBe("NAME_TAKEN");
    // Cyrillic а: another letter, however much alike.
    expect((await create({ name: "r\u0430ced" })).name).toBe("r\u0430ced");
    expect((await create({ name: "RACED" })).name).toBe("RACED");
    const { id } = await create({ name: "second" });
    expect(await reasonOf(room.providers.update(manager, refTo(id), { name: "raced" }))).toBe("NAME_TAKEN");
    const other = await room.frontdoors.create(manager, "", "");
    expect((await room.providers.create(manager, other.id, draft({ name: "raced" }))).name).toBe("raced");
  });

  it.each([
    ["", "empty"],
    [" okta", "space"],
    ["okta\u00a0", "no-break space"],
    ["a\u0000b", "NUL"],
    ["a\u202eb", "direction override"],
    ["a\u200bb", "zero width space"],
    ["a\nb", "line feed"],
    ["\u2028", "line separator"],
    ["x".repeat(101), "101 characters"],
  ])("refuse the name %j (%s)", async (name) => {
    expect(await refusalOf(create({ name }))).toMatchObject({
      reason: "INVALID_REQUEST",
      violations: [{ field: "name" }],
    });
    expect(await countRows()).toBe(0);
  });

  it("take names of 100 characters, counted as people do", async () => {
    expect((await create({ name: "\u{1f511}".repeat(100) })).name).toHaveLength(200);
  });

  it("refuse data that does not fit with all that is wrong, and unknown types", async () => {
    const refusal = await refusalOf(create({ data: { issuer: "nonsense", audiences: [1], surprise: true } }));
    expect([...new Set(refusal.violations.map(({ field }) => field))].toSorted()).toEqual([
      "data.audiences[0]",
      "data.clientId",
      "data.issuer",
      "data.surprise",
    ]);
    expect(await reasonOf(create({ type: "SAML" }))).toBe("INVALID_REQUEST");
    expect(await reasonOf(create({ data: JSON.parse('{"__proto__":{"issuer":"https://x.example"}}') }))).toBe(
      "INVALID_REQUEST",
    );
    expect(await countRows()).toBe(0);
  });

  it("refuse the mask on create", async () => {
    const refusal = await refusalOf(create({ data: { ...oidcData, clientSecret: mask } }));
    expect(refusal.violations).toMatchObject([{ field: "data.clientSecret" }]);
  });

  it("refuse the mask where there is nothing to keep together with all else that is wrong", async () => {
    const data = { issuer: 5, clientId: "c", clientSecret: mask };
    const wrong = [{ field: "data.clientSecret" }, { field: "data.issuer" }];
    expect((await refusalOf(create({ data }))).violations).toMatchObject(wrong);
    const { id } = await create({ data: { issuer: oidcData.issuer, clientId: "c" } });
    const patch = room.providers.update(manager, refTo(id), { data });
    expect((await refusalOf(patch)).violations).toMatchObject(wrong);
    const put = room.providers.replace(manager, refTo(id), { name: "x", type: "OIDC", data });
    expect((await refusalOf(put)).violations).toMatchObject(wrong);
  });

  describe("PATCH", () => {
    it("merges, removes by null, and leaves what is absent", async () => {
      const { id } = await create({ data: { ...oidcData, requiredClaims: { a: "1", b: "2" } } });
      const patched = await room.providers.update(manager, refTo(id), {
        name: "renamed",
        data: { audiences: ["x"], requiredClaims: { b: null, c: "3" }, supportsPkce: false },
      });
      expect(patched).toMatchObject({ name: "renamed", enabled: true, revision: 2 });
      expect(patched.data).toEqual({
        ...oidcData,
        audiences: ["x"],
        requiredClaims: { a: "1", c: "3" },
        supportsPkce: false,
        clientSecret: mask,
      });
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-1" });
      const without = await room.providers.update(manager, refTo(id), { data: { clientSecret: null } });
      expect(without.data).not.toHaveProperty("clientSecret");
      expect(await readSecrets(id)).toEqual({});
      const none = { data: { clientSecret: mask } };
      expect(await reasonOf(room.providers.update(manager, refTo(id), none))).toBe("INVALID_REQUEST");
    });

    it("keeps a secret by its absence or by the mask, and takes a literal one", async () => {
      const { id } = await create();
      await room.providers.update(manager, refTo(id), { data: { clientSecret: mask, scopes: ["openid"] } });
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-1" });
      await room.providers.update(manager, refTo(id), { data: { clientSecret: "canary-secret-2" } });
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-2" });
    });

    it("may repeat the type and not change it", async () => {
      const { id } = await create();
      expect(
        (await room.providers.update(manager, refTo(id), { type: "OIDC", enabled: false })).enabled,
      ).toBe(false);
      expect(await reasonOf(room.providers.update(manager, refTo(id), { type: "JWT" }))).toBe(
        "INVALID_REQUEST",
      );
    });

    it("that changes nothing makes no revision, no event and no record", async () => {
      const { id } = await create();
      room.events.length = 0;
      const same = { name: "okta", enabled: true, data: { ...oidcData, clientSecret: "canary-secret-1" } };
      expect((await room.providers.update(manager, refTo(id), same)).revision).toBe(1);
      expect((await room.providers.update(manager, refTo(id), {})).revision).toBe(1);
      expect(room.events).toEqual([]);
    });
  });

  describe("PUT", () => {
    it("replaces data; the mask keeps the secret, absence removes it", async () => {
      const { id } = await create();
      const { issuer, clientId } = oidcData;
      const put = (data: ProviderData, rest: object = {}) =>
        room.providers.replace(manager, refTo(id), { name: "okta", type: "OIDC", data, ...rest });
      expect((await put({ issuer, clientId, clientSecret: mask })).data).toEqual({
        issuer,
        clientId,
        clientSecret: mask,
      });
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-1" });
      expect((await put({ issuer, clientId }, { enabled: false })).data).toEqual({ issuer, clientId });
      expect(await readSecrets(id)).toEqual({});
      expect(await reasonOf(put({ issuer, clientId, clientSecret: mask }))).toBe("INVALID_REQUEST");
      // A definition that does not say keeps a provider that somebody disabled disabled.
      expect((await put({ issuer, clientId, scopes: ["openid"] })).enabled).toBe(false);
    });

    it("refuses another type", async () => {
      const { id } = await create();
      const other = { name: "okta", type: "API_KEY", data: {} };
      expect(await refusalOf(room.providers.replace(manager, refTo(id), other))).toMatchObject({
        violations: [{ field: "type" }],
      });
    });
  });

  describe("a kept secret and a changed endpoint", () => {
    const changes: [string, ProviderData][] = [
      ["issuer", { issuer: "https://evil.example.com" }],
      ["clientId", { clientId: "other" }],
      ["discoveryUrl", { discoveryUrl: "https://evil.example.com/d" }],
    ];

    it.each(changes)("are refused together by PATCH and PUT (%s)", async (field, change) => {
      const { id } = await create();
      for (const secret of [{}, { clientSecret: mask }]) {
        const refusal = await refusalOf(
          room.providers.update(manager, refTo(id), { data: { ...change, ...secret } }),
        );
        expect(refusal.violations).toMatchObject([
          { field: "data.clientSecret", description: expect.stringContaining(`data.${field}`) },
        ]);
      }
      const data = { ...oidcData, ...change, clientSecret: mask };
      const put = { name: "okta", type: "OIDC", data };
      expect(await reasonOf(room.providers.replace(manager, refTo(id), put))).toBe("INVALID_REQUEST");
      expect((await room.providers.get(manager, refTo(id))).revision).toBe(1);
    });

    it.each(changes)("go apart: a literal secret, or none, may follow (%s)", async (_, change) => {
      const { id } = await create();
      const literal = { data: { ...change, clientSecret: "canary-secret-3" } };
      expect((await room.providers.update(manager, refTo(id), literal)).revision).toBe(2);
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-3" });
      const { id: second } = await create({ name: "second" });
      const removed = { data: { ...change, clientSecret: null } };
      expect((await room.providers.update(manager, refTo(second), removed)).revision).toBe(2);
    });

    it("may be another spelling of the same endpoint", async () => {
      const { id } = await create();
      const patch = { data: { issuer: "https://YOUR-ORG.okta.com:443/" } };
      expect((await room.providers.update(manager, refTo(id), patch)).data.issuer).toBe(
        "https://YOUR-ORG.okta.com:443/",
      );
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-1" });
    });
  });

  describe("revisions", () => {
    it("say who changed what, and show no secret", async () => {
      const { id } = await create();
      await room.providers.update(manager, refTo(id), {
        enabled: false,
        data: { clientSecret: "canary-secret-2", audiences: ["b"] },
      });
      const page = { size: 50, token: "" };
      const { items } = await room.providers.listRevisions(viewer, refTo(id), page);
      expect(items.map(({ revision, change }) => [revision, change])).toEqual([
        [2, "update"],
        [1, "create"],
      ]);
      expect(items[0]).toMatchObject({ author: { type: "serviceuser", id: manager.principal.id } });
      expect(items[0]?.changes).toEqual([
        { field: "enabled", before: true, after: false },
        { field: "data.audiences", before: ["api://default"], after: ["b"] },
        { field: "data.clientSecret", before: mask, after: mask },
      ]);
      expect(JSON.stringify(items)).not.toContain("canary");
      const first = await room.providers.listRevisions(viewer, refTo(id), { size: 1, token: "" });
      const second = await room.providers.listRevisions(viewer, refTo(id), {
        size: 1,
        token: first.nextPageToken,
      });
      expect(second).toMatchObject({ items: [{ revision: 1 }], nextPageToken: "" });
    });

    it("are gone back to with endpoint and secret as one pair", async () => {
      const { id } = await create();
      const moved = { issuer: "https://new.example.com", clientSecret: "canary-secret-2" };
      await room.providers.update(manager, refTo(id), { name: "moved", enabled: false, data: moved });
      const back = await room.providers.rollback(manager, refTo(id), { revision: 1 });
      expect(back).toMatchObject({ name: "okta", enabled: true, revision: 3 });
      expect(back.data).toEqual({ ...oidcData, clientSecret: mask });
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-1" });
      await room.providers.rollback(manager, refTo(id), { revision: 2 });
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-2" });
      const { items } = await room.providers.listRevisions(viewer, refTo(id), { size: 1, token: "" });
      expect(items[0]).toMatchObject({ change: "rollback", restoredRevision: 2, revision: 4 });
      expect(await reasonOf(room.providers.rollback(manager, refTo(id), { revision: 9 }))).toBe(
        "REVISION_NOT_FOUND",
      );
    });

    it("are kept in a number, the newest ones, and no other provider's are touched", async () => {
      const [{ id }, { id: other }] = [await create(), await create({ name: "other" })];
      for (let edit = 0; edit < 20; edit += 1) {
        await room.providers.update(manager, refTo(id), { enabled: edit % 2 === 1 });
      }
      const list = async (of: string) => {
        const { items } = await room.providers.listRevisions(viewer, refTo(of), { size: 50, token: "" });
        return items.map(({ revision }) => revision);
      };
      expect(await list(id)).toEqual(Array.from({ length: 20 }, (_, index) => 21 - index));
      expect(await list(other)).toEqual([1]);
      expect(await reasonOf(room.providers.rollback(manager, refTo(id), { revision: 1 }))).toBe(
        "REVISION_NOT_FOUND",
      );
      expect(await room.providers.rollback(manager, refTo(id), { revision: 2 })).toMatchObject({
        revision: 22,
        enabled: false,
      });
      expect(await readSecrets(id)).toEqual({ clientSecret: "canary-secret-1" });
    });

    it("whose name was taken meanwhile are refused", async () => {
      const { id } = await create();
      await room.providers.update(manager, refTo(id), { name: "moved" });
      await create();
      expect(await reasonOf(room.providers.rollback(manager, refTo(id), { revision: 1 }))).toBe("NAME_TAKEN");
      expect((await room.providers.get(manager, refTo(id))).name).toBe("moved");
    });
  });

  describe("If-Match", () => {
    it("lets a write through for the newest revision and no other", async () => {
      const { id } = await create();
      const update = (ifMatch: string, name: string) =>
        room.providers.update(manager, refTo(id), { name, ifMatch });
      for (const stale of ['"2"', 'W/"1"', "1", '"0", "3"', ""]) {
        expect(await reasonOf(update(stale, "never"))).toBe("PRECONDITION_FAILED");
        expect(await reasonOf(room.providers.delete(manager, refTo(id), { ifMatch: stale }))).toBe(
          "PRECONDITION_FAILED",
        );
      }
      expect((await update('"7", "1"', "a")).revision).toBe(2);
      expect((await update("*", "b")).revision).toBe(3);
      const raced = await Promise.allSettled([update('"3"', "c"), update('"3"', "d")]);
      expect(raced.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
      for (const ifNoneMatch of ["*", '"4"']) {
        expect(
          await reasonOf(room.providers.update(manager, refTo(id), { name: "never", ifNoneMatch })),
        ).toBe("PRECONDITION_FAILED");
      }
    });
  });

  describe("Idempotency-Key", () => {
    it("answers a repetition what the first was answered, also in a race and after changes", async () => {
      const key = { idempotencyKey: "k-1" };
      const answers = await Promise.all(Array.from({ length: 5 }, () => create(key)));
      expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
      const [first] = answers;
      await room.providers.update(manager, refTo(first?.id ?? ""), { name: "renamed" });
      expect(await create(key)).toEqual(first);
      await room.providers.delete(manager, refTo(first?.id ?? ""), {});
      expect(await create(key)).toEqual(first);
      expect(await countRows()).toBe(0);
    });

    it("is refused with another request, and is each caller's own", async () => {
      const key = { idempotencyKey: "k-2" };
      const { id } = await create(key);
      for (const other of [
        { name: "b" },
        { enabled: false },
        { data: { ...oidcData, clientSecret: "canary-secret-2" } },
      ]) {
        expect(await reasonOf(create({ ...key, ...other }))).toBe("IDEMPOTENCY_KEY_REUSED");
      }
      const colleague = toMachine(orgId, "manager");
      const theirs = room.providers.create(colleague, frontdoorId, draft({ ...key, name: "theirs" }));
      expect((await theirs).id).not.toBe(id);
      expect(await reasonOf(create({ idempotencyKey: "sp ace" }))).toBe("INVALID_REQUEST");
      expect(await reasonOf(create({ idempotencyKey: "x".repeat(256) }))).toBe("INVALID_REQUEST");
      const rows = await under.database.reader.selectFrom("idempotency_keys").selectAll().execute();
      expect(JSON.stringify(rows)).not.toContain("canary");
    });

    it("knows its request again when its data is written in another order", async () => {
      const key = { idempotencyKey: "k-4" };
      const first = await create(key);
      const { data } = draft();
      const other = Object.fromEntries(Object.entries(data).toReversed());
      expect(await create({ ...key, data: other })).toEqual(first);
    });

    it("that was refused stands for nothing", async () => {
      const key = { idempotencyKey: "k-5" };
      expect(await reasonOf(create({ ...key, data: {} }))).toBe("INVALID_REQUEST");
      await create({ name: "taken" });
      expect(await reasonOf(create({ ...key, name: "taken" }))).toBe("NAME_TAKEN");
      expect((await create({ ...key, name: "free" })).name).toBe("free");
    });

    it("answers nothing that is not a provider", async () => {
      const key = { idempotencyKey: "k-6" };
      await create(key);
      await under.database.transaction((tx) =>
        tx.updateTable("idempotency_keys").set({ answer: '{"id":"x"}' }).where("key", "=", "k-6").execute(),
      );
      await expect(create(key)).rejects.toThrow("idempotency_keys.answer");
    });

    it("stands for its request for 24 hours", async () => {
      const key = { idempotencyKey: "k-3" };
      await create(key);
      room.context.pass(86_399);
      expect((await create(key)).name).toBe("okta");
      room.context.pass(1);
      expect(await reasonOf(create(key))).toBe("NAME_TAKEN");
      expect((await create({ ...key, name: "later" })).name).toBe("later");
    });
  });

  it.each([
    ["data", "[]"],
    ["data", "{"],
    ["sealed_secrets", '{"clientSecret":{}}'],
  ] as const)("are not shown with %s that is damaged: %s", async (column, text) => {
    const { id } = await create();
    await under.database.transaction((tx) =>
      tx
        .updateTable("auth_provider_revisions")
        .set({ [column]: text })
        .where("provider_id", "=", id)
        .execute(),
    );
    await expect(room.providers.get(viewer, refTo(id))).rejects.toThrow(`auth_provider_revisions.${column}`);
  });

  it("are deleted with revisions, out of the frontends that accepted them", async () => {
    const { id } = await create();
    const { id: other } = await create({ name: "other" });
    const wanted = toFrontendDefinition({ providerIds: [id, other] });
    const frontend = await room.frontends.create(manager, frontdoorId, wanted);
    await room.providers.delete(manager, refTo(id), {});
    expect(await reasonOf(room.providers.get(manager, refTo(id)))).toBe("AUTH_PROVIDER_NOT_FOUND");
    expect(await reasonOf(room.providers.delete(manager, refTo(id), {}))).toBe("AUTH_PROVIDER_NOT_FOUND");
    expect((await room.frontends.get(manager, { frontdoorId, id: frontend.id })).providerIds).toEqual([
      other,
    ]);
    const { reader } = under.database;
    const left = reader.selectFrom("auth_provider_revisions").selectAll().where("provider_id", "=", id);
    expect(await left.execute()).toEqual([]);
    expect(await countRows()).toBe(1);
  });

  it("are not written in a disabled organization", async () => {
    const { id } = await create();
    await under.database.transaction((tx) =>
      tx.updateTable("organizations").set({ state: "disabled" }).where("id", "=", orgId).execute(),
    );
    expect(await reasonOf(create({ name: "x" }))).toBe("ORGANIZATION_DISABLED");
    expect(await reasonOf(room.providers.get(manager, refTo(id)))).toBe("ORGANIZATION_DISABLED");
  });
});
