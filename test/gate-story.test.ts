/** The page that goes from nothing to Grafana, as its reader does: its commands, a real Caddy, a real browser. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { type Reached, startUpstream, type Upstream } from "./parts/gate.ts";
import { type IdentityProvider, startIdentityProvider } from "./parts/identity-provider.ts";
import { startProxy } from "./parts/proxies.ts";
import { findFreePort, runVestibule, startServer, type TestServer } from "./parts/server.ts";

let server: TestServer;
let google: IdentityProvider;
let grafana: Upstream;
let browser: Browser;
let folder: string;
let caddyPort: number;

beforeAll(async () => {
  const port = await findFreePort();
  google = await startIdentityProvider({
    accounts: { ada: { email: "ada@example.com", email_verified: true, name: "Ada", hd: "example.com" } },
    redirectUris: [],
    redirectsBelow: `http://localhost:${port}/gate/callback/`,
  });
  google.setAccount("ada");
  server = await startServer({ port, config: { egress: { allow_cidrs: ["127.0.0.0/8"] } } });
  grafana = await startUpstream();
  browser = await launchBrowser();
  folder = mkdtempSync(join(tmpdir(), "vestibule-gate-story-"));
  caddyPort = await findFreePort();
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await browser?.close();
  await grafana?.[Symbol.asyncDispose]();
  await google?.stop();
  await server?.[Symbol.asyncDispose]();
});

/** Only what a reader fills in, and what stands in for Google and Grafana. */
function here(block: string): string {
  return block
    .replace(/^export CLIENT_ID=.*$/m, "")
    .replace(/^export GOOGLE_ID=.*$/m, `GOOGLE_ID=${google.clientId} GOOGLE_SECRET=${google.clientSecret}`)
    .replace('"type":"GOOGLE","data":{', `"type":"OIDC","data":{"issuer":"${google.issuer}",`)
    .replace(',"hostedDomains":["example.com"]', ',"requiredClaims":{"hd":"example.com"}')
    .replaceAll("grafana.localhost:8080", `grafana.localhost:${caddyPort}`)
    .replaceAll("127.0.0.1:8080", `127.0.0.1:${caddyPort}`)
    .replaceAll("127.0.0.1:3000", grafana.address)
    .replaceAll("--gate localhost:7400", `--gate 127.0.0.1:${server.port}`);
}

const read = ({ rawHeaders }: Reached, name: string) =>
  rawHeaders[rawHeaders.findIndex((each, at) => at % 2 === 0 && each.toLowerCase() === name) + 1];

it("goes from nothing to Grafana by the commands of the page", async () => {
  const blocks = readBlocks("docs/gate/grafana.md", "sh").map(here);
  const [start, door, people, tried, machines, frontend, visits, switchedOff, ...more] = blocks;
  expect([start, more]).toEqual(["npm ci && npm start\n", []]);
  const [makeFrontend = "", command = ""] = (frontend ?? "").split(/(?=^npx vestibule)/m);
  const setUp = [
    `cd ${folder}`,
    door,
    people,
    "echo",
    tried,
    machines,
    makeFrontend,
    "echo",
    "echo $F $G $KEY",
  ];
  const printed = await runShell(setUp.join("\n"), server);
  const [F = "", G = "", KEY = ""] = printed.trim().split("\n").at(-1)?.split(" ") ?? [];
  expect(printed).toContain(`"callbackUrl":"http://localhost:${server.port}/gate/callback/${G}`);
  expect(printed).toMatch(
    /\{"ok":true,"checks":\[.*"name":"redirect_uri","ok":true,"detail":"the issuer sends/,
  );

  const words = command.replaceAll("\\\n", " ").split(">")[0]?.trim().split(/\s+/) ?? [];
  const args = words
    .slice(words.indexOf("gate"))
    .map((word) => word.replace(/^proxy-token$/, join(folder, word)));
  const file = await runVestibule(args, server.state);
  expect([file.code, file.stderr]).toEqual([0, ""]);
  await using _caddy = await startProxy("caddy", file.stdout, caddyPort);

  const page = await browser.newPage();
  await page.goto(`http://grafana.localhost:${caddyPort}/d/abc?from=now-6h`);
  await page.waitForURL(`http://grafana.localhost:${caddyPort}/d/abc?from=now-6h`);
  expect(await page.textContent("body")).toBe("the app");
  const [visit] = grafana.take().filter(({ target }) => target === "/d/abc?from=now-6h");
  const names = ["x-vestibule-subject", "x-vestibule-email", "x-vestibule-name"];
  expect(visit && names.map((name) => read(visit, name))).toEqual([`${G}:ada`, "ada@example.com", "Ada"]);

  expect(await runShell(visits ?? "", server, { KEY })).toBe("200\n401\n");
  expect(grafana.take().map(({ target }) => target)).toEqual(["/api/org"]);

  await runShell(switchedOff ?? "", server, { F, G });
  const refused = await page.goto(`http://grafana.localhost:${caddyPort}/`);
  expect(refused?.status()).toBe(401);
  expect(grafana.take().filter(({ target }) => target === "/")).toEqual([]);
}, 180_000);
