import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { createLastUses, touchLastUses } from "../../db/write-behind.ts";
import { silentLog } from "../../lib/log.ts";
import { hashSecret, isMistyped } from "../../lib/secrets.ts";
import type { Caller } from "../../principals/principal.ts";
import { createFrontdoorSweep } from "../sweep.ts";
import { createRoom, oidcData, reasonOf, refusalOf, type TestRoom, toMachine } from "../test-support.ts";
import { findApiKey } from "./store.ts";

const page = { size: 50, token: "" };

describeDatabases("API keys", (under) => {
  let room: TestRoom;
  let manager: Caller;
  let viewer: Caller;
  let frontdoorId: string;
  let id: string;

  beforeAll(() => {
    room = createRoom(under.database);
  });

  beforeEach(async () => {
    const orgId = await room.createOrganization();
    manager = toMachine(orgId, "manager");
    viewer = toMachine(orgId, "viewer");
    frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
    const draft = { name: "keys", type: "API_KEY", enabled: true, data: {} };
    id = (await room.providers.create(manager, frontdoorId, draft)).id;
    room.events.length = 0;
  });

  const create = (rest: object = {}) =>
    room.apiKeys.create(manager, { frontdoorId, id }, { title: "ci", ...rest });
  const list = async () => (await room.apiKeys.list(viewer, { frontdoorId, id }, page)).items;
  const now = () => room.context.clock.now();
  const inSeconds = (seconds: number) => new Date(now().getTime() + seconds * 1000);

  it("are made once, stored hashed, and found by their hash at their provider only", async () => {
    const { key, record } = await create({ expiresAt: inSeconds(60) });
    expect(key).toMatch(/^vstk_/);
    expect(isMistyped("vstk", key)).toBe(false);
    const rows = await under.database.reader.selectFrom("auth_provider_api_keys").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(key);
    expect(await list()).toEqual([record]);
    const { reader } = under.database;
    expect(await findApiKey(reader, id, hashSecret(key))).toEqual(record);
    expect(await findApiKey(reader, frontdoorId, hashSecret(key))).toBeUndefined();
    expect(await findApiKey(reader, id, hashSecret(`${key}x`))).toBeUndefined();
    expect(room.events).toMatchObject([{ action: "api_key.create", target: record.id }]);
    expect(JSON.stringify(room.events)).not.toContain(key);
  });

  it("expire in a year unless they say so, and never in the past or after ten years", async () => {
    const { record } = await create();
    expect(record.expiresAt).toEqual(inSeconds(365 * 86_400));
    expect((await create({ expiresAt: inSeconds(0.001) })).record.expiresAt).toEqual(inSeconds(0.001));
    const latest = inSeconds(0);
    latest.setUTCFullYear(latest.getUTCFullYear() + 10);
    expect((await create({ expiresAt: latest })).record.expiresAt).toEqual(latest);
    for (const expiresAt of [inSeconds(0), inSeconds(-1), new Date(latest.getTime() + 1)]) {
      expect(await refusalOf(create({ expiresAt }))).toMatchObject({ violations: [{ field: "expires_at" }] });
    }
  });

  it("are of API_KEY providers only, made by managers, deleted where they belong", async () => {
    const oidc = { name: "oidc", type: "OIDC", enabled: true, data: oidcData };
    const other = { frontdoorId, id: (await room.providers.create(manager, frontdoorId, oidc)).id };
    expect(await reasonOf(room.apiKeys.create(manager, other, { title: "" }))).toBe(
      "NOT_AN_API_KEY_PROVIDER",
    );
    expect(await reasonOf(room.apiKeys.list(manager, other, page))).toBe("NOT_AN_API_KEY_PROVIDER");
    const ref = { frontdoorId, id };
    expect(await reasonOf(room.apiKeys.create(viewer, ref, { title: "" }))).toBe("NOT_AUTHORIZED");
    const second = { name: "more", type: "API_KEY", enabled: true, data: {} };
    const foreign = { frontdoorId, id: (await room.providers.create(manager, frontdoorId, second)).id };
    const { record } = await create();
    expect(await reasonOf(room.apiKeys.delete(manager, foreign, record.id))).toBe("API_KEY_NOT_FOUND");
    expect(await reasonOf(room.apiKeys.delete(viewer, ref, record.id))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(room.apiKeys.delete(manager, ref, "nonsense"))).toBe("API_KEY_NOT_FOUND");
    expect(await list()).toHaveLength(1);
  });

  it("are gone at once when deleted, by themselves or with their provider", async () => {
    const changes: string[] = [];
    const unsubscribe = room.feed.subscribe({
      onChange: ({ topic, subject }) => changes.push(`${topic} ${subject}`),
      onReset: () => {},
    });
    const { key, record } = await create();
    changes.length = 0;
    await room.apiKeys.delete(manager, { frontdoorId, id }, record.id);
    expect(changes).toEqual([`credential ${record.id}`]);
    expect(await findApiKey(under.database.reader, id, hashSecret(key))).toBeUndefined();
    const { key: second } = await create();
    await room.providers.delete(manager, { frontdoorId, id }, {});
    expect(await findApiKey(under.database.reader, id, hashSecret(second))).toBeUndefined();
    unsubscribe();
  });

  it("are limited in number while they live", async () => {
    for (const seconds of [1, 60, 60]) await create({ expiresAt: inSeconds(seconds) });
    expect(await reasonOf(create())).toBe("TOO_MANY_CREDENTIALS");
    room.context.pass(1);
    await create();
    expect(await list()).toHaveLength(4);
  });

  it("are swept ninety days after they expired", async () => {
    await create({ expiresAt: inSeconds(1) });
    const sweep = createFrontdoorSweep(under.database, room.context.clock);
    room.context.pass(90 * 86_400);
    await sweep();
    expect(await list()).toHaveLength(1);
    room.context.pass(1);
    await sweep();
    expect(await list()).toEqual([]);
  });

  describe("that are used", () => {
    it("are noted to a minute, off the hot path", async () => {
      const { clock } = room.context;
      const parts = { database: under.database, clock, log: silentLog };
      const uses = createLastUses(parts, "API keys", touchLastUses("auth_provider_api_keys"));
      const { record } = await create();
      const first = now();
      uses.note({ id: record.id });
      room.context.pass(59);
      uses.note({ id: record.id });
      await uses.flush();
      expect(await list()).toMatchObject([{ lastUsedAt: first }]);
      room.context.pass(1);
      uses.note({ id: record.id });
      await uses.flush();
      expect(await list()).toMatchObject([{ lastUsedAt: now() }]);
    });
  });
});
