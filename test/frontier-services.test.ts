/**
 * Which of Frontier's methods we answer, as reflection shows them: under the
 * service that Frontier has them in, and in its shape. A method of ours that
 * happens to be called like one of Frontier's, and is another, fails here.
 */
import { type DescField, type DescMessage, type DescService, ScalarType } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
// @ts-expect-error: untyped on purpose
import { AdminService, FrontierService } from "./fixtures/frontier-client.js";
import { basic, postJson } from "./parts/http.ts";
import { openTransport, reflectService } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const published = [FrontierService, AdminService] as readonly DescService[];

/** What Frontier has that its published client is too old to know: numbers and names of request and answer. */
const newer: Record<string, readonly [request: object, answer: object]> = {
  "FrontierService/ListSessions": [{}, { 1: "sessions" }],
  "FrontierService/RevokeSession": [{ 1: "session_id" }, {}],
  "FrontierService/PingUserSession": [{}, { 1: "metadata" }],
  "FrontierService/CheckOrganizationDelete": [{ 1: "id" }, { 1: "can_delete", 2: "blockers" }],
  "FrontierService/SetOrganizationMemberRole": [{ 1: "org_id", 2: "user_id", 3: "role_id" }, {}],
  "FrontierService/RemoveOrganizationMember": [{ 1: "org_id", 2: "principal_id", 3: "principal_type" }, {}],
  "FrontierService/SetProjectMemberRole": [
    { 1: "project_id", 2: "principal_id", 3: "principal_type", 4: "role_id" },
    {},
  ],
  "FrontierService/RemoveProjectMember": [{ 1: "project_id", 2: "principal_id", 3: "principal_type" }, {}],
  "FrontierService/CreateCurrentUserPAT": [
    { 1: "title", 2: "org_id", 5: "expires_at", 6: "metadata", 7: "scopes" },
    { 1: "pat" },
  ],
  "FrontierService/ListRolesForPAT": [{ 1: "scopes" }, { 1: "roles" }],
  "FrontierService/SearchCurrentUserPATs": [
    { 1: "org_id", 2: "query" },
    { 1: "pats", 2: "pagination" },
  ],
  "FrontierService/GetCurrentUserPAT": [{ 1: "id" }, { 1: "pat" }],
  "FrontierService/UpdateCurrentUserPAT": [{ 1: "id", 2: "title", 5: "metadata", 6: "scopes" }, { 1: "pat" }],
  "FrontierService/RegenerateCurrentUserPAT": [{ 1: "id", 2: "expires_at" }, { 1: "pat" }],
  "FrontierService/DeleteCurrentUserPAT": [{ 1: "id" }, {}],
  "FrontierService/CheckCurrentUserPATTitle": [{ 1: "org_id", 2: "title" }, { 1: "available" }],
  "AdminService/ListUserSessions": [{ 1: "user_id" }, { 1: "sessions" }],
  "AdminService/RevokeUserSession": [{ 2: "session_id" }, {}],
};

/** What Frontier has renamed since. */
const renamed = ["ListOrganizationUsersRequest.role_ids (4) is role_filters there"];

/** Whose numbers are ours alone, beside Frontier's. */
const firstOfOurs = 100;

/** Fields of Frontier's that ours has by another number, name or type, and the other way around. */
function findDifferences(ours: DescMessage, theirs: DescMessage, seen = new Set<DescMessage>()): string[] {
  if (seen.has(ours) || ours.typeName === theirs.typeName) return [];
  seen.add(ours);
  return ours.fields.flatMap((field) => {
    const where = `${ours.name}.${field.name}`;
    const same = theirs.fields.find(({ number }) => number === field.number);
    const named = theirs.fields.find(({ name }) => name === field.name);
    if (named !== undefined && named !== same) return [`${where} is ${named.number} there`];
    if (same === undefined || field.number >= firstOfOurs) return [];
    if (same.name !== field.name) return [`${where} (${field.number}) is ${same.name} there`];
    if (toKind(same) !== toKind(field)) return [`${where} is ${toKind(same)} there, ${toKind(field)} here`];
    // A list that is always empty has no message of its own.
    if (!field.message || !same.message || field.message.typeName === "google.protobuf.Struct") return [];
    return findDifferences(field.message, same.message, seen);
  });
}

function toKind(field: DescField): string {
  const { fieldKind, scalar } = field;
  const type = scalar === undefined ? (field.message ? "message" : "enum") : ScalarType[scalar];
  const list = fieldKind === "list" ? ` of ${field.listKind}` : "";
  return `${fieldKind}${list} ${type}`;
}

const toNumbers = ({ fields }: DescMessage) =>
  Object.fromEntries(
    fields.filter(({ number }) => number < firstOfOurs).map(({ number, name }) => [number, name]),
  );

describe("Frontier's services", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  async function reflect(service: DescService): Promise<DescService> {
    using opened = openTransport(server.url, "gRPC", "h2c");
    return (await reflectService(opened.transport, service.typeName)).service;
  }

  test.each(published)("have their methods in $name, in Frontier's shape", async (theirs) => {
    const ours = await reflect(theirs);
    expect(ours.methods.length).toBeGreaterThan(0);
    for (const method of ours.methods) {
      const name = `${ours.name}/${method.name}`;
      const known = theirs.methods.find((each) => each.name === method.name);
      const fallback = newer[name];
      if (known === undefined) {
        expect([toNumbers(method.input), toNumbers(method.output)], name).toEqual(fallback);
        continue;
      }
      expect(fallback, `${name} is in the published client`).toBeUndefined();
      expect(method.methodKind, name).toBe(known.methodKind);
      const differences = [
        ...findDifferences(method.input, known.input),
        ...findDifferences(method.output, known.output),
      ];
      expect(
        differences.filter((each) => !renamed.includes(each)),
        name,
      ).toEqual([]);
    }
  });

  it("keep methods of ours out that are called like Frontier's and are others", async () => {
    const ours = await reflect(published[0] as DescService);
    expect(ours.methods.map(({ name }) => name)).not.toContain("ListUsers");
    const asked = await postJson(server, `/${ours.typeName}/ListUsers`, {}, basic(server));
    expect(asked).toMatchObject({ status: 501, json: { code: "unimplemented" } });
  });

  it("answer administrators under the one name, and not under the other", async () => {
    const user_id = "01900000-0000-7000-8000-000000000000";
    const ask = (service: string, message: object = { user_id }) =>
      postJson(server, `/raystack.frontier.v1beta1.${service}/ListUserSessions`, message, basic(server));
    const missing = { status: 404, json: { code: "not_found", message: "user doesn't exist" } };
    expect(await ask("AdminService")).toMatchObject(missing);
    expect(await ask("AdminService", { user_id: "ada" })).toMatchObject({
      status: 400,
      json: { message: "invalid user_id format: must be a valid UUID" },
    });
    expect((await ask("FrontierService")).status).toBe(501);
  });
});
