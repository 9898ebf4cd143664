import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { deleteOrganization, findOrganization } from "../../organizations/store.ts";
import type { Caller } from "../../principals/principal.ts";
import { removeFromDeletedFrontdoor } from "../deleted-frontdoor-store.ts";
import type { ProviderQuery } from "../providers/list.ts";
import { createFrontdoorSweep } from "../sweep.ts";
import {
  createRoom,
  reasonOf,
  refusalOf,
  type TestRoom,
  toFrontendDefinition,
  toMachine,
} from "../test-support.ts";

const page = { size: 50, token: "" };
const everything: ProviderQuery = {
  page: 0,
  size: 20,
  column: "name",
  descending: false,
  type: "",
  name: "",
};

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

describeDatabases("frontdoors", (under) => {
  let room: TestRoom;
  let orgId: string;
  let manager: Caller;
  let viewer: Caller;

  beforeAll(() => {
    room = createRoom(under.database);
  });
  beforeEach(async () => {
    orgId = await room.createOrganization();
    manager = toMachine(orgId, "manager");
    viewer = toMachine(orgId, "viewer");
    room.events.length = 0;
  });

  describe("frontdoors", () => {
    it("are created by managers, in their organization by id, by name or without saying", async () => {
      const made = await room.frontdoors.create(manager, orgId, "one");
      expect(made).toMatchObject({ orgId, name: "one" });
      expect((await room.frontdoors.create(manager, `org-${orgId}`, "two")).orgId).toBe(orgId);
      expect((await room.frontdoors.create(manager, "", "")).orgId).toBe(orgId);
      expect(await room.frontdoors.get(viewer, made.id)).toEqual(made);
      expect(room.events.map(({ action }) => action)).toEqual(Array(3).fill("frontdoor.create"));
      expect(await reasonOf(room.frontdoors.create(viewer, orgId, ""))).toBe("NOT_AUTHORIZED");
      const other = await room.createOrganization();
      expect(await reasonOf(room.frontdoors.create(manager, other, ""))).toBe("NOT_AUTHORIZED");
      expect(await reasonOf(room.frontdoors.create(manager, "no-such", ""))).toBe("NOT_AUTHORIZED");
    });

    it("are listed in pages, to those of the organization", async () => {
      const made: string[] = [];
      for (let count = 0; count < 3; count++) {
        room.context.pass(1);
        made.push((await room.frontdoors.create(manager, "", "")).id);
      }
      const first = await room.frontdoors.list(viewer, "", { size: 2, token: "" });
      const second = await room.frontdoors.list(viewer, "", { size: 2, token: first.nextPageToken });
      expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(made);
      expect(second.nextPageToken).toBe("");
      const stranger = toMachine(await room.createOrganization(), "owner");
      expect((await room.frontdoors.list(stranger, "", page)).items).toEqual([]);
      expect(await reasonOf(room.frontdoors.list(stranger, orgId, page))).toBe("NOT_AUTHORIZED");
    });

    /** A frontdoor with something in every table. */
    async function createFilled(providers: number): Promise<string> {
      const { id } = await room.frontdoors.create(manager, "", "");
      for (let count = 0; count < providers; count += 1) {
        const draft = {
          name: `p${count}`,
          type: "API_KEY",
          enabled: true,
          data: {},
          idempotencyKey: `k${count}`,
        };
        const provider = await room.providers.create(manager, id, draft);
        const ref = { frontdoorId: id, id: provider.id };
        await room.providers.update(manager, ref, { enabled: false });
        await room.apiKeys.create(manager, ref, { title: "" });
        const said = { hostname: `${provider.id}.example`, providerIds: [provider.id] };
        await room.frontends.create(manager, id, toFrontendDefinition(said));
      }
      await room.proxyTokens.create(manager, id, "");
      return id;
    }

    async function countRows(id: string): Promise<Record<string, number>> {
      const { reader } = under.database;
      const count = async (rows: { execute(): Promise<unknown[]> }) => (await rows.execute()).length;
      const inDoor = (table: (typeof tables)[number]) =>
        reader.selectFrom(table).selectAll().where("frontdoor_id", "=", id);
      const counts: Record<string, number> = {
        frontdoors: await count(reader.selectFrom("frontdoors").selectAll().where("id", "=", id)),
        keys: await count(reader.selectFrom("auth_provider_api_keys").selectAll()),
        revisions: await count(reader.selectFrom("auth_provider_revisions").selectAll()),
      };
      for (const table of tables) counts[table] = await count(inDoor(table));
      return counts;
    }
    const tables = [
      "auth_providers",
      "auth_provider_counts",
      "auth_provider_changes",
      "custom_frontends",
      "idempotency_keys",
      "proxy_tokens",
    ] as const;

    it("are deleted with everything in them: at once for everybody, from the tables by and by", async () => {
      await createFrontdoorSweep(under.database, room.context.clock)();
      const before = await countRows("");
      const kept = await createFilled(1);
      const keptRows = await countRows(kept);
      const id = await createFilled(3);
      const [provider] = (await room.lists.list(manager, id, everything)).items;
      const [frontend] = (await room.frontends.list(manager, id, page)).items;
      expect(await reasonOf(room.frontdoors.delete(viewer, id))).toBe("NOT_AUTHORIZED");
      await room.frontdoors.delete(manager, id.toUpperCase());
      const expectGone = async () => {
        expect(await refusalOf(room.frontdoors.get(manager, id))).toMatchObject({
          reason: "FRONTDOOR_NOT_FOUND",
          message: `Frontdoor ${id} not found`,
        });
        const ref = { frontdoorId: id, id: provider?.id ?? "" };
        const calls = [
          () => room.frontdoors.delete(manager, id),
          () => room.lists.list(manager, id, everything),
          () => room.providers.get(manager, ref),
          () => room.providers.create(manager, id, { name: "x", type: "API_KEY", enabled: true, data: {} }),
          () => room.providers.update(manager, ref, { name: "x" }),
          () => room.providers.delete(manager, ref, {}),
          () => room.apiKeys.create(manager, ref, { title: "" }),
          () => room.proxyTokens.list(manager, id),
          () => room.proxyTokens.create(manager, id, ""),
          () => room.frontends.get(manager, { frontdoorId: id, id: frontend?.id ?? "" }),
        ];
        for (const call of calls) expect(await reasonOf(call())).toBe("FRONTDOOR_NOT_FOUND");
        expect((await room.frontdoors.list(manager, "", page)).items.map((each) => each.id)).toEqual([kept]);
      };
      await expectGone();
      expect((await countRows(id)).auth_providers).toBe(3);

      let previous = sum(await countRows(id));
      while (await under.database.transaction((tx) => removeFromDeletedFrontdoor(tx, 2))) {
        const rows = sum(await countRows(id));
        // Two providers with what is theirs at most, or the frontdoor with its counts.
        expect(previous - rows).toBeLessThanOrEqual(6);
        previous = rows;
        await expectGone();
      }
      expect(await countRows(id)).toEqual({ ...before, keys: keptRows.keys, revisions: keptRows.revisions });
      expect(await countRows(kept)).toEqual(keptRows);
    });

    it("are removed by the sweep, also by two at once", async () => {
      const ids = [await createFilled(60), await createFilled(0)];
      for (const id of ids) await room.frontdoors.delete(manager, id);
      // As on two processes, which begin at about the same time.
      const sweeps = [1, 2].map(() => createFrontdoorSweep(under.database, room.context.clock));
      await Promise.all(sweeps.map((sweep) => sweep()));
      for (const id of ids) expect((await countRows(id)).frontdoors).toBe(0);
    });

    it("go with their organization, whose rows wait for nobody", async () => {
      const id = await createFilled(1);
      const home = await findOrganization(under.database.reader, "default");
      if (home === undefined) await room.createOrganization("enabled", "default");
      await under.database.transaction((tx) => deleteOrganization(tx, orgId, room.context.clock.now()));
      expect(await findOrganization(under.database.reader, orgId)).toBeUndefined();
      expect((await countRows(id)).auth_providers).toBe(1);
      const root = toMachine("", "viewer", { superuser: true });
      expect(await reasonOf(room.frontdoors.get(root, id))).toBe("FRONTDOOR_NOT_FOUND");
      expect((await room.frontdoors.list(root, "default", page)).items).toEqual([]);
      await createFrontdoorSweep(under.database, room.context.clock)();
      expect((await countRows(id)).frontdoors).toBe(0);
    });

    it("that are none are told of like foreign ones", async () => {
      for (const id of ["nonsense", "019a0000-0000-7000-8000-000000000000", "'", "x".repeat(200)]) {
        expect(await refusalOf(room.frontdoors.get(manager, id))).toMatchObject({
          reason: "FRONTDOOR_NOT_FOUND",
          message: `Frontdoor ${id} not found`,
        });
      }
    });
  });
});
