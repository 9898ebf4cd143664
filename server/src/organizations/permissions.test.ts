import { describe, expect, it } from "vitest";
import type { Principal, Role } from "../principals/principal.ts";
import { createAccess } from "./access.ts";
import type { Organization } from "./organization.ts";
import { createHasPermission } from "./permissions.ts";

const at = new Date(0);
const acme = "01900000-0000-7000-8000-0000000000a1";
const shop = "01900000-0000-7000-8000-0000000000b1";

function organization(state: Organization["state"]): Organization {
  return { id: acme, name: "acme", title: "", metadata: {}, avatar: "", state, createdAt: at, updatedAt: at };
}

interface Standing {
  readonly role?: Role;
  readonly superuser?: boolean;
  readonly isProjectMember?: boolean;
  readonly state?: Organization["state"];
}

/** Which of some permissions somebody has on a resource. */
async function listHeld(standing: Standing, resource: string, permissions: readonly string[]) {
  const { role, superuser = false, isProjectMember = false, state = "enabled" } = standing;
  const person: Principal = {
    type: "user",
    id: "u1",
    email: "u1@example.org",
    emailProven: true,
    sessionId: "s",
    superuser,
    authVia: "session",
    credentialKind: "session",
  };
  const has = createHasPermission({
    access: createAccess({
      findOrganization: async (ref) => ([acme, "acme"].includes(ref) ? organization(state) : undefined),
      findMemberRole: async () => role,
    }),
    findVisibleProject: async (_caller, id) => {
      const sees = superuser || isProjectMember || role === "manager" || role === "owner";
      return sees && id === shop ? shop : undefined;
    },
    findProjectOrganization: async (id) => (id === shop ? acme : undefined),
  });
  const held = await Promise.all(permissions.map((permission) => has(person, { permission, resource })));
  return permissions.filter((_, index) => held[index]);
}

const ofViewers = ["get"];
const ofManagers = [
  ...ofViewers,
  "projectlist",
  "grouplist",
  "invitationlist",
  "update",
  "projectcreate",
  "serviceusermanage",
];
const ofOwners = [...ofManagers, "invitationcreate", "rolemanage", "policymanage", "delete"];
const unknown = ["", "groupcreate", "billingview", "administer", "GET", " get", "toString", "__proto__"];
const all = [...ofOwners, ...unknown];

describe("permissions on an organization", () => {
  it.each<[string, Standing, readonly string[]]>([
    ["a stranger", {}, []],
    ["a viewer", { role: "viewer" }, ofViewers],
    ["a manager", { role: "manager" }, ofManagers],
    ["an owner", { role: "owner" }, ofOwners],
    ["a superuser", { superuser: true }, ofOwners],
    ["an owner, where it is disabled", { role: "owner", state: "disabled" }, []],
    [
      "a superuser, where it is disabled",
      { superuser: true, state: "disabled" },
      ["get", "projectlist", "grouplist", "invitationlist", "delete"],
    ],
  ])("of %s", async (_who, standing, expected) => {
    expect(await listHeld(standing, `app/organization:${acme}`, all)).toEqual(expected);
  });

  it("is asked for by id or name, and in each of Frontier's spellings", async () => {
    for (const resource of [
      `app/organization:${acme}`,
      "app/organization:acme",
      `organization:${acme}`,
      "org:acme",
    ]) {
      const spelled = ["update", "app_organization_update", "app.organization.update"];
      expect(await listHeld({ role: "manager" }, resource, spelled), resource).toEqual(spelled);
    }
  });

  it("is not one of another kind of resource", async () => {
    const foreign = [
      "app_project_update",
      "app.project.get",
      "app_organization",
      "x_organization_get",
      "app_organization_get_x",
      "app_organization_",
    ];
    expect(await listHeld({ role: "owner" }, `app/organization:${acme}`, foreign)).toEqual([]);
    expect(await listHeld({ role: "owner" }, `app/project:${shop}`, ["app_organization_get"])).toEqual([]);
  });
});

describe("permissions on a project", () => {
  const ofProjects = ["get", "resourcelist", "update", "policymanage", "delete"];

  it.each<[string, Standing, readonly string[]]>([
    ["a stranger", {}, []],
    ["a viewer of the organization", { role: "viewer" }, []],
    ["a viewer who is its member", { role: "viewer", isProjectMember: true }, ["get", "resourcelist"]],
    ["a manager of the organization", { role: "manager" }, ofProjects],
    ["an owner of the organization", { role: "owner" }, ofProjects],
    ["a superuser", { superuser: true }, ofProjects],
  ])("of %s", async (_who, standing, expected) => {
    expect(await listHeld(standing, `app/project:${shop}`, [...ofProjects, ...unknown])).toEqual(expected);
    expect(await listHeld(standing, `project:${shop.toUpperCase()}`, ["update"])).toEqual(
      expected.filter((each) => each === "update"),
    );
  });
});

it.each([
  "",
  ":",
  "app/organization",
  "app/organization:",
  `app/organization:${acme}:x`,
  `app/organization: ${acme}`,
  `APP/ORGANIZATION:${acme}`,
  `app/group:${acme}`,
  `app/user:u1`,
  acme,
  "app/organization:nobody",
  "app/project:shop",
  "app/project:01900000-0000-7000-8000-0000000000ff",
])("nothing is allowed on %j", async (resource) => {
  expect(await listHeld({ role: "owner" }, resource, all)).toEqual([]);
  if (!resource.startsWith("app/project:")) {
    expect(await listHeld({ superuser: true }, resource, all)).toEqual([]);
  }
});
