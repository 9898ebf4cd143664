import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reasons } from "../../lib/errors.ts";
import { wireErrors } from "./errors.ts";

const page = readFileSync(new URL("../../../../docs/errors.md", import.meta.url), "utf8");

test("the page lists every reason, in order, with its code and its text, and no other", () => {
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| `([a-z_]+)` \| (.+?) \| (.+) \|$/gm)];
  const listed = rows.map(([, reason, code, text]) => [reason, code, text]);
  expect(listed).toEqual(Object.entries(reasons).map(([reason, [kind, text]]) => [reason, kind, text]));
  for (const [, , , , when] of rows) expect(when).toMatch(/\.$/);
});

test("the page lists every code with its HTTP status", () => {
  const listed = [...page.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \|$/gm)];
  const expected = Object.entries(wireErrors).map(([kind, { http }]) => [kind, String(http)]);
  expect(listed.map(([, code, status]) => [code, status])).toEqual(expected);
});

test("every reason is given somewhere", () => {
  const root = join(import.meta.dirname, "../..");
  const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter(
      (path) => path.endsWith(".ts") && !/\.test\.ts$|test-support\.ts$|^lib[\\/]errors\.ts$/.test(path),
    )
    .map((path) => readFileSync(join(root, path), "utf8"))
    .join("\n");
  expect(Object.keys(reasons).filter((reason) => !sources.includes(`"${reason}"`))).toEqual([]);
});
