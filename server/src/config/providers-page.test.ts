import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { wellKnownProviders } from "../lib/well-known-providers.ts";
import { load } from "./test-support.ts";

const page = readFileSync(new URL("../../../docs/providers.md", import.meta.url), "utf8");
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const pem = key.export({ type: "pkcs8", format: "pem" }).toString();

/** The part of a provider, by its heading. */
const findPart = (label: string) => page.split(/^## /m).find((part) => part.startsWith(`${label}\n`)) ?? "";

test.each(Object.entries(wellKnownProviders))("the page tells how to set up %s", (name, { label }) => {
  const part = findPart(label);
  expect(part).toContain(`https://id.example.com/auth/callback/${name}`);
  // The provider's own page, last.
  expect(part.trimEnd()).toMatch(/\n<https:\/\/\S+>$/);
  const [, yaml = ""] = /```yaml\n(.*?)```/s.exec(part) ?? [];
  const files = { "/etc/vestibule/AuthKey_EXAMPLE456.p8": pem };
  const { oidcProviders } = load({ yaml, files }).authentication;
  expect(oidcProviders.map((provider) => provider.name)).toEqual([name]);
  expect(page).toContain(`| \`${name}\` |`);
});

test("the page's other site of plain OAuth 2 is accepted", () => {
  const [, yaml = ""] = /```yaml\n(.*?)```/s.exec(findPart("Any other site of plain OAuth 2")) ?? [];
  expect(load({ yaml }).authentication.oidcProviders[0]?.oauth?.claims.name).toEqual(["full_name", "login"]);
});
