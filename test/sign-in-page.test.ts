import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { findCode, Person, waitForMail } from "./parts/person.ts";
import { createState, runVestibule, startServer } from "./parts/server.ts";

it("the commands of docs/sign-in.md do what they say", async () => {
  await using server = await startServer();
  const folder = mkdtempSync(join(tmpdir(), "vestibule-sign-in-"));
  try {
    const [define = "", ...blocks] = readBlocks("docs/sign-in.md", "sh");
    const own = define.replaceAll(" jar", ` ${join(folder, "jar")}`);
    const run = async (index: number, variables: Record<string, string> = {}) => {
      const lines = (blocks[index] ?? "").replace(/^call .*$/gm, "$&; echo");
      const printed = await runShell(`${own}\n${lines}`, server, variables);
      return printed
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    };
    expect(blocks).toHaveLength(4);
    const [{ strategies }] = await run(0);
    expect(strategies).toContainEqual({ name: "mailotp" });
    const [{ state }] = await run(1);
    const code = findCode(await waitForMail(server, "ada@example.org"));
    const [, me] = await run(2, { STATE: state, CODE: code });
    expect(me.user.email).toBe("ada@example.org");
    const [list, identities, token, revoked, gone] = await run(3);
    expect(list.sessions).toHaveLength(1);
    expect(identities).toEqual({});
    expect(token.tokenType).toBe("Bearer");
    expect([revoked, gone]).toEqual([{}, {}]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it("the settings of docs/sign-in.md are accepted", async () => {
  const blocks = readBlocks("docs/sign-in.md", "yaml");
  expect(blocks.length).toBeGreaterThan(5);
  const folder = mkdtempSync(join(tmpdir(), "vestibule-sign-in-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "AuthKey_EXAMPLE456.p8"), privateKey.export({ type: "pkcs8", format: "pem" }));
  for (const each of blocks) {
    const block = each.replaceAll("/etc/vestibule", folder);
    const state = await createState("sqlite");
    try {
      const { code, stdout, stderr } = await runVestibule(["doctor"], state, { config: parse(block) });
      expect(code, `${block}${stdout}${stderr}`).toBe(0);
    } finally {
      await state.remove();
    }
  }
});

it("the outbox is read and people are invited as docs/sign-in.md says", async () => {
  await using server = await startServer({ config: { authentication: { signup: { mode: "invited" } } } });
  const [read = "", invite = ""] = readBlocks("docs/sign-in.md", "bash");
  await expect(new Person(server).signIn("ada@example.org")).rejects.toThrow("sign-up is not open");
  expect(await runShell(invite, server)).toBe("{}");
  await new Person(server).signIn("ada@example.org");
  const mail = await runShell(read.replace("data/", `${server.state.dataDir}/`), server);
  expect(mail).toMatch(/^To: ada@example.org$/m);
  expect(findCode(mail)).toHaveLength(6);
});

it.each([
  ["https://id.example.org", {}, false],
  ["https://id.example.org", { domain: "example.org" }, true],
  ["https://id.example.org", { secure: false }, true],
  ["http://localhost:7400", {}, false],
])(
  "doctor warns where the session cookie has no companion, by https: %s with %j",
  async (url, session, isWarned) => {
    const state = await createState("sqlite");
    try {
      const config = { public_url: url, authentication: { session } };
      const { code, stdout } = await runVestibule(["doctor"], state, { config });
      expect(code).toBe(0);
      expect(/^warn {2}session cookie: not tied to this host/m.test(stdout)).toBe(isWarned);
    } finally {
      await state.remove();
    }
  },
);
