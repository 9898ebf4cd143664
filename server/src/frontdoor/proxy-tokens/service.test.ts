import { afterEach, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { eventually } from "../../../../test/parts/eventually.ts";
import { House } from "../../assembly/house.ts";
import { silentLog } from "../../lib/log.ts";
import { isMistyped, newSecret } from "../../lib/secrets.ts";
import { Stopping } from "../../lib/stopping.ts";
import { deleteOrganization } from "../../organizations/store.ts";
import type { Caller } from "../../principals/principal.ts";
import { createRoom, reasonOf, refusalOf, type TestRoom, toMachine } from "../test-support.ts";
import { assembleProxyTokens } from "./assemble.ts";

/** All that is asked here comes by one. */
const connection = {};

describeDatabases("proxy tokens", (under) => {
  let room: TestRoom;
  let orgId: string;
  let manager: Caller;
  let viewer: Caller;
  let frontdoorId: string;

  beforeEach(async () => {
    room = createRoom(under.database);
    await room.feed.start();
    orgId = await room.createOrganization();
    manager = toMachine(orgId, "manager");
    viewer = toMachine(orgId, "viewer");
    frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
    room.events.length = 0;
  });

  afterEach(() => room.feed.stop());

  const create = (title = "edge") => room.proxyTokens.create(manager, frontdoorId, title);
  const assemble = (of: TestRoom) => assembleProxyTokens({ ...of, clock: of.context.clock, log: silentLog });

  it("are made once, stored hashed, and audited without themselves", async () => {
    const { record, token } = await create();
    expect(token).toMatch(/^vstp_/);
    expect(isMistyped("vstp", token)).toBe(false);
    const rows = await under.database.reader.selectFrom("proxy_tokens").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(token);
    expect(await room.proxyTokens.list(viewer, frontdoorId)).toEqual([record]);
    await room.proxyTokens.delete(manager, frontdoorId, record.id.toUpperCase());
    expect(room.events).toMatchObject([
      { action: "proxy_token.create", target: record.id, orgId, details: { title: "edge" } },
      { action: "proxy_token.delete", target: record.id, orgId },
    ]);
    expect(JSON.stringify(room.events)).not.toContain(token);
  });

  it("are two at most, also when two processes make some at once", async () => {
    const other = createRoom(await under.openAnother());
    const made = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        (index % 2 === 0 ? room : other).proxyTokens.create(manager, frontdoorId, `t${index}`),
      ),
    );
    expect(made.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    const [first, ...rest] = await room.proxyTokens.list(manager, frontdoorId);
    expect(rest).toHaveLength(1);
    expect(await refusalOf(create())).toMatchObject({
      reason: "TOO_MANY_CREDENTIALS",
      message: expect.stringContaining("at most two proxy tokens"),
    });
    await room.proxyTokens.delete(manager, frontdoorId, first?.id ?? "");
    await create();
    expect(await reasonOf(create())).toBe("TOO_MANY_CREDENTIALS");
  });

  it("are made and deleted by managers, where they belong", async () => {
    const { record } = await create();
    const other = (await room.frontdoors.create(manager, "", "")).id;
    expect(await reasonOf(room.proxyTokens.create(viewer, frontdoorId, ""))).toBe("NOT_AUTHORIZED");
    expect(await reasonOf(room.proxyTokens.delete(viewer, frontdoorId, record.id))).toBe("NOT_AUTHORIZED");
    for (const [door, id] of [
      [other, record.id],
      [frontdoorId, other],
      [frontdoorId, "nonsense"],
    ] as const) {
      expect(await reasonOf(room.proxyTokens.delete(manager, door, id))).toBe("PROXY_TOKEN_NOT_FOUND");
    }
    const stranger = toMachine(await room.createOrganization(), "owner");
    expect(await reasonOf(room.proxyTokens.list(stranger, frontdoorId))).toBe("FRONTDOOR_NOT_FOUND");
    expect(await room.proxyTokens.list(viewer, frontdoorId)).toEqual([record]);
  });

  it("are good at their frontdoor alone, from memory once they are known", async () => {
    const { proxies } = assemble(room);
    const { token } = await create();
    const other = (await room.frontdoors.create(manager, "", "")).id;
    const { token: others } = await room.proxyTokens.create(manager, other, "");
    expect(await proxies.isGood(frontdoorId, token, connection)).toBe(true);
    expect(proxies.isGood(frontdoorId, token, connection)).toBe(true);
    for (const bad of [
      others,
      newSecret("vstp"),
      token.replace("vstp_", "vstk_"),
      token.toUpperCase(),
      ` ${token}`,
      `${token} `,
      `${token},${token}`,
      token.slice(0, -1),
      `vstp_${"a".repeat(100_000)}`,
      "",
    ]) {
      expect(proxies.isGood(frontdoorId, bad, connection), bad.slice(0, 80)).toBe(false);
    }
    for (const door of [other, "nonsense", "019a0000-0000-7000-8000-000000000000", ""]) {
      expect(await proxies.isGood(door, token, connection), door).toBe(false);
    }
    expect(await proxies.isGood(other, others, connection)).toBe(true);
  });

  it("hold and end at once, wherever they are known: by themselves, with their frontdoor, with its organization", async () => {
    const { proxies } = assemble(room);
    const others = createRoom(await under.openAnother());
    await others.feed.start();
    const { proxies: elsewhere } = assemble(others);
    const expectEverywhere = async (token: string, isGood: boolean) => {
      expect(await proxies.isGood(frontdoorId, token, connection)).toBe(isGood);
      await eventually(async () =>
        expect(await elsewhere.isGood(frontdoorId, token, connection)).toBe(isGood),
      );
    };
    const { token, record } = await create();
    await expectEverywhere(token, true);
    const { token: second } = await create();
    await expectEverywhere(second, true);
    await room.proxyTokens.delete(manager, frontdoorId, record.id);
    await expectEverywhere(token, false);
    await expectEverywhere(second, true);
    await room.frontdoors.delete(manager, frontdoorId);
    await expectEverywhere(second, false);
    frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
    const { token: third } = await create();
    await expectEverywhere(third, true);
    await under.database.transaction(async (tx) => {
      await deleteOrganization(tx, orgId, room.context.clock.now());
      await room.feed.append(tx, { topic: "organization", subject: orgId });
    });
    await expectEverywhere(third, false);
    await others.feed.stop();
  });

  it("note their use to a minute, and have stored it once their room is closed", async () => {
    const house = new House();
    const { proxies } = house.add(assemble(room));
    const { token } = await create();
    const first = room.context.clock.now();
    await proxies.isGood(frontdoorId, token, connection);
    room.context.pass(59);
    await proxies.isGood(frontdoorId, token, connection);
    await proxies.isGood(frontdoorId, newSecret("vstp"), connection);
    await house.close(new Stopping({ log: silentLog, totalMs: 10_000 }));
    expect(await room.proxyTokens.list(viewer, frontdoorId)).toMatchObject([{ lastUsedAt: first }]);
  });

  it("are not told good while the database cannot be read", async () => {
    const database = await under.openAnother();
    const { proxies } = assemble(createRoom(database));
    const { token } = await create();
    await database.close();
    await expect(Promise.resolve(proxies.isGood(frontdoorId, token, connection))).rejects.toThrow();
  });
});
