/** The pages for those who change the code: what they name is there, and every room has its line. */
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";

const root = join(import.meta.dirname, "..");
const sources = join(root, "server/src");
const agents = readFileSync(join(root, "AGENTS.md"), "utf8");

/** What a page names in backquotes and means as a path. */
function readPaths(page: string): string[] {
  const text = readFileSync(join(root, page), "utf8");
  const quoted = [...text.matchAll(/`([^`\n]+)`/g)].map(([, name = ""]) => name);
  return quoted.filter((name) => /^[\w.*/-]+$/.test(name) && /\/|\w\.(ts|md|json|yaml)$/.test(name));
}

/** As the pages write them: from the root, from `server/src/`, from a room, or a file's name alone. */
function isThere(path: string): boolean {
  const patterns = [path, `server/src/${path}`, `server/src/*/${path}`];
  if (!path.includes("/")) patterns.push(`server/src/**/${path}`);
  return patterns.some((pattern) => globSync(pattern, { cwd: root }).length > 0);
}

describe.each(["AGENTS.md", "docs/contributing.md"])("%s", (page) => {
  it("names paths that there are", () => {
    const paths = readPaths(page);
    expect(paths.length).toBeGreaterThan(20);
    expect(paths.filter((path) => !isThere(path))).toEqual([]);
  });
});

test("the contributor's page names files from the root", () => {
  const files = readPaths("docs/contributing.md").filter((path) => path.endsWith(".ts"));
  expect(files.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

const rows = [...agents.matchAll(/^\| `([a-z-]+)\/`(?: \(`([a-z-]+\.ts)`\))? \| (.+) \| (.+) \|$/gm)].map(
  ([, room = "", main, owns, never]) => ({ room, main, owns, never }),
);

test("every room has one line: what it owns and what it never does", () => {
  const folders = readdirSync(sources, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(rows.map(({ room }) => room).toSorted()).toEqual(folders.map(({ name }) => name).toSorted());
});

test("every room inside of frontdoor/, gate/ and edge/ is named", () => {
  const inner = ["frontdoor", "gate", "edge"].flatMap((room) =>
    readdirSync(join(sources, room), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `\`${room}/${name}/\``),
  );
  expect(inner.filter((name) => !agents.includes(name))).toEqual([]);
});

test.each(rows.filter(({ main }) => main !== undefined))(
  "$room/$main opens with a paragraph",
  ({ room, main }) => {
    const text = readFileSync(join(sources, room, main ?? ""), "utf8");
    expect(text).toMatch(/^\/\*\*\n \* \S/);
  },
);
