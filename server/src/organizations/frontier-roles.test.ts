import { expect, it } from "vitest";
import { isUuid } from "../lib/ids.ts";
import { roles } from "../principals/principal.ts";
import { findFrontierRole, frontierRoles, toFrontierRole } from "./frontier-roles.ts";

it("has an id and a name of its own for each role", () => {
  expect(new Set(frontierRoles.map(({ id }) => id)).size).toBe(6);
  expect(new Set(frontierRoles.map(({ name }) => name)).size).toBe(6);
  expect(frontierRoles.filter(({ id }) => !isUuid(id) || id !== id.toLowerCase())).toEqual([]);
});

it("never gives a role another id: clients keep them", () => {
  expect(Object.fromEntries(frontierRoles.map(({ id, name }) => [name, id]))).toEqual({
    app_organization_owner: "c1790d5d-a473-5a2c-8d7f-3858cd73fc5f",
    app_organization_manager: "ff6a36c5-bcee-565f-b0f4-aaa70647e7f7",
    app_organization_viewer: "48cf69c9-ee22-5e93-ae8e-fa03c588a12c",
    app_project_owner: "0c9133c2-fc99-5cb7-84d9-0be7cfd20eef",
    app_project_manager: "9ce56819-2544-57f7-8d74-01ef38381196",
    app_project_viewer: "a1dbb9db-6305-5c18-b1f4-378c980af348",
  });
});

it("is found by id and by name, in its scope alone", () => {
  for (const { id, name, scope, role } of frontierRoles) {
    const other = scope === "app/project" ? "app/organization" : "app/project";
    expect(findFrontierRole(scope, id.toUpperCase())?.role).toBe(role);
    expect(findFrontierRole(scope, name)?.id).toBe(id);
    expect(findFrontierRole(other, id)).toBeUndefined();
    expect(findFrontierRole(other, name)).toBeUndefined();
  }
  for (const other of ["", "owner", "APP_ORGANIZATION_OWNER", "app_organization_accessmanager", "toString"]) {
    expect(findFrontierRole("app/organization", other), other).toBeUndefined();
  }
});

it("has one for each of ours", () => {
  expect(roles.map((role) => toFrontierRole(role).name)).toEqual([
    "app_organization_viewer",
    "app_organization_manager",
    "app_organization_owner",
  ]);
});
