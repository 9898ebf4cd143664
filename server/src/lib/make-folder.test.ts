import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeFolder } from "./make-folder.ts";

let at: string;
beforeEach(() => {
  at = mkdtempSync(join(tmpdir(), "vestibule-folder-"));
});
afterEach(() => rmSync(at, { recursive: true }));

it("makes what is missing with the mode it is given, and says where that begins", () => {
  expect(makeFolder(join(at, "a/b/c"), 0o700)).toBe(join(at, "a"));
  for (const path of ["a", "a/b", "a/b/c"]) expect(statSync(join(at, path)).mode & 0o777).toBe(0o700);
});

it("leaves what is there, and a folder that a link leads to", () => {
  makeFolder(join(at, "there"), 0o755);
  symlinkSync("there", join(at, "link"));
  expect(makeFolder(join(at, "there"), 0o700)).toBeUndefined();
  expect(makeFolder(join(at, "link"), 0o700)).toBeUndefined();
  expect(statSync(join(at, "there")).mode & 0o777).toBe(0o755);
  expect(makeFolder("/", 0o700)).toBeUndefined();
});

it.each([
  ["a file", (path: string) => path, "EEXIST"],
  ["below a file", (path: string) => join(path, "a/b"), "ENOTDIR"],
  ["a link that leads nowhere", () => join(at, "nowhere"), "EEXIST"],
  ["below a link that leads nowhere", () => join(at, "nowhere/a"), "EEXIST"],
  ["where no folder can be made", () => "/proc/new", "ENOENT"],
  ["below where none can be made", () => "/proc/new/a/b", "ENOENT"],
])("%s is refused", (_, toPath, code) => {
  const file = join(at, "file");
  writeFileSync(file, "");
  symlinkSync(join(at, "gone/away"), join(at, "nowhere"));
  expect(() => makeFolder(toPath(file), 0o700)).toThrow(expect.objectContaining({ code }));
});
