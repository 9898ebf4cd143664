/** The page about the gate, as a reader goes through it: its commands, the file they print, and a real Caddy. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gateReasons } from "../server/src/gate/decisions/reasons.ts";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { createFrontdoor, startUpstream, type Upstream } from "./parts/gate.ts";
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

  const [withoutAndWith, switchedOff, why, people] = blocks.slice(at + 1);
  expect(await runShell(withoutAndWith ?? "", server, { KEY })).toBe("401\n200\n");
  expect(upstream.take()).toHaveLength(1);
  expect(await runShell(switchedOff ?? "", server, { F, P, KEY })).toMatch(/401\n$/);
  expect(upstream.take()).toEqual([]);
  expect(await runShell(why ?? "", server, { F, KEY })).toContain("enable one of its providers");
  expect(await runShell(people ?? "", server, { F, P })).toContain('"state":"pending"');
  const open = `curl -s -o /dev/null -w '%{redirect_url}' -H 'Accept: text/html' http://localhost:${port}/x`;
  expect(await runShell(open, server)).toBe(`http://localhost:${port}/.vestibule/start?rt=%2Fx`);
}, 120_000);

it("lists every reason of the table", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/gate.md"), "utf8");
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \| (.*) \|$/gm)].map(([, name, , text]) => [
    name,
    text,
  ]);
  expect(rows).toEqual(Object.entries(gateReasons).map(([name, { text }]) => [name, text]));
});

const known = ["--frontend", "a.test", "--upstream", "127.0.0.1:1"];

it.each<[string, string[], RegExp]>([
  ["no proxy", [], /the proxy is missing: name one of nginx, /],
  ["an unknown proxy", ["apache", ...known], /apache is unknown: name one of nginx, /],
  ["two proxies", ["nginx", "caddy", ...known], /one proxy at a time, not caddy as well/],
  ["no upstream", ["nginx", "--frontend", "a.test"], /--upstream is missing/],
  ["no frontend", ["nginx", "--upstream", "127.0.0.1:1"], /--frontend is missing/],
  ["an unknown option", ["nginx", ...known, "--x"], /Unknown option '--x'/],
  ["an unknown frontend", ["nginx", ...known], /no frontdoor has a frontend a\.test: .* port/],
  ["an unknown frontdoor", ["nginx", ...known, "--frontdoor", "0"], /no frontdoor 0 has a frontend a\.test/],
])("gate config with %s says so in one line", async (_, args, message) => {
  const { code, stdout, stderr } = await runVestibule(["gate", "config", ...args], server.state);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(message);
  expect(stderr.trimEnd()).not.toContain("\n");
});

it("describes every option", async () => {
  for (const args of [
    ["gate", "--help"],
    ["gate", "config", "-h"],
  ]) {
    const { code, stdout, stderr } = await runVestibule(args, server.state);
    expect([code, stderr]).toEqual([0, ""]);
    for (const each of ["frontend", "upstream", "proxy-token-file", "gate", "listen", "out", "force"]) {
      expect(stdout).toMatch(new RegExp(`^  --${each} {2,}\\w`, "m"));
    }
  }
});

describe("files that are written", () => {
  const run = (token: string, ...args: string[]) => {
    writeFileSync(join(folder, "token"), token);
    const tokenFile = ["--proxy-token-file", join(folder, "token")];
    const toApp = ["--frontend", "files.localhost", "--upstream", "127.0.0.1:3000"];
    return runVestibule(["gate", "config", "haproxy", ...toApp, ...tokenFile, ...args], server.state);
  };
  beforeAll(async () => {
    await createFrontdoor(server, { hostname: "files.localhost", scheme: "http" });
  });

  it("load each other where they are, and ask at an address", async () => {
    const out = join(folder, "haproxy");
    const { code, stdout } = await run("vstp_x\n", "--out", out, "--gate", "localhost:7400");
    expect([code, stdout]).toEqual([0, `${out}/haproxy.cfg\n${out}/vestibule-gate.lua\n`]);
    const text = readFileSync(join(out, "haproxy.cfg"), "utf8");
    expect(text).toContain(`lua-load ${out}/vestibule-gate.lua\n`);
    expect(text).toContain("http://127.0.0.1:7400/frontdoor/");
    expect(text).not.toContain("localhost:7400");
  });

  it("take no other's place, unless they may", async () => {
    const out = join(folder, "taken");
    const theirs = join(out, "vestibule-gate.lua");
    mkdirSync(out);
    writeFileSync(theirs, "-- theirs", { mode: 0o644 });
    const refused = await run("vstp_x", "--out", out);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining(`${theirs} would be overwritten`),
    ]);
    expect(readdirSync(out)).toEqual(["vestibule-gate.lua"]);
    expect(readFileSync(theirs, "utf8")).toBe("-- theirs");
    expect((await run("vstp_x", "--out", out, "--force")).code).toBe(0);
    expect(readFileSync(theirs, "utf8")).toContain("core.register_action");
    expect(statSync(theirs).mode & 0o777).toBe(0o600);
  });

  it.each(["", "vstp_good\nvstp_other", "eyJhbGciOiJFUzI1NiJ9"])(
    "are not made of %j, which is not said again",
    async (token) => {
      const { code, stderr } = await run(token, "--out", join(folder, "none"));
      expect([code, stderr]).toEqual([1, expect.stringContaining("proxy token: expected vstp_…")]);
      if (token !== "") expect(stderr).not.toContain(token);
      expect(existsSync(join(folder, "none"))).toBe(false);
    },
  );
});
