/** Two servers behind each proxy, which is set up as the documentation says: one restarts, and nobody notices. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { startFleet } from "./parts/fleet.ts";
import { proxyNames } from "./parts/proxies.ts";
import { createState, type ServerState } from "./parts/server.ts";

let state: ServerState;
beforeAll(async () => {
  state = await createState("postgres");
});
afterAll(() => state?.remove());

it.each(proxyNames)(
  "a restart behind %s loses no request",
  async (name) => {
    await using fleet = await startFleet(name, state);
    const load = fleet.startLoad({ clients: 16, perSecond: 100 });
    await fleet.restartNext();
    const { byAsk, failures } = await load.stop();
    expect(failures).toEqual([]);
    for (const count of byAsk) expect(count).toBeGreaterThan(50);
  },
  180_000,
);
