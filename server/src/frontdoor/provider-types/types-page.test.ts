import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createProviderTypes } from "./provider-types.ts";
import { createTestContext } from "./test-support.ts";

const page = readFileSync(new URL("../../../../docs/auth-provider-types.md", import.meta.url), "utf8");

test.each(createProviderTypes(createTestContext()).list)(
  "the page of the types names what $name takes, no less and no more",
  ({ name, schema }) => {
    const row = page.split("\n").find((line) => line.startsWith(`| \`${name}\` |`)) ?? "";
    const [, , , required = "", optional = ""] = row.split("|");
    const namesIn = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, found]) => found);
    const properties = Object.keys(schema.properties as object);
    expect([...namesIn(required), ...namesIn(optional)].toSorted()).toEqual(properties.toSorted());
    expect(namesIn(required)).toEqual(expect.arrayContaining(schema.required as string[]));
  },
);
