/** The page about the gate, as a reader goes through it: its commands, the file they print, and a real Caddy. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { gateReasons } from "../server/src/gate/decisions/reasons.ts";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { startUpstream, type Upstream } from "./parts/gate.ts";
import { startProxy } from "./parts/proxies.ts";
import { findFreePort, runVestibule, startServer, type TestServer } from "./parts/server.ts";

let server: TestServer;
let upstream: Upstream;
let folder: string;
beforeAll(async () => {
  server = await startServer();
  upstream = await startUpstream();
  folder = mkdtempSync(join(tmpdir(), "vestibule-gate-page-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await upstream?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

it("puts an app behind Caddy by the commands of the page", async () => {
  const port = await findFreePort();
  const here = (block = "") =>
    block
      .replaceAll("localhost:8080", `localhost:${port}`)
      .replaceAll("127.0.0.1:3000", upstream.address)
      .replaceAll("--gate localhost:7400", `--gate 127.0.0.1:${server.port}`);
  const blocks = readBlocks("docs/gate.md", "sh").map(here);
  const at = blocks.findIndex((block) => block.includes("gate config caddy"));
  const made = await runShell(
    [`cd ${folder}`, ...blocks.slice(0, at), "echo; echo $F $P $KEY"].join("\n"),
    server,
  );
  const [F = "", P = "", KEY = ""] = made.trim().split("\n").at(-1)?.split(" ") ?? [];

  const words = (blocks[at] ?? "").replaceAll("\\\n", " ").split(">")[0]?.trim().split(/\s+/) ?? [];
  const args = words
    .slice(words.indexOf("gate"))
    .map((word) => word.replace(/^proxy-token$/, join(folder, word)));
  const printed = await runVestibule(args, server.state);
  expect([printed.code, printed.stderr]).toEqual([0, ""]);
  await using _caddy = await startProxy("caddy", printed.stdout, port);

  const [withoutAndWith, switchedOff] = blocks.slice(at + 1);
  expect(await runShell(withoutAndWith ?? "", server, { KEY })).toBe("401\n200\n");
  expect(upstream.take()).toHaveLength(1);
  expect(await runShell(switchedOff ?? "", server, { F, P, KEY })).toMatch(/401\n$/);
  expect(upstream.take()).toEqual([]);
}, 120_000);

it("lists every reason of the table", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/gate.md"), "utf8");
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \| (.*) \|$/gm)].map(([, name, , text]) => [
    name,
    text,
  ]);
  expect(rows).toEqual(Object.entries(gateReasons).map(([name, { text }]) => [name, text]));
});

it.each<[string, string[], RegExp]>([
  ["no proxy", [], /usage: vestibule gate config/],
  ["an unknown proxy", ["apache", "--frontend", "a.test", "--upstream", "127.0.0.1:1"], /usage:/],
  ["no upstream", ["nginx", "--frontend", "a.test"], /usage:/],
  ["an unknown option", ["nginx", "--frontend", "a.test", "--upstream", "127.0.0.1:1", "--x"], /usage:/],
  [
    "an unknown frontend",
    ["nginx", "--frontend", "a.test", "--upstream", "127.0.0.1:1"],
    /no frontdoor has a frontend a\.test/,
  ],
])("gate config with %s says so in one go", async (_, args, message) => {
  const { code, stdout, stderr } = await runVestibule(["gate", "config", ...args], server.state);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(message);
});
