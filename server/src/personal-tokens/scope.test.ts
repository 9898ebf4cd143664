import { describe, expect, it } from "vitest";
import { frontierRoles } from "../organizations/frontier-roles.ts";
import type { TokenScope } from "./personal-token.ts";
import { isWider, readScope, type ScopeEntry, toProjects, toScopeEntries } from "./scope.ts";

const org = "01900000-0000-7000-8000-000000000001";
const shop = "01900000-0000-7000-8000-000000000002";

function entry(name: string, resourceIds: string[] = [], resourceType = ""): ScopeEntry {
  const role = frontierRoles.find((each) => each.name === name);
  return { roleId: role?.id ?? name, resourceType: resourceType || (role?.scope ?? ""), resourceIds };
}

const viewer = entry("app_organization_viewer");
const ofProjects = (ids: string[] = []) => entry("app_project_manager", ids);

describe("a token's scope", () => {
  it.each<[string, ScopeEntry[], TokenScope]>([
    ["a role in the organization", [viewer], { role: "viewer" }],
    ["the same, named", [entry("app_organization_owner", [org.toUpperCase()])], { role: "owner" }],
    ["all projects", [ofProjects()], { projects: { role: "manager", ids: [] } }],
    [
      "some, once each",
      [ofProjects([shop, shop.toUpperCase()]), viewer],
      { role: "viewer", projects: { role: "manager", ids: [shop] } },
    ],
  ])("is read: %s", (_, entries, expected) => {
    const scope = readScope(entries, org);
    expect(scope).toEqual(expected);
    expect(readScope(toScopeEntries(scope), org)).toEqual(scope);
  });

  it.each<[string, ScopeEntry[], string]>([
    ["another resource", [entry(viewer.roleId, [], "app/group")], "role scope is not supported"],
    ["none", [entry(viewer.roleId, [], "")], "role scope is not supported"],
    ["no such role", [entry(org, [], "app/project")], "one or more requested roles do not exist"],
    [
      "a role of another",
      [entry(viewer.roleId, [], "app/project")],
      "role does not support the specified scope",
    ],
    ["two in the organization", [viewer, viewer], "only one role per resource type"],
    ["two in projects", [ofProjects(), ofProjects([shop])], "only one role per resource type"],
    ["another organization", [entry("app_organization_viewer", [shop])], "takes no other resource"],
    ["a role above projects", [entry("app_organization_manager"), ofProjects([shop])], "sees all projects"],
  ])("is refused: %s", (_, entries, message) => {
    expect(() => readScope(entries, org)).toThrow(
      expect.objectContaining({ reason: "INVALID_REQUEST", message: expect.stringContaining(message) }),
    );
  });

  it.each<[string, TokenScope, "all" | string[]]>([
    ["none", { role: "viewer" }, []],
    ["those named", { role: "viewer", projects: { role: "viewer", ids: [shop] } }, [shop]],
    ["all", { projects: { role: "viewer", ids: [] } }, "all"],
    ["all by the role", { role: "manager" }, "all"],
  ])("says which projects: %s", (_, scope, expected) => {
    expect(toProjects(scope)).toEqual(expected);
  });

  const some = { role: "viewer", projects: { role: "viewer", ids: [shop] } } as const;
  it.each<[string, TokenScope, TokenScope, boolean]>([
    ["the same", some, some, false],
    ["a weaker role", { role: "viewer" }, { role: "owner" }, false],
    ["a stronger role", { role: "manager" }, { role: "viewer" }, true],
    ["a role where there was none", some, { projects: some.projects }, true],
    ["no role any more", { projects: some.projects }, some, false],
    ["fewer projects", { role: "viewer" }, some, false],
    ["another project", { role: "viewer", projects: { role: "viewer", ids: [org] } }, some, true],
    ["all projects", { role: "viewer", projects: { role: "viewer", ids: [] } }, some, true],
    ["what the stronger role saw", { projects: { role: "owner", ids: [] } }, { role: "manager" }, true],
    ["the stronger role alone", { role: "manager" }, { role: "manager", projects: some.projects }, false],
  ])("tells whether it is wider: %s", (_, after, before, expected) => {
    expect(isWider(after, before)).toBe(expected);
  });
});
