import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { findCode, waitForMail } from "./parts/person.ts";
import { startServer } from "./parts/server.ts";

it("the commands of docs/sign-in.md do what they say", async () => {
  await using server = await startServer();
  const folder = mkdtempSync(join(tmpdir(), "vestibule-sign-in-"));
  try {
    const [define = "", ...blocks] = readBlocks("docs/sign-in.md", "sh");
    const own = define.replaceAll(" jar", ` ${join(folder, "jar")}`);
    const variables = { ORIGIN: `http://localhost:${server.port}` };
    const run = async (index: number, more: Record<string, string> = {}) => {
      const lines = (blocks[index] ?? "").replace(/^call .*$/gm, "$&; echo");
      const printed = await runShell(`${own}\n${lines}`, server, { ...variables, ...more });
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
    const [list, token, revoked, gone] = await run(3);
    expect(list.sessions).toHaveLength(1);
    expect(token.tokenType).toBe("Bearer");
    expect([revoked, gone]).toEqual([{}, {}]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
