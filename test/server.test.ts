import { expect, test } from "vitest";
import { version } from "../server/src/lib/version.ts";
import { runVestibule, startServer } from "./parts/server.ts";

test.each(["sqlite", "postgres"] as const)(
  "starts on %s, stops when asked, and again on what it left",
  async (database) => {
    await using first = await startServer({ database });
    const health = await fetch(`${first.url}/healthz`);
    expect({ status: health.status, body: await health.json() }).toEqual({
      status: 200,
      body: { status: "SERVING" },
    });
    expect(await first.stop()).toBe(0);

    await using second = await startServer({ state: first.state });
    await second.kill();
    await using third = await startServer({ state: first.state });
    expect((await fetch(`${third.url}/healthz`)).status).toBe(200);
  },
);

test("a server that cannot start says why, and the helper passes it on", async () => {
  await expect(startServer({ config: { lissten: "x" } })).rejects.toThrow(
    /the server ended with 1:.*lissten/s,
  );
});

test("other commands run to their end", async () => {
  await using server = await startServer();
  const run = await runVestibule(["--help"], server.state);
  expect(run.code).toBe(0);
  expect(run.stdout).toContain("Usage: vestibule");
  for (const args of [["version"], ["--version"]]) {
    expect(await runVestibule(args, server.state)).toMatchObject({ code: 0, stdout: `${version}\n` });
  }
  for (const args of [
    ["serve", "--help"],
    ["doctor", "--help"],
    ["keys", "--help"],
    ["mail", "--help"],
  ]) {
    expect((await runVestibule(args, server.state)).stdout).toMatch(
      new RegExp(`^Usage: vestibule ${args[0]} `),
    );
  }
});
