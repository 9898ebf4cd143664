/** The runner of `npm run outside` and `npm run soak`, over parts made for it. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";

const root = join(import.meta.dirname, "..");
const partModule = join(root, "test/parts/part.ts");

const passing =
  "export default { needs: [], async run(c) { await c.check('one', () => {}); return '7 runs/s'; } }";
const failing = `export default { needs: [], async run(c) {
  await c.check('one', () => { throw new Error('not so'); });
  c.count(3, ['case 17']);
} }`;
const slow = passing.replace("needs", "quick: false, needs");
const unserved = `import { MissingTool } from ${JSON.stringify(partModule)};
export default { needs: [], async run() { throw new MissingTool('pip: no matching distribution'); } }`;
const withoutTool = passing.replace("[]", "['go']");

/** Runs these parts, with the scripts among them for all that is on PATH. The lines come without their times. */
function run(
  parts: Readonly<Record<string, string>>,
  ...args: string[]
): { code: number | null; lines: string[] } {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-parts-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(parts)) {
    const isScript = text.startsWith("#!");
    writeFileSync(join(folder, isScript ? name : `${name}.ts`), text, { mode: isScript ? 0o755 : 0o644 });
  }
  // What belongs to a part is no part.
  mkdirSync(join(folder, "a"));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "scripts/parts.ts"), folder, ...args],
    { encoding: "utf8", env: { ...process.env, PATH: folder } },
  );
  const printed = `${stdout}${stderr}`.replaceAll(/ \([\d.]+ s\)$/gm, "");
  return { code: status, lines: printed.trimEnd().split("\n") };
}

test.each<[string, Record<string, string>, string[], number, string[]]>([
  ["passing", { a: passing }, [], 0, ["passed   a: 1 passed, 0 failed; 7 runs/s"]],
  [
    "failing",
    { a: failing },
    ["--quick"],
    1,
    ["failed   a: 3 passed, 2 failed", "         one: not so", "         case 17"],
  ],
  [
    "without cases",
    { a: passing.replace("await c.check('one', () => {});", "") },
    [],
    1,
    ["failed   a: 0 passed, 1 failed; 7 runs/s", "         it ran no case"],
  ],
  ["unserved", { a: unserved }, ["--quick"], 0, ["missing  a: pip: no matching distribution"]],
  [
    "unserved, asked for with all",
    { a: unserved },
    ["--all"],
    1,
    ["missing  a: pip: no matching distribution"],
  ],
  ["without its toolchain", { a: withoutTool }, [], 0, ["missing  a: needs go: go version: spawn go ENOENT"]],
  [
    "without its toolchain, asked for with all",
    { a: withoutTool },
    ["--all"],
    1,
    ["missing  a: needs go: go version: spawn go ENOENT"],
  ],
  ["slow", { a: slow }, ["--quick"], 0, ["left out a: takes longer than --quick"]],
  ["slow, with time", { a: slow }, [], 0, ["passed   a: 1 passed, 0 failed; 7 runs/s"]],
  [
    "that does not end",
    {
      a: "export default { needs: [], limitMinutes: 0.001, run: () => new Promise(() => setInterval(() => {}, 1000)) }",
    },
    [],
    1,
    ["failed   a: 0 passed, 1 failed", "         it did not end within 0.001 minutes"],
  ],
  ["that does not load", { a: "throw new Error('broken')" }, [], 1, ["failed   a: broken"]],
])("a part %s", (_, parts, args, code, lines) => {
  const ran = run(parts, ...args);
  expect({ code: ran.code, lines: ran.lines.slice(0, -1) }).toEqual({ code, lines });
});

test("a registry's refusal is reported in the client's words, and leaves nothing in the cache", () => {
  const cache = mkdtempSync(join(tmpdir(), "vestibule-cache-"));
  onTestFinished(() => rmSync(cache, { recursive: true, force: true }));
  vi.stubEnv("VESTIBULE_OUTSIDE_CACHE", cache);
  const a = `import { installGoTool } from ${JSON.stringify(join(root, "test/parts/toolchains.ts"))};
export default { needs: ["go"], run: () => installGoTool("example.com/cmd/tool@v1.0.0") }`;
  const go =
    "#!/bin/sh\n[ $1 = version ] || { echo 'go: example.com/cmd/tool@v1.0.0: 410 Gone' >&2; exit 1; }\n";
  const { code, lines } = run({ a, go });
  expect({ code, first: lines[0] }).toEqual({
    code: 0,
    first: "missing  a: go: go: example.com/cmd/tool@v1.0.0: 410 Gone",
  });
  expect(readdirSync(join(cache, "go"))).toEqual([]);
});

test("all parts run, and the last line counts them", () => {
  const { code, lines } = run({ a: failing, b: passing, c: slow, d: unserved }, "--quick");
  expect({ code, last: lines.at(-1) }).toEqual({
    code: 1,
    last: "parts: 1 passed, 1 failed, 1 missing, 1 left out",
  });
});

test("parts can be chosen, and an unknown one is refused", () => {
  expect(run({ a: failing, b: passing }, "b")).toMatchObject({ code: 0 });
  expect(run({ a: failing, b: passing }, "c")).toEqual({
    code: 1,
    lines: [expect.stringMatching(/^there is no part c in \S+; there are a, b$/)],
  });
});

test("help runs nothing, and says what each part needs, takes and lacks", () => {
  const { code, lines } = run({ a: failing, b: withoutTool, c: slow }, "--help");
  expect({ code, parts: lines.slice(lines.indexOf("Parts:")) }).toEqual({
    code: 0,
    parts: [
      "Parts:",
      "  a                  at most 15 minutes",
      "  b                  at most 15 minutes, needs go, which is missing",
      "  c                  at most 15 minutes, left out by --quick",
    ],
  });
});

test("an option that does not exist runs nothing", () => {
  const { code, lines } = run({ a: passing }, "--quik");
  expect({ code, line: lines[0] }).toEqual({ code: 1, line: expect.stringMatching(/--quik'; try --help$/) });
});
