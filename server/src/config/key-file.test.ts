import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConfigError } from "./config-error.ts";
import { findKeyText, makeKeyFile } from "./key-file.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vestibule-key-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

test("one that lost the race keeps the other's key and leaves nothing behind", () => {
  const path = join(folder, "a.key");
  makeKeyFile(path, "first");
  makeKeyFile(path, "second");
  expect(findKeyText(path)).toBe("first");
  expect(readFileSync(path, "utf8")).toBe("first\n");
  expect(readdirSync(folder)).toEqual(["a.key"]);
});

test("a folder that cannot be written is told", () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  expect(() => makeKeyFile(join(file, "a.key"), "text")).toThrow(ConfigError);
  expect(() => findKeyText(join(file, "a.key"))).toThrow(/cannot be read, got ENOTDIR/);
});

test("only the one line end is dropped", () => {
  const path = join(folder, "a.key");
  expect(findKeyText(path)).toBeUndefined();
  writeFileSync(path, " key \r\n", { mode: 0o600 });
  expect(findKeyText(path)).toBe(" key ");
});
