import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { configVariable, variables } from "./schema.ts";
import { listAllKeys } from "./schema-keys.ts";
import { load, tls } from "./test-support.ts";

const page = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
const example = /```yaml\n(.*?)```/s.exec(page)?.[1] ?? "";

/** Key → variable, as the tables of the page say it. */
const documented = new Map(
  [...page.matchAll(/^\| (?:`([a-z0-9_.<>]+)`|–) \| (?:`([A-Z_]+)`|–) \|/gm)].map(
    ([, key = "", variable]) => [key, variable],
  ),
);

test("the page tells every key, and no other", () => {
  expect([...documented.keys()].toSorted()).toEqual(["", ...listAllKeys()].toSorted());
});

test("the page tells the variable of each key that has one", () => {
  const told = [...documented].filter(([, variable]) => variable !== undefined);
  const expected = Object.entries(variables).map(([variable, { path }]) => [path, variable]);
  expect(told.toSorted()).toEqual([["", configVariable], ...expected].toSorted());
});

test("the example holds every key and is accepted", () => {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const pem = key.export({ type: "pkcs8", format: "pem" }).toString();
  const files = {
    "/etc/vestibule/tls.crt": tls.cert,
    "/etc/vestibule/tls.key": tls.key,
    "/etc/vestibule/AuthKey_EXAMPLE456.p8": pem,
    "/etc/vestibule/client.pem": pem,
    "/etc/vestibule/next-client.pem": pem,
  };
  expect(load({ yaml: example, files }).publicUrl).toBe("https://auth.example.com");
  const keys = listKeys(parse(example), []).map((key) => key.replace(/(oidc_config)\.[a-z]+/, "$1.<name>"));
  expect([...new Set(keys)].toSorted()).toEqual([...listAllKeys()].toSorted());
});

function listKeys(value: unknown, path: readonly string[]): readonly string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [path.join(".")];
  return Object.entries(value).flatMap(([key, child]) => listKeys(child, [...path, key]));
}
