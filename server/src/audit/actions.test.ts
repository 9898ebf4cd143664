import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Action, type ActionSpec, actions, findTargetType } from "./actions.ts";
import type { AuditEvent, AuditRefusal } from "./audit.ts";

const page = readFileSync(new URL("../../../docs/audit.md", import.meta.url), "utf8");

test("the page lists every action, in order, with its target and its details, and no other", () => {
  const rows = [...page.matchAll(/^\| `([a-z_]+\.[a-z_]+)` \| (.*?) \| (.*?) \|$/gm)];
  const quote = (names: readonly string[] = []) => names.map((name) => `\`${name}\``);
  const expected = Object.entries<ActionSpec>(actions).map(([action, { target = [], details, more }]) => [
    action,
    quote([target].flat()).join(" or "),
    [...quote(details), ...quote(more).map((name) => `(${name})`)].join(", "),
  ]);
  expect(rows.map(([, action, target, details]) => [action, target, details])).toEqual(expected);
});

test("every detail that is an address is struck out with the account", () => {
  const specs = Object.entries<ActionSpec>(actions);
  const kept = specs.filter(([, { details = [], more = [], personal = [] }]) =>
    [...details, ...more].some((name) => /email|address/.test(name) && !personal.includes(name)),
  );
  expect(kept).toEqual([]);
  expect(
    specs.flatMap(([, { details = [], personal = [] }]) =>
      personal.filter((name) => !details.includes(name)),
    ),
  ).toEqual([]);
});

test("every action is recorded somewhere, by its whole name", () => {
  const root = join(import.meta.dirname, "..");
  const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter(
      (path) => /\.ts$/.test(path) && !/\.test\.ts$|test-support\.ts$|^audit[\\/]actions\.ts$/.test(path),
    )
    .map((path) => readFileSync(join(root, path), "utf8"))
    .join("\n");
  expect(Object.keys(actions).filter((action) => !sources.includes(`"${action}"`))).toEqual([]);
});

test.each<[Action, string | undefined]>([
  ["key.delete", "key"],
  ["identity.join", "user"],
  ["project.add_member", undefined],
  ["user.invite", undefined],
])("the target of %s is of type %s", (action, type) => {
  expect(findTargetType(action)).toBe(type);
});

test("an event compiles only with what its action needs", () => {
  const whole: readonly AuditEvent[] = [
    { action: "organization.create", target: "o-1", orgId: "o-1", details: { name: "acme" } },
    { action: "token.revoke", target: "t-1" },
    {
      action: "project.add_member",
      target: { type: "user", id: "u" },
      orgId: "o",
      details: { project: "p" },
    },
    // @ts-expect-error: no target
    { action: "organization.create", orgId: "o-1", details: { name: "acme" } },
    // @ts-expect-error: no organization
    { action: "organization.create", target: "o-1", details: { name: "acme" } },
    // @ts-expect-error: no details
    { action: "organization.create", target: "o-1", orgId: "o-1" },
    // @ts-expect-error: a detail is missing
    { action: "member.set_role", target: "u-1", orgId: "o-1", details: { role: "owner" } },
    // @ts-expect-error: a detail that is not in the table
    { action: "organization.create", target: "o-1", orgId: "o-1", details: { name: "acme", color: "red" } },
    // @ts-expect-error: a target of a type that it cannot have
    { action: "project.add_member", target: { type: "key", id: "k" }, orgId: "o", details: { project: "p" } },
    // @ts-expect-error: an organization, of what concerns the platform
    { action: "user.delete", target: "u-1", orgId: "o-1" },
    // @ts-expect-error: no action of the table
    { action: "organization.rename", target: "o-1", orgId: "o-1" },
    // @ts-expect-error: a refusal, which has a reason
    { action: "credential.refuse" },
  ];
  // @ts-expect-error: a refusal without one
  const refusal: AuditRefusal = { action: "credential.refuse" };
  expect([whole.length, refusal.action]).toEqual([12, "credential.refuse"]);
});
