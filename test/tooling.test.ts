import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { buildIfStale } from "../scripts/build.ts";
import { findLockfileProblems } from "../scripts/lockfile.ts";

const root = join(import.meta.dirname, "..");
const reporter = join(import.meta.dirname, "parts/reporter.ts");
const vitest = join(root, "node_modules/vitest/vitest.mjs");

/** Runs a test file of this text under the reporter. The last line is what a machine reads. */
function runTests(
  text: string,
  ...args: string[]
): { code: number | null; lastLine: string; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-reporter-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const imports = `import { beforeAll, expect, test } from ${JSON.stringify(join(root, "node_modules/vitest/dist/index.js"))};`;
  writeFileSync(join(folder, "it.test.js"), `${imports}\n${text}`);
  writeFileSync(
    join(folder, "vitest.config.js"),
    `export default { test: { reporters: [${JSON.stringify(reporter)}] } };`,
  );
  const run = spawnSync(process.execPath, [vitest, "run", "--root", folder, ...args], { encoding: "utf8" });
  const output = `${run.stdout}${run.stderr}`;
  return { code: run.status, lastLine: run.stdout.trimEnd().split("\n").at(-1) ?? "", output };
}

test.each([
  ["all pass", 'test("a", () => {}); test("b", () => {});', 0, "2 passed, 0 failed"],
  ["one fails", 'test("a", () => {}); test("b", () => expect(1).toBe(2));', 1, "1 passed, 1 failed"],
  ["one is skipped", 'test("a", () => {}); test.skip("b", () => {});', 1, "1 passed, 1 failed"],
  [
    "one skips itself",
    'test("a", () => {}); test("b", (context) => context.skip());',
    1,
    "1 passed, 1 failed",
  ],
  ["one is to be written", 'test("a", () => {}); test.todo("b");', 1, "1 passed, 1 failed"],
  [
    "a hook fails",
    'beforeAll(() => { throw new Error("x"); }); test("a", () => {});',
    1,
    "0 passed, 2 failed",
  ],
  ["nothing is there", "", 1, "0 passed, 1 failed"],
  ["the file does not load", 'throw new Error("x");', 1, "0 passed, 1 failed"],
  [
    "an error escapes",
    'test("a", async () => { setTimeout(() => { throw new Error("x"); }); await new Promise((r) => setTimeout(r, 50)); });',
    1,
    "1 passed, 1 failed",
  ],
])("a run where %s closes with its count", (_, text, code, lastLine) => {
  expect(runTests(text)).toMatchObject({ code, lastLine });
});

test("names what did not run", () => {
  expect(runTests('test.skip("the hard one", () => {});').output).toContain(
    "not run: it.test.js > the hard one",
  );
});

test("tests left out by name are not failures", () => {
  const text = 'test("a", () => {}); test("b", () => {});';
  expect(runTests(text, "-t", "a")).toMatchObject({ code: 0, lastLine: "1 passed, 0 failed" });
});

test("a run that finds no test file fails", () => {
  expect(runTests("", "elsewhere")).toMatchObject({ code: 1, lastLine: "0 passed, 0 failed" });
});

test.each(["20.20.2", "22.17.9", "8.0.0"])("the command refuses Node %s in one line", (version) => {
  const pretend = `Object.defineProperty(process, "versions", { value: { node: ${JSON.stringify(version)} } });`;
  const command = join(root, "server/bin/vestibule.js");
  const run = spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${pretend}`, command, "--version"],
    {
      encoding: "utf8",
    },
  );
  expect(run).toMatchObject({
    status: 1,
    stdout: "",
    stderr: `vestibule needs Node 22.18 or newer; this is ${version}.\n`,
  });
});

test("the lockfile compiles nothing, names no mirror and every version is exact", () => {
  expect(findLockfileProblems()).toEqual([]);
});

test("every package that is published brings the license, the same one", () => {
  const read = (path: string) => readFileSync(join(root, path), "utf8");
  const { workspaces } = JSON.parse(read("package.json"));
  for (const workspace of workspaces) expect(read(`${workspace}/LICENSE`)).toBe(read("LICENSE"));
});

test("the package of the server has its command and the bundle, and builds them itself", async () => {
  await buildIfStale();
  const args = ["pack", "-w", "server", "--json", "--dry-run", "--ignore-scripts"];
  const { stdout, stderr } = spawnSync("npm", args, { cwd: root, encoding: "utf8" });
  const [packed] = JSON.parse(stdout || stderr);
  const paths: string[] = packed.files.map(({ path }: { path: string }) => path);
  expect(paths).toEqual(
    expect.arrayContaining([
      "LICENSE",
      "bin/run.js",
      "bin/vestibule.js",
      "dist/bundle/check.js",
      "dist/bundle/main.js",
      "mappings/frontier.yaml",
      "mappings/keycloak.yaml",
      "package.json",
    ]),
  );
  const others =
    /^(dist\/bundle\/(check|main)\.js(\.LEGAL\.txt)?|mappings\/\w+\.yaml|bin\/(run|vestibule)\.js|LICENSE|package\.json)$/;
  expect(paths.filter((path) => !others.test(path))).toEqual([]);
  const { scripts } = JSON.parse(readFileSync(join(root, "server/package.json"), "utf8"));
  expect(scripts).toEqual({ build: "node ../scripts/build.ts", prepack: "npm run build" });
});

test("a build that fails leaves the last one, and one that succeeds nothing of those before", () => {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-build-"));
  try {
    for (const path of ["scripts", "server/src"]) mkdirSync(join(folder, path), { recursive: true });
    for (const path of [
      "scripts/build.ts",
      "scripts/late-fields.ts",
      "scripts/recorded-schema.ts",
      "package.json",
      "package-lock.json",
      "server/package.json",
    ])
      copyFileSync(join(root, path), join(folder, path));
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    const bundle = join(folder, "server/dist/bundle");
    const build = (main: string) => {
      for (const name of ["check", "main"]) writeFileSync(join(folder, `server/src/${name}.ts`), main);
      return spawnSync(process.execPath, ["scripts/build.ts"], { cwd: folder }).status;
    };
    const readBuilt = () => readFileSync(join(bundle, "main.js"), "utf8");

    expect(build('console.log("first");')).toBe(0);
    writeFileSync(join(bundle, "older.js"), "");
    expect(build('import "./nowhere.ts";')).toBe(1);
    expect(readBuilt()).toContain("first");
    expect(build('console.log("second");')).toBe(0);
    expect(readBuilt()).toContain("second");
    expect(existsSync(join(bundle, "older.js"))).toBe(false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
