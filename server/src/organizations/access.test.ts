import { describe, expect, it } from "vitest";
import type { Principal, Role } from "../principals/principal.ts";
import { createAccess } from "./access.ts";
import type { Organization } from "./organization.ts";

const at = new Date(0);
function organization(id: string, state: Organization["state"]): Organization {
  return { id, name: `name-${id}`, title: "", metadata: {}, avatar: "", state, createdAt: at, updatedAt: at };
}
const organizations = [
  organization("o1", "enabled"),
  organization("o2", "enabled"),
  organization("off", "disabled"),
];

const access = createAccess({
  findOrganization: async (ref) => organizations.find((one) => one.id === ref || one.name === ref),
  findMemberRole: async (userId, orgId) => (userId === "u1" && orgId === "o2" ? "manager" : undefined),
});

function machine(role: Role, orgId = "o1", superuser = false): Principal {
  return {
    type: "serviceuser",
    id: "s1",
    orgId,
    role,
    superuser,
    credentialId: "c1",
    authVia: "client_credentials",
    credentialKind: "client_secret",
  };
}
const person: Principal = {
  type: "user",
  id: "u1",
  email: "u1@example.org",
  emailProven: true,
  sessionId: "s",
  superuser: false,
  authVia: "session",
  credentialKind: "session",
};

describe("access", () => {
  it.each<[Role, Role, boolean]>([
    ["viewer", "viewer", true],
    ["viewer", "manager", false],
    ["viewer", "owner", false],
    ["manager", "viewer", true],
    ["manager", "manager", true],
    ["manager", "owner", false],
    ["owner", "owner", true],
  ])("a %s where a %s is needed: %s", async (has, needs, allowed) => {
    const decision = access.require(machine(has), "o1", { role: needs, writes: false });
    if (allowed) expect((await decision).role).toBe(has);
    else
      await expect(decision).rejects.toMatchObject({ reason: "NOT_AUTHORIZED", message: "not authorized" });
  });

  it("takes a name for an id", async () => {
    const { organization } = await access.require(machine("viewer"), "name-o1", {
      role: "viewer",
      writes: false,
    });
    expect(organization.id).toBe("o1");
  });

  it("answers foreign and unknown organizations alike", async () => {
    const need = { role: "viewer", writes: false } as const;
    const errors = await Promise.all(
      ["o2", "nowhere"].map((org) => access.require(machine("owner"), org, need).catch((error) => error)),
    );
    expect(errors.map(({ reason, message }) => ({ reason, message }))).toEqual([
      { reason: "NOT_AUTHORIZED", message: "not authorized" },
      { reason: "NOT_AUTHORIZED", message: "not authorized" },
    ]);
  });

  it("takes a person's role from their membership", async () => {
    const need = { role: "manager", writes: true } as const;
    expect((await access.require(person, "o2", need)).role).toBe("manager");
    await expect(access.require(person, "o1", need)).rejects.toMatchObject({ reason: "NOT_AUTHORIZED" });
  });

  it("lets a superuser act as owner anywhere", async () => {
    const need = { role: "owner", writes: true } as const;
    expect((await access.require(machine("viewer", "o1", true), "o2", need)).role).toBe("owner");
  });

  it("keeps a disabled organization closed, but for a superuser's reading", async () => {
    const reads = { role: "viewer", writes: false } as const;
    const writes = { role: "viewer", writes: true } as const;
    const disabled = { reason: "ORGANIZATION_DISABLED", kind: "failed_precondition" };
    await expect(access.require(machine("owner", "off"), "off", reads)).rejects.toMatchObject(disabled);
    await expect(access.require(machine("owner", "o1", true), "off", writes)).rejects.toMatchObject(disabled);
    expect((await access.require(machine("owner", "o1", true), "off", reads)).role).toBe("owner");
  });
});
