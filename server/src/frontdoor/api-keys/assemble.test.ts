import { expect, it } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { House } from "../../assembly/house.ts";
import { silentLog } from "../../lib/log.ts";
import { hashSecret } from "../../lib/secrets.ts";
import { Stopping } from "../../lib/stopping.ts";
import { createRoom, toMachine } from "../test-support.ts";
import { assembleApiKeys } from "./assemble.ts";

describeDatabases("the room of API keys", (under) => {
  it("has stored the last use of a key once it is closed", async () => {
    const others = createRoom(under.database);
    const { clock } = others.context;
    const house = new House();
    const room = house.add(assembleApiKeys({ ...others, clock, log: silentLog }));
    const manager = toMachine(await others.createOrganization(), "manager");
    const frontdoorId = (await others.frontdoors.create(manager, "", "")).id;
    const draft = { name: "keys", type: "API_KEY", enabled: true, data: {} };
    const { id } = await others.providers.create(manager, frontdoorId, draft);
    const { key } = await others.apiKeys.create(manager, { frontdoorId, id }, { title: "ci" });
    const find = () => room.findApiKey(id, hashSecret(key));
    const found = await find();
    expect(found).not.toHaveProperty("lastUsedAt");
    room.noteUse(found?.id ?? "");
    await house.close(new Stopping({ log: silentLog, totalMs: 10_000 }));
    expect((await find())?.lastUsedAt).toEqual(clock.now());
  });
});
