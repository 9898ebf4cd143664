/**
 * Ids of others open nothing (C19), and a role no more than it should: every
 * method that takes an organization's or a service user's id is called by an
 * owner of another organization, by a viewer and by a manager. The methods are
 * read from the schema, so a new one is tried as well.
 */
import { randomUUID } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, basic, postJson } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const notAuthorized = { status: 403, code: "permission_denied", message: "not authorized" };
/** Methods that ask for a person, and for no organization. */
const ofPeople = ["ListCurrentUserInvitations", "ListUserInvitations"];
const noServiceUser = { status: 404, code: "not_found", message: "service user not found" };
const noCredential = { status: 404, code: "not_found", message: "service user credentials not found" };

/** A service user with a credential of each kind. */
interface Machine {
  readonly orgId: string;
  readonly id: string;
  readonly secret: { readonly clientId: string; readonly clientSecret: string };
  /** By field name of a request. */
  readonly children: Readonly<Record<string, string>>;
}

describe.each(["sqlite", "postgres"] as const)("on %s", (database) => {
  let server: TestServer;
  let own: Machine;
  let sibling: Machine;
  let foreign: Machine;

  /** As a client that may be newer: what a method has no field for is dropped. */
  async function call(method: DescMethod, message: object, by: object = basic(server)): Promise<Answer> {
    return await postJson(server, `/${method.parent.typeName}/${method.name}`, message, {
      "connect-protocol-version": "1",
      ...by,
    });
  }

  async function manage(name: string, message: object) {
    const method = ServiceUserService.methods.find((each) => each.name === name);
    if (method === undefined) throw new Error(name);
    const answer = await call(method, message);
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  }

  async function createMachine(orgId: string, role = "owner"): Promise<Machine> {
    const { id } = (await manage("CreateServiceUser", { orgId, body: { role } })).serviceuser;
    const { secret } = await manage("CreateServiceUserCredential", { id, orgId });
    const { token } = await manage("CreateServiceUserToken", { id, orgId });
    const { key } = await manage("CreateServiceUserJWK", { id, orgId });
    const children = { secret_id: secret.id, token_id: token.id, key_id: key.kid };
    return { orgId, id, secret: { clientId: secret.id, clientSecret: secret.secret }, children };
  }

  beforeAll(async () => {
    // A disabled machine's credential counts as a failed one, and is used often here.
    const limits = {
      failed_credentials_per_client_per_minute: 1000,
      failed_credentials_per_address_per_minute: 1000,
    };
    server = await startServer({ database, config: { limits } });
    for (const name of ["ours", "theirs"]) {
      const [create] = OrganizationService.methods;
      if (create !== undefined) await call(create, { body: { name } });
    }
    own = await createMachine("ours");
    sibling = await createMachine("ours");
    foreign = await createMachine("theirs");
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const fieldsOf = ({ input }: DescMethod) => input.fields.map(({ name }) => name);

  /** What a request of the method takes, from an organization, a machine, and credentials of perhaps another one. */
  function fill(method: DescMethod, orgId: string, { id }: Machine, { children }: Machine): object {
    const values: Record<string, unknown> = {
      id,
      org_id: orgId,
      ...children,
      body: {},
      ...(method.name === "CreateOrganization" && { body: { name: "another" } }),
      name: "shop",
      role: "viewer",
      role_id: "app_organization_viewer",
      user_id: randomUUID(),
      user_ids: ["someone@example.org"],
      project_id: "shop",
      principal_type: "app/serviceuser",
      principal_id: id,
    };
    const known = fieldsOf(method).filter((name) => name in values);
    return Object.fromEntries(known.map((name) => [name, values[name]]));
  }

  const codeOf = ({ status, json }: Answer) => ({ status, code: json.code, message: json.message });
  const ofServiceUser = ServiceUserService.methods.filter((method) => fieldsOf(method).includes("id"));
  const ofCredential = ofServiceUser.filter((method) =>
    fieldsOf(method).some((name) => /^(secret|token|key)_id$/.test(name)),
  );

  it("are tried on enough methods", () => {
    expect([ofServiceUser.length, ofCredential.length]).toEqual([17, 5]);
  });

  it("a service user of another organization is not found, and another organization is closed", async () => {
    for (const method of ofServiceUser) {
      const by = basic(own.secret);
      const hidden = await call(method, fill(method, "ours", foreign, foreign), by);
      expect(codeOf(hidden), method.name).toEqual(noServiceUser);
      for (const org of ["theirs", "nowhere"]) {
        const closed = await call(method, fill(method, org, foreign, foreign), by);
        expect(codeOf(closed), `${method.name} ${org}`).toEqual(notAuthorized);
      }
    }
  });

  it("a credential of another service user is not found, of its organization or not", async () => {
    for (const method of ofCredential) {
      for (const other of [sibling, foreign]) {
        const hidden = await call(method, fill(method, "ours", own, other), basic(own.secret));
        expect(codeOf(hidden), method.name).toEqual(noCredential);
      }
    }
  });

  // What Frontier's clients ask of an organization, save what is the same for each.
  const ofFrontier = FrontierService.methods.filter(
    (method) =>
      (fieldsOf(method).includes("org_id") || /Organization(?!sBy)/.test(method.name)) &&
      !["ListOrganizationRoles", "ListCurrentUserGroups", "ListPolicies"].includes(method.name),
  );

  it("an organization that is another's answers as one that is not", async () => {
    const anyones = ["CreateOrganization", "ListOrganizations", ...ofPeople];
    expect(ofFrontier.length).toBeGreaterThan(12);
    const methods = [...OrganizationService.methods, ...ofFrontier];
    for (const method of methods.filter(({ name }) => !anyones.includes(name))) {
      const isOwnId = !fieldsOf(method).includes("org_id");
      const isOfUsers = method.name === "RemoveOrganizationMember" && { principal_type: "app/user" };
      for (const org of ["theirs", "nowhere", randomUUID()]) {
        const message = { ...fill(method, org, own, own), ...(isOwnId && { id: org }), ...isOfUsers };
        const closed = await call(method, message, basic(own.secret));
        expect(codeOf(closed), `${method.name} ${org}`).toEqual(notAuthorized);
      }
    }
  });

  const isChange = ({ idempotency }: DescMethod) => idempotency !== IdempotencyLevel.NO_SIDE_EFFECTS;

  /** A request about the machine that everything here is about, or about its organization. */
  function fillOwn(method: DescMethod): object {
    const isOwnId = method.parent === OrganizationService && !fieldsOf(method).includes("org_id");
    return { ...fill(method, "ours", own, own), ...(isOwnId && { id: "ours" }) };
  }

  it("a viewer changes nothing in its own organization", async () => {
    const viewer = await createMachine("ours", "viewer");
    const changes = [...ServiceUserService.methods, ...OrganizationService.methods].filter(isChange);
    expect(changes.length).toBeGreaterThan(20);
    for (const method of changes) {
      expect(codeOf(await call(method, fillOwn(method), basic(viewer.secret))), method.name).toEqual(
        notAuthorized,
      );
    }
  });

  it("a manager governs neither the organization nor whoever is above it", async () => {
    const manager = await createMachine("ours", "manager");
    const ofManagers = /Project|UpdateOrganization/;
    const changes = [...ofServiceUser, ...OrganizationService.methods].filter(
      (method) => isChange(method) && !ofManagers.test(method.name),
    );
    for (const method of changes) {
      expect(codeOf(await call(method, fillOwn(method), basic(manager.secret))), method.name).toEqual(
        notAuthorized,
      );
    }
  });

  it("in a disabled organization its machines do nothing, and a superuser reads alone", async () => {
    const { createOrganization: create, disableOrganization: disable } = OrganizationService.method;
    await call(create, { body: { name: "shut" } });
    const machine = await createMachine("shut");
    expect((await call(disable, { id: "shut" })).status).toBe(200);
    const isDisabled = { status: 400, code: "failed_precondition", message: "org is disabled" };
    // A superuser opens it again, or does away with it.
    const opens = ["CreateOrganization", "EnableOrganization", "DisableOrganization", "DeleteOrganization"];
    // Of a person in a session of theirs, whoever else calls.
    const others = [...ofPeople, "AcceptOrganizationInvitation"];
    const methods = [...ServiceUserService.methods, ...OrganizationService.methods];
    for (const method of methods.filter(({ name }) => ![...opens, ...others].includes(name))) {
      const isOwnId = method.parent === OrganizationService && !fieldsOf(method).includes("org_id");
      const message = { ...fill(method, "shut", machine, machine), ...(isOwnId && { id: "shut" }) };
      expect(codeOf(await call(method, message, basic(machine.secret))), method.name).toEqual(isDisabled);
      const bySuperuser = await call(method, message);
      const isThere = !["GetOrganizationInvitation", "GetProject", "ListProjectMembers"].includes(
        method.name,
      );
      if (isChange(method)) expect(codeOf(bySuperuser), method.name).toEqual(isDisabled);
      else expect(bySuperuser.status, method.name).toBe(isThere ? 200 : 404);
    }
  });

  it("nothing was changed by any of that", async () => {
    for (const { orgId, id, children, secret } of [own, sibling, foreign]) {
      const of = { orgId, id };
      expect((await manage("GetServiceUser", of)).serviceuser).toMatchObject({
        state: "enabled",
        role: "owner",
      });
      const { secrets } = await manage("ListServiceUserCredentials", of);
      expect(secrets.map((each: { id: string }) => each.id)).toEqual([children.secret_id]);
      expect(secrets[0]).not.toHaveProperty("expiresAt");
      expect((await manage("ListServiceUserTokens", of)).tokens).toMatchObject([{ id: children.token_id }]);
      expect((await manage("ListServiceUserJWKs", of)).keys).toMatchObject([{ id: children.key_id }]);
      const whoAmI = "/vestibule.v1.AuthService/GetCurrentUser";
      expect((await postJson(server, whoAmI, {}, basic(secret))).status).toBe(200);
    }
  });
});
