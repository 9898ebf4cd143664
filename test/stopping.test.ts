/** Signals of the built server, and how it ends. */
import { expect, it } from "vitest";
import { send } from "./parts/http.ts";
import { startServer } from "./parts/server.ts";

it("goes on after SIGHUP, and says that it means nothing", async () => {
  await using server = await startServer();
  process.kill(server.pid, "SIGHUP");
  await expect.poll(() => server.stdout()).toContain("SIGHUP changes nothing");
  expect((await send(`${server.url}/healthz`)).status).toBe(200);
  expect(await server.stop()).toBe(0);
});
