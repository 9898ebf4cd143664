import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { silentLog } from "../lib/log.ts";
import { assembleServiceUsers, type ServiceUsersRoom } from "./assemble.ts";
import { createMachine, openRoom, type Room, root } from "./test-support.ts";

describeDatabases("a service user as answered", (under) => {
  let room: Room;
  let org: string;
  let assembled: ServiceUsersRoom;

  beforeAll(async () => {
    room = await openRoom(under.database);
    assembled = assembleServiceUsers({
      ...room,
      database: under.database,
      log: silentLog,
      lifetimes: { validitySeconds: undefined, longestValiditySeconds: undefined },
      findOrganizationState: async () => "enabled",
    });
  });
  afterAll(async () => {
    await assembled.closing?.[0]?.run();
    await room.close();
  });
  beforeEach(async () => {
    org = await room.createOrganization();
  });

  /** How often an answer was asked of the database. */
  async function countLoads(): Promise<number> {
    const loads = assembled.metrics?.find(({ name }) => name === "cache_loads_total");
    const values = [await loads?.read()].flat().filter((value) => typeof value === "object");
    return values.find(({ labels }) => labels.cache === "service_user_messages")?.value ?? Number.NaN;
  }

  it("is remembered, and read anew after every change of it", async () => {
    const { id } = await createMachine(room, org);
    expect(await assembled.findMessage(id)).toMatchObject({ id, title: "machine", orgId: org });
    // What is read while somebody else's change comes in is not kept, and it may be old enough to be read again.
    await expect
      .poll(async () => {
        const before = await countLoads();
        await assembled.findMessage(id);
        return (await countLoads()) - before;
      })
      .toBe(0);
    await room.serviceUsers.update(root, { id, org }, { title: "another" });
    expect(await assembled.findMessage(id)).toMatchObject({ title: "another" });
    await room.serviceUsers.delete(root, { id, org });
    expect(await assembled.findMessage(id)).toBeUndefined();
  });

  it("is gone with its organization", async () => {
    const { id } = await createMachine(room, org);
    expect(await assembled.findMessage(id)).toBeDefined();
    await room.deleteOrganization(org);
    expect(await assembled.findMessage(id)).toBeUndefined();
  });
});
