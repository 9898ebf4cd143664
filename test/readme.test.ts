/**
 * The README's and the docs' commands, run as they stand. Only what a reader
 * would fill in is filled in: the port, the credential, the data directory.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { listPages } from "./parts/documentation.ts";
import { send } from "./parts/http.ts";
import { runVestibule, startServer, type TestServer } from "./parts/server.ts";

const root = join(import.meta.dirname, "..");

/** The fenced blocks of a page, by language. */
function readBlocks(page: string, language: string): string[] {
  const source = readFileSync(join(root, page), "utf8");
  return [...source.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, tag]) => tag === language)
    .map(([, , block = ""]) => block.trim());
}

const title = (block: string) => block.split("\n")[0]?.replace(/\s*\\$/, " …") ?? "";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in the repository, with the reader's variables. */
async function run(program: string, args: readonly string[]): Promise<Ran> {
  const child = spawn(program, args, {
    cwd: root,
    env: { ...process.env, CLIENT_ID: server.clientId, CLIENT_SECRET: server.clientSecret },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { code, stdout, stderr };
}

const atServer = (block: string) =>
  block.replaceAll(/\b(?:localhost|127\.0\.0\.1):7400\b/g, `localhost:${server.port}`);

/** What each command of the README must have answered, by a word of it. */
const answers: Readonly<Record<string, RegExp>> = {
  "AuthService/AuthToken": /"accessToken": ?"[\w-]+\.[\w-]+\.[\w-]+"/,
  "AuthService/GetCurrentUser": /"title": ?"Bootstrap"/,
  "ServiceUserService/CreateServiceUser": /"title": ?"CI"/,
  "jwks.json": /"kty": ?"EC"/,
  "list-methods": /vestibule\.v1\.AuthService\/AuthToken/,
  "ServiceUserService/ListServiceUsers": /"serviceusers"/,
};

describe("the README", () => {
  const commands = readBlocks("README.md", "sh").filter((block) =>
    /^(?:curl|npx -p @bufbuild\/buf buf curl) /.test(block),
  );

  it("starts with the commands that this suite is run by", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    expect(readBlocks("README.md", "sh")).toContain("npm ci && npm start");
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(["start", "test", "check", "bench"]));
  });

  it("shows each kind of call", () => {
    expect(commands.filter((block) => block.startsWith("curl ")).length).toBeGreaterThanOrEqual(4);
    expect(
      commands.filter((block) => block.startsWith("npx -p @bufbuild/buf buf curl ")).length,
    ).toBeGreaterThanOrEqual(2);
  });

  it.each(commands.map((block) => [title(block), block]))("%s", async (_, block) => {
    const ran = await run("sh", ["-ec", atServer(block)]);
    expect({ code: ran.code, refused: /"code": ?"/.test(ran.stdout) }, ran.stderr).toEqual({
      code: 0,
      refused: false,
    });
    const expected = Object.entries(answers).find(([word]) => block.includes(word));
    expect(expected, `no answer is expected of: ${block}`).toBeDefined();
    expect(ran.stdout).toMatch(expected?.[1] ?? /./);
  });

  it("has grpcurl's spelling of a call that buf curl makes", () => {
    const [block = ""] = readBlocks("README.md", "").filter((one) => one.startsWith("grpcurl "));
    expect(block).toContain("localhost:7400 vestibule.v1.ServiceUserService/ListServiceUsers");
    const [, shown = ""] = /-H "Authorization: Basic \$\((.*?)\)"/s.exec(block) ?? [];
    expect(shown).toContain("base64");
  });

  it.each(readBlocks("README.md", "ts").map((block) => [title(block), block]))("%s", async (_, block) => {
    // Inside the repository, where its imports are found.
    mkdirSync(join(root, ".cache"), { recursive: true });
    const folder = mkdtempSync(join(root, ".cache/readme-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "example.ts");
    writeFileSync(file, atServer(block));
    const ran = await run(process.execPath, [file]);
    expect({ code: ran.code, stdout: ran.stdout }, ran.stderr).toEqual({ code: 0, stdout: "Bootstrap\n" });
  });

  it("names the Node that the command asks for, and how its TypeScript is run", () => {
    const { engines } = JSON.parse(readFileSync(join(root, "server/package.json"), "utf8"));
    const page = readFileSync(join(root, "README.md"), "utf8");
    expect(page).toContain(`Node.js ${engines.node.replace(">=", "")} or newer`);
    expect(page).toMatch(/`node (\w+\.ts)`:\n\n```ts\n/);
  });

  it("links to what is there", () => {
    for (const page of ["README.md", ...listPages()]) {
      const source = readFileSync(join(root, page), "utf8");
      for (const [, target = ""] of source.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)) {
        expect(() => readFileSync(join(root, page, "..", target)), `${page} → ${target}`).not.toThrow(
          /ENOENT/,
        );
      }
    }
  });
});

describe("docs/keys.md", () => {
  const blocks = readBlocks("docs/keys.md", "sh");
  const ours = blocks.filter((block) => block.startsWith("npx vestibule "));

  it("runs as it stands, beside a server", async () => {
    expect(ours.map((block) => block.replace("npx vestibule ", ""))).toEqual([
      "keys list",
      "keys rotate",
      "keys rotate --now",
      'keys revoke "$KID"',
      "keys reencrypt",
    ]);
    for (const block of ours) {
      const { json } = await send(`${server.url}/.well-known/jwks.json`);
      const args = block.replace("npx vestibule ", "").replace('"$KID"', json.keys[0].kid).split(" ");
      expect(await runVestibule(args, server.state), block).toMatchObject({ code: 0, stderr: "" });
    }
  });

  it("names every state of a signing key", () => {
    const page = readFileSync(join(root, "docs/keys.md"), "utf8");
    const states = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, state]) => state);
    expect(states).toEqual(["published", "signing", "verifying", "retired"]);
  });

  it("makes keys of the right length", async () => {
    const lengths: number[] = [];
    for (const block of blocks.filter((one) => one.startsWith("node "))) {
      const { stdout } = await run("sh", ["-ec", block]);
      expect(stdout).toMatch(/^[\w-]+\n$/);
      lengths.push(stdout.trim().length);
    }
    expect(lengths).toEqual([43, 32]);
  });
});
