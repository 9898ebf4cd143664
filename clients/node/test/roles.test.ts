/** Roles that a service asks of its callers: by what the token says, and by what Vestibule says now. */
import express, { type NextFunction, type Request, type Response } from "express";
import { fastify } from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Person } from "../../../test/parts/person.ts";
import { startServer, type TestServer } from "../../../test/parts/server.ts";
import { type AccessTokenClaims, clientSecret, createVestibule, type Vestibule } from "../src/index.ts";
import {
  requireAccessToken as requireInExpress,
  requireRole as roleInExpress,
} from "../src/middleware/express.ts";
import {
  requireAccessToken as requireInFastify,
  requireRole as roleInFastify,
} from "../src/middleware/fastify.ts";
import { createRoleCheck, createVerifier, findRole, hasRole, type RoleCheck } from "../src/verify/index.ts";
import { type Listening, listen } from "./support.ts";

const base = {} as AccessTokenClaims;

describe("a role in a token", () => {
  const organizations = {
    o1: { name: "one", roles: ["manager"] },
    o2: { name: "two", roles: ["viewer", "owner"] },
    o3: { name: "three", roles: [] },
    o4: { name: "four", roles: ["astronaut"] },
  };

  it.each([
    ["o1", "manager"],
    ["o2", "owner"],
    ["o3", undefined],
    ["o4", undefined],
    ["o5", undefined],
    ["", undefined],
    ["one", undefined],
    ["__proto__", undefined],
    ["constructor", undefined],
  ])("is that in the organization that is asked for: %s", (organization, role) => {
    expect(findRole({ ...base, organizations }, organization)).toBe(role);
  });

  it("allows what weaker ones do", () => {
    const may = (["viewer", "manager", "owner"] as const).filter((role) =>
      hasRole({ ...base, organizations }, role, "o1"),
    );
    expect(may).toEqual(["viewer", "manager"]);
  });

  it("is read from `roles` in a token for one organization, and of that one alone", () => {
    const claims = { ...base, org_id: "o1", roles: ["owner"] };
    expect(findRole(claims, "o1")).toBe("owner");
    expect(findRole(claims, "o2")).toBeUndefined();
    // Flat roles without an organization are of none.
    expect(findRole({ ...base, roles: ["owner"] }, "o1")).toBeUndefined();
    expect(findRole({ ...base, org_ids: "o1,o2" }, "o1")).toBeUndefined();
  });
});

describe("requireRole before a real server", () => {
  let server: TestServer;
  let admin: Vestibule;
  let orgId: string;
  let userId: string;
  let person: Person;

  beforeAll(async () => {
    server = await startServer();
    admin = createVestibule({ baseUrl: server.url, credentials: clientSecret(server) });
    const { organization } = await admin.organizations.createOrganization({ body: { name: "acme" } });
    orgId = organization?.id ?? "";
    await admin.organizations.createOrganization({ body: { name: "other" } });
    // Whom the organization keeps.
    await admin.serviceUsers.createServiceUser({ orgId, body: { title: "CI", role: "owner" } });
    person = new Person(server);
    await person.signIn("ada@example.org");
    userId = (await person.call("GetCurrentUser")).json.user.id;
    await admin.organizations.addMember({ orgId, userId, role: "viewer" });
  });
  afterAll(async () => {
    admin?.close();
    await server?.[Symbol.asyncDispose]();
  });

  const tokenOf = async (message = {}) =>
    (await person.call("AuthToken", message)).json.accessToken as string;

  /** Servers with a route for each organization, which managers may use. */
  const frameworks: Record<string, (check?: RoleCheck) => Promise<Listening>> = {
    Express: (check) => {
      const app = express();
      const options = { organization: (request: { params: { org?: unknown } }) => request.params.org };
      const issuer = `http://localhost:${server.port}`;
      app.get("/unverified/:org", roleInExpress("manager", options), (_, response) => response.end("in"));
      app.use(requireInExpress(createVerifier({ issuer, audience: issuer })));
      const isManager = roleInExpress("manager", { ...options, ...(check && { check }) });
      app.get("/of/:org", isManager, (_, response) => response.end("in"));
      app.get("/none", isManager, (_, response) => response.end("in"));
      app.use((_error: unknown, _: Request, response: Response, _next: NextFunction) => {
        response.status(500).end("failed");
      });
      return listen(app);
    },
    Fastify: async (check) => {
      const app = fastify();
      const issuer = `http://localhost:${server.port}`;
      const options = {
        organization: ({ params }: { params: unknown }) => (params as { org?: string }).org,
        ...(check && { check }),
      };
      const onRequest = roleInFastify("manager", options);
      app.get("/unverified/:org", { onRequest }, async () => "in");
      await app.register(async (scope) => {
        await scope.register(requireInFastify, { verifier: createVerifier({ issuer, audience: issuer }) });
        scope.get("/of/:org", { onRequest }, async () => "in");
        scope.get("/none", { onRequest }, async () => "in");
      });
      await app.listen({ port: 0, host: "127.0.0.1" });
      const { port } = app.server.address() as { port: number };
      return {
        url: `http://127.0.0.1:${port}`,
        server: app.server,
        [Symbol.asyncDispose]: async () => void (await app.close()),
      };
    },
  };

  async function ask({ url }: Listening, path: string, token: string) {
    const headers = { authorization: `Bearer ${token}`, connection: "close" };
    const response = await fetch(url + path, { headers });
    const challenge = response.headers.get("www-authenticate") ?? "";
    return { status: response.status, challenge, retryAfter: response.headers.get("retry-after") };
  }

  const setRole = (role: string) => admin.organizations.setMemberRole({ orgId, userId, role });

  describe.each(Object.entries(frameworks))("in %s", (_, serve) => {
    it("goes by the token, until the next one", async () => {
      await setRole("viewer");
      await using service = await serve();
      const [viewer, forOne] = [await tokenOf(), await tokenOf({ orgId })];
      expect(await ask(service, `/of/${orgId}`, viewer)).toMatchObject({
        status: 403,
        challenge: `Bearer error="insufficient_scope", error_description="the token's principal is no manager there"`,
      });
      await setRole("manager");
      expect((await ask(service, `/of/${orgId}`, viewer)).status).toBe(403);
      expect((await ask(service, `/of/${orgId}`, forOne)).status).toBe(403);
      const [manager, managerOfOne] = [await tokenOf(), await tokenOf({ orgId })];
      for (const token of [manager, managerOfOne]) {
        expect((await ask(service, `/of/${orgId}`, token)).status).toBe(200);
        for (const path of ["/of/acme", "/of/other", `/of/${userId}`, "/of/__proto__", "/none"]) {
          expect((await ask(service, path, token)).status, path).toBe(403);
        }
      }
      // One for another organization says nothing of this one.
      expect((await ask(service, `/of/${orgId}`, await tokenOf({ orgId: "other" }))).status).toBe(403);
      expect((await ask(service, "/unverified/acme", manager)).status).toBe(500);
    });

    it("asks Vestibule, where it is told to: a role counts from the moment that it is given or taken", async () => {
      await setRole("viewer");
      await using service = await serve(createRoleCheck({ baseUrl: server.url }));
      const token = await tokenOf();
      expect((await ask(service, `/of/${orgId}`, token)).status).toBe(403);
      await setRole("owner");
      expect((await ask(service, `/of/${orgId}`, token)).status).toBe(200);
      await setRole("viewer");
      expect((await ask(service, `/of/${orgId}`, token)).status).toBe(403);
      for (const path of ["/of/acme", `/of/${userId}`, "/of/a:b", "/none"]) {
        expect((await ask(service, path, token)).status, path).toBe(403);
      }
    });

    it("lets nobody in while Vestibule cannot be asked, nor by a token that it does not take any more", async () => {
      await setRole("manager");
      const nowhere = createRoleCheck({ baseUrl: "http://127.0.0.1:1" });
      await using alone = await serve(nowhere);
      expect(await ask(alone, `/of/${orgId}`, await tokenOf())).toMatchObject({
        status: 503,
        retryAfter: "5",
      });
      await using service = await serve(createRoleCheck({ baseUrl: server.url }));
      const other = new Person(server);
      await other.signIn("bob@example.org");
      const id = (await other.call("GetCurrentUser")).json.user.id;
      await admin.organizations.addMember({ orgId, userId: id, role: "manager" });
      const token = (await other.call("AuthToken")).json.accessToken;
      expect((await ask(service, `/of/${orgId}`, token)).status).toBe(200);
      await other.call("AuthLogout");
      expect(await ask(service, `/of/${orgId}`, token)).toMatchObject({
        status: 401,
        challenge: expect.stringContaining('error="invalid_token"'),
      });
      await admin.organizations.removeMember({ orgId, userId: id });
    });
  });
});

it.each([
  [200, "{}", false],
  [200, '{"status":true}', true],
  [200, '{"status":"true"}', false],
  [400, "{}", false],
  [403, "{}", false],
  [404, "{}", false],
])("an answer %i %s to the question is %s", async (status, body, held) => {
  const check = createRoleCheck({
    baseUrl: "http://localhost",
    fetch: async () => new Response(body, { status }),
  });
  const organization = "01900000-0000-7000-8000-000000000001";
  expect(await check({ token: "t", role: "viewer", organization })).toBe(held);
});

it.each([
  [500, "{}"],
  [429, "{}"],
  [501, "{}"],
  [200, "<html>"],
])("an answer %i %s to the question is none", async (status, body) => {
  const check = createRoleCheck({
    baseUrl: "http://localhost",
    fetch: async () => new Response(body, { status }),
  });
  const organization = "01900000-0000-7000-8000-000000000001";
  await expect(check({ token: "t", role: "viewer", organization })).rejects.toThrow("cannot be asked");
});
