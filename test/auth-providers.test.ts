/** Auth providers from outside: the guide's commands, REST and RPC, across processes, and what is refused. */
import { Code, createClient } from "@connectrpc/connect";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { followShell, readBlocks, runShell } from "./parts/documentation.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { openTransport } from "./parts/rpc.ts";
import { createState, startServer, type TestServer } from "./parts/server.ts";
import { within } from "./parts/within.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const mask = "********";
const oidc = { issuer: "https://your-org.okta.com", clientId: "abc123", audiences: ["api://default"] };

/** A machine of an organization, as `basic` takes it. */
async function createMachine(server: TestServer, org_id: string, role: string) {
  const call = (method: string, message: object) =>
    postJson(server, `/vestibule.v1.ServiceUserService/${method}`, { org_id, ...message }, basic(server));
  const { id } = (await call("CreateServiceUser", { body: { title: role, role } })).json.serviceuser;
  const { secret } = (await call("CreateServiceUserCredential", { id, title: role })).json;
  return basic({ clientId: secret.id, clientSecret: secret.secret });
}

describe.each(["sqlite", "postgres"] as const)("auth providers on %s", (database) => {
  let server: TestServer;
  let manager: { authorization: string };
  let viewer: { authorization: string };
  let stranger: { authorization: string };

  beforeAll(async () => {
    server = await startServer({ database });
    manager = await createMachine(server, "default", "manager");
    viewer = await createMachine(server, "default", "viewer");
    const body = { name: "other-org" };
    await postJson(server, "/vestibule.v1.OrganizationService/CreateOrganization", { body }, basic(server));
    stranger = await createMachine(server, "other-org", "owner");
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  interface Call {
    readonly body?: unknown;
    readonly headers?: Record<string, string>;
    readonly by?: { authorization: string };
  }

  /** What to register with a provider that people are sent to. */
  function toUrls(id: string) {
    const gate = `http://localhost:${server.port}/gate`;
    return { callbackUrl: `${gate}/callback/${id}`, backchannelLogoutUrl: `${gate}/backchannel/${id}` };
  }

  function call(
    method: string,
    path: string,
    { body, headers = {}, by = manager }: Call = {},
  ): Promise<Answer> {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const type = body === undefined ? {} : { "content-type": "application/json" };
    return send(`${server.url}${path}`, {
      method,
      headers: { ...type, ...by, ...headers },
      body: text as string,
    });
  }

  async function createDoor(): Promise<string> {
    return (await call("POST", "/frontdoor", { body: {} })).json.id;
  }

  async function createProvider(door: string, rest: object = {}): Promise<string> {
    const body = { name: "okta", type: "OIDC", data: { ...oidc, clientSecret: "canary-0" }, ...rest };
    const answer = await call("POST", `/frontdoor/${door}/auth-providers`, { body });
    expect(answer.status, answer.text).toBe(201);
    return answer.json.id;
  }

  it("do what docs/auth-providers.md says, command by command", async () => {
    const [
      token,
      door,
      create,
      get,
      list,
      patch,
      put,
      remove,
      test,
      revisions,
      rollback,
      watch,
      key,
      frontend,
      proxyToken,
      explain,
    ] = readBlocks("docs/auth-providers.md", "sh") as [string, ...string[]];
    const variables: Record<string, string> = { BASE: server.url };
    const run = async (block = "") => JSON.parse((await runShell(block, server, variables)) || "null");
    variables.T = (await run(token)).access_token;
    variables.F = (await run(door)).id;
    const made = await run(create);
    expect(made).toEqual({ id: expect.stringMatching(uuid), name: "oidc-okta", type: "OIDC", enabled: true });
    variables.ID = made.id;
    const urls = toUrls(made.id);
    expect(await run(get)).toEqual({ ...made, data: oidc, ...urls });
    expect(await run(list)).toEqual({
      content: [made],
      pageable: { pageNumber: 0, pageSize: 20 },
      totalElements: 1,
      totalPages: 1,
    });
    await using stream = followShell(watch ?? "", server, variables);
    await expect.poll(() => stream.printed(), { timeout: 30_000 }).toContain("snapshot_end");
    expect(await run(patch)).toEqual({ ...made, name: "oidc-okta-renamed", data: oidc, ...urls });
    const shape = { issuer: oidc.issuer, clientId: "abc123", scopes: ["openid", "email", "profile"] };
    const data = { ...shape, supportsPkce: true, clientSecret: mask };
    expect(await run(put)).toEqual({ ...made, data, ...urls });
    await expect.poll(() => stream.printed(), { timeout: 30_000 }).toContain("oidc-okta-renamed");
    expect(await run(test)).toMatchObject({
      checks: [{ name: "schema", ok: true }, { name: "name_resolution" }, { name: "sample" }],
    });
    expect((await run(revisions)).revisions).toMatchObject([
      { revision: 3, change: "replace", author: { type: "serviceuser", id: expect.stringMatching(uuid) } },
      {
        revision: 2,
        change: "update",
        changes: [{ field: "name", before: "oidc-okta", after: "oidc-okta-renamed" }],
      },
      { revision: 1, change: "create", changes: [] },
    ]);
    expect(await run(rollback)).toEqual({ ...made, data: oidc, ...urls });
    expect(await run(frontend)).toEqual({
      id: expect.stringMatching(uuid),
      frontdoorId: variables.F,
      hostname: "app.example.com",
      authProviderIds: [made.id],
      policy: {
        publicPaths: ["/health", "/assets/*"],
        emailPatterns: ["*@example.com"],
        requiredClaims: { groups: ["staff"] },
        protectedPaths: [],
        corsPreflight: false,
        sessionMaxAge: 86_400,
      },
      status: "ACTIVE",
      authorization: "JUDGE",
      scheme: "https",
      assertionHeader: "",
    });
    expect(await run(explain)).toEqual({
      allowed: false,
      reason: "BAD_CREDENTIAL",
      message: expect.any(String),
      steps: [
        { name: "request", ok: true, detail: "GET /reports at app.example.com", authProviderId: "" },
        { name: "frontend", ok: true, detail: "app.example.com answers", authProviderId: "" },
        { name: "path", ok: true, detail: "needs an identity", authProviderId: "" },
        { name: "credential", ok: true, detail: expect.any(String), authProviderId: "" },
        { name: "provider", ok: false, detail: expect.any(String), authProviderId: "" },
      ],
      identityHeaders: [],
    });
    expect(await run(remove)).toBeNull();
    variables.ID = await createProvider(variables.F ?? "", { name: "keys", type: "API_KEY", data: {} });
    expect(await run(proxyToken)).toMatchObject({
      title: "edge proxies",
      token: expect.stringMatching(/^vstp_/),
    });
    expect(await run(key)).toMatchObject({ title: "build server", key: expect.stringMatching(/^vstk_/) });
  });

  it("answer byte for byte what the guide shows, and alike to buf curl by reflection and the typed client", async () => {
    const door = await createDoor();
    const path = `/frontdoor/${door}/auth-providers`;
    const body = { name: "oidc-okta", type: "OIDC", data: oidc };
    const { id, ...rest } = (await call("POST", path, { body })).json;
    const summary = `{"id":"${id}","name":"oidc-okta","type":"OIDC","enabled":true}`;
    expect(JSON.stringify({ id, ...rest })).toBe(summary);
    const urls = JSON.stringify(toUrls(id)).slice(1, -1);
    const whole = `{"id":"${id}","name":"oidc-okta","type":"OIDC","enabled":true,"data":{"issuer":"https://your-org.okta.com","clientId":"abc123","audiences":["api://default"]},${urls}}`;
    expect((await call("GET", `${path}/${id}`)).text).toBe(whole);
    expect((await call("GET", `${path}?page=0&size=20&sort=name,asc`)).text).toBe(
      `{"content":[${summary}],"pageable":{"pageNumber":0,"pageSize":20},"totalElements":1,"totalPages":1}`,
    );
    const renamed = whole.replace("oidc-okta", "oidc-okta-renamed");
    expect((await call("PATCH", `${path}/${id}`, { body: { name: "oidc-okta-renamed" } })).text).toBe(
      renamed,
    );
    expect((await call("PUT", `${path}/${id}`, { body })).text).toBe(whole);
    const types = (await call("GET", `/frontdoor/${door}/auth-provider-types`)).text;
    expect(types).toMatch(
      /^\[\{"type":"OIDC","displayName":"OpenID Connect","description":"Validate JWTs issued by an OpenID Connect provider"\},/,
    );
    expect((await call("DELETE", `${path}/${id}`)).text).toBe("");

    const service = `${server.url}/${FrontdoorAuthProviderService.typeName}`;
    const buf = async (method: string, message: object) => {
      const run = `buf curl --protocol grpc --http2-prior-knowledge -H "Authorization: $AUTH" -d "$BODY" ${service}/${method}`;
      const BODY = JSON.stringify({ frontdoorId: door, ...message });
      return JSON.parse(await runShell(run, server, { AUTH: manager.authorization, BODY }));
    };
    using opened = openTransport(server.url, "gRPC", "h2c");
    const client = createClient(FrontdoorAuthProviderService, opened.transport);
    const options = { headers: manager };

    const { authProvider: made } = await buf("CreateAuthProvider", body);
    const one = { frontdoorId: door, id: made.id };
    expect(made).toEqual({ ...rest, id: made.id });
    const got = { ...made, data: oidc, ...toUrls(made.id) };
    expect(await buf("GetAuthProvider", one)).toEqual({ authProvider: got });
    expect((await client.getAuthProvider(one, options)).authProvider).toMatchObject(got);
    const list = { page: 0, size: 20, sort: "name,asc" };
    const listed = { content: [made], pageable: { pageSize: 20 }, totalElements: 1, totalPages: 1 };
    expect(await buf("ListAuthProviders", list)).toEqual(listed);
    const page = await client.listAuthProviders({ frontdoorId: door, ...list }, options);
    expect(page).toMatchObject({ ...listed, pageable: { pageNumber: 0, pageSize: 20 } });
    const other = { ...got, name: "oidc-okta-renamed" };
    const patch = { id: made.id, name: other.name };
    expect(await buf("UpdateAuthProvider", patch)).toEqual({ authProvider: other });
    const put = { ...one, ...body };
    expect((await client.replaceAuthProvider(put, options)).authProvider).toMatchObject(got);
    expect(await buf("DeleteAuthProvider", { id: made.id })).toEqual({});
    await expect(client.deleteAuthProvider(one, options)).rejects.toMatchObject({ code: Code.NotFound });
  });

  it("answer with status, ETag, Location and nothing that was not asked for", async () => {
    const door = await createDoor();
    const path = `/frontdoor/${door}/auth-providers`;
    const made = await call("POST", path, {
      body: { name: "okta", type: "OIDC", data: oidc, id: "ignored" },
    });
    expect(made).toMatchObject({
      status: 201,
      headers: { etag: '"1"', location: `${path}/${made.json.id}`, "content-type": "application/json" },
    });
    const one = `${path}/${made.json.id}`;
    expect(await call("GET", one, { by: viewer })).toMatchObject({ status: 200, headers: { etag: '"1"' } });
    const whole = (await call("GET", one)).json;
    const production = `/frontdoor/${await createDoor()}/auth-providers`;
    const promoted = await call("POST", production, { body: whole });
    expect(promoted).toMatchObject({ status: 201, json: { name: "okta", type: "OIDC", enabled: true } });
    expect(promoted.json.id).not.toBe(whole.id);
    const elsewhere = `${production}/${promoted.json.id}`;
    expect((await call("GET", elsewhere)).json).toEqual({
      ...whole,
      id: promoted.json.id,
      ...toUrls(promoted.json.id),
    });
    const claimed = { callbackUrl: "https://evil.example", backchannelLogoutUrl: "https://evil.example" };
    expect((await call("PATCH", elsewhere, { body: claimed })).json).toMatchObject(toUrls(promoted.json.id));
    const secretive = { ...whole, name: "secretive", data: { ...oidc, clientSecret: mask } };
    expect((await call("POST", production, { body: secretive })).status).toBe(400);
    const put = await call("PUT", one, {
      body: { ...whole, enabled: false },
      headers: { "if-match": '"1"' },
    });
    expect(put).toMatchObject({ status: 200, headers: { etag: '"2"' }, json: { ...whole, enabled: false } });
    const hal = await call("GET", `${path}?size=1`, { headers: { accept: "application/hal+json" } });
    expect(hal.json).toMatchObject({
      content: [{ enabled: false }],
      _links: { self: {}, first: {}, last: {} },
    });
    expect(hal.json).not.toHaveProperty("nextPageToken");
    const back = await call("POST", `${one}:rollback`, {
      body: { revision: 1 },
      headers: { accept: "application/hal+json" },
    });
    expect(new URL(back.json._links.self.href).pathname).toBe(one);
    expect((await call("GET", `${path}?page_token=`)).json.nextPageToken).toBe("");
    const deleted = await call("DELETE", one);
    expect([deleted.status, deleted.text]).toEqual([204, ""]);
    expect((await call("GET", path)).json).toEqual({
      content: [],
      pageable: { pageNumber: 0, pageSize: 20 },
      totalElements: 0,
      totalPages: 0,
    });
    const types = await call("GET", `/frontdoor/${door}/auth-provider-types`, { by: viewer });
    expect(types.json).toHaveLength(6);
    expect(types.json[0]).toEqual({
      type: "OIDC",
      displayName: "OpenID Connect",
      description: "Validate JWTs issued by an OpenID Connect provider",
    });
    expect((await call("GET", `/frontdoor/${door}/auth-provider-types/OIDC`)).json).toEqual(types.json[0]);
    expect((await call("GET", `/frontdoor/${door}/auth-provider-types/OIDC/schema`)).json).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      required: ["issuer", "clientId"],
    });
  });

  it("have schemas that are where they say they are, for anybody, and never sent twice", async () => {
    const door = await createDoor();
    const types = (await call("GET", `/frontdoor/${door}/auth-provider-types`)).json;
    for (const { type } of types) {
      const path = `/frontdoor/${door}/auth-provider-types/${type}/schema`;
      const { json: schema, headers } = await call("GET", path, { by: viewer });
      const known = { "if-none-match": String(headers.etag) };
      expect(await call("GET", path, { headers: known })).toMatchObject({ status: 304, text: "" });
      const { origin, pathname } = new URL(schema.$id);
      expect(origin).toBe(`http://localhost:${server.port}`);
      const public_ = await send(`${server.url}${pathname}`);
      expect(public_).toMatchObject({
        status: 200,
        json: schema,
        headers: { "content-type": "application/schema+json", "access-control-allow-origin": "*" },
      });
      const again = { headers: { "if-none-match": String(public_.headers.etag) } };
      expect((await send(`${server.url}${pathname}`, again)).status).toBe(304);
    }
  });

  it("let custom frontends say all that a gate asks, and nothing that it could not hold", async () => {
    const door = await createDoor();
    const said = {
      hostname: "*.apps.example.com",
      authProviderIds: [await createProvider(door)],
      policy: {
        publicPaths: [],
        emailPatterns: [],
        requiredClaims: {},
        protectedPaths: ["/admin/*"],
        corsPreflight: true,
        sessionMaxAge: 2_592_000,
        apiKeyRate: { requests: 1_000_000, perSeconds: 86_400 },
      },
      authorization: "PASS",
      scheme: "https",
      assertionHeader: "X-JWT-Assertion",
    };
    const path = `/frontdoor/${door}/custom-frontends`;
    const made = await call("POST", path, { body: said });
    expect(made).toMatchObject({ status: 201, json: said });
    const one = `${path}/${made.json.id}`;
    expect((await call("GET", one)).json).toEqual(made.json);
    // What a replacement does not say is as if it had never been said.
    const bare = await call("PUT", one, { body: { hostname: "app.example.com" } });
    expect(bare.json).toMatchObject({
      policy: { protectedPaths: [], corsPreflight: false, sessionMaxAge: 86_400 },
      authorization: "JUDGE",
      scheme: "https",
      assertionHeader: "",
    });
    expect(bare.json.policy.apiKeyRate).toBeUndefined();
    const { policy } = said;
    for (const [wrong, where] of [
      [{ hostname: "*.com" }, "hostname"],
      [{ authorization: "judge" }, "authorization"],
      [{ scheme: "ftp" }, "scheme"],
      [{ scheme: "http" }, "scheme"],
      [{ assertionHeader: "Authorization" }, "assertionHeader"],
      [{ assertionHeader: `X-${"a".repeat(63)}` }, "assertionHeader"],
      [{ policy: { ...policy, publicPaths: ["/health"] } }, "policy.protectedPaths"],
      [{ policy: { ...policy, protectedPaths: ["/a/../b"] } }, "policy.protectedPaths[0]"],
      [{ policy: { ...policy, protectedPaths: Array(101).fill("/a") } }, "policy.protectedPaths"],
      [{ policy: { ...policy, sessionMaxAge: 59 } }, "policy.sessionMaxAge"],
      [{ policy: { ...policy, sessionMaxAge: 2_592_001 } }, "policy.sessionMaxAge"],
      [{ policy: { ...policy, sessionMaxAge: -1 } }, "policy.sessionMaxAge"],
      [{ policy: { ...policy, apiKeyRate: {} } }, "policy.apiKeyRate.requests"],
      [
        { policy: { ...policy, apiKeyRate: { requests: 1, perSeconds: 86_401 } } },
        "policy.apiKeyRate.perSeconds",
      ],
      [
        { policy: { ...policy, apiKeyRate: { requests: 1_000_001, perSeconds: 1 } } },
        "policy.apiKeyRate.requests",
      ],
    ] as const) {
      const refused = await call("PUT", one, { body: { ...said, ...wrong } });
      expect(refused, where).toMatchObject({ status: 400, json: { error: "invalid_request" } });
      expect(refused.json.details[0].field, refused.text).toBe(where);
    }
    expect((await call("GET", one)).json).toEqual(bare.json);
  });

  it("and custom frontends are read again, and written, by their tags", async () => {
    const door = await createDoor();
    const id = await createProvider(door);
    const body = { hostname: "app.example.com", authProviderIds: [id] };
    const made = await call("POST", `/frontdoor/${door}/custom-frontends`, { body });
    const one = `/frontdoor/${door}/custom-frontends/${made.json.id}`;
    const { etag } = made.headers as { etag: string };
    for (const path of [one, `/frontdoor/${door}/auth-providers/${id}`, `/frontdoor/${door}`]) {
      const read = await call("GET", path);
      const known = { "if-none-match": `"other", ${read.headers.etag}` };
      expect(await call("GET", path, { headers: known })).toMatchObject({ status: 304, text: "" });
      expect((await call("GET", path, { headers: { "if-none-match": '"other"' } })).json).toEqual(read.json);
    }
    const changed = { ...body, hostname: "b.example.com" };
    const put = await call("PUT", one, { body: changed, headers: { "if-match": etag } });
    expect(put).toMatchObject({ status: 200, headers: { etag: expect.not.stringMatching(etag) } });
    for (const [method, rest] of [
      ["PUT", { body }],
      ["DELETE", {}],
    ] as const) {
      const stale = await call(method, one, { ...rest, headers: { "if-match": etag } });
      expect([stale.status, stale.json.error]).toEqual([412, "precondition_failed"]);
    }
    const current = { "if-match": String(put.headers.etag) };
    expect((await call("DELETE", one, { headers: current })).status).toBe(204);
  });

  it("page by number and by cursor alike", async () => {
    const door = await createDoor();
    for (const name of ["c", "a", "e", "b", "d"]) await createProvider(door, { name });
    const path = `/frontdoor/${door}/auth-providers?size=2&sort=name,desc`;
    const names = (answer: Answer) => answer.json.content.map(({ name }: { name: string }) => name).join("");
    expect(names(await call("GET", `${path}&page=2`))).toBe("a");
    expect((await call("GET", `${path}&page=9`)).json).toMatchObject({
      content: [],
      totalElements: 5,
      totalPages: 3,
    });
    const seen: string[] = [];
    let next = "";
    do {
      const answer = await call("GET", `${path}&page_token=${encodeURIComponent(next)}`);
      seen.push(names(answer));
      next = answer.json.nextPageToken;
    } while (next !== "");
    expect(seen).toEqual(["ed", "cb", "a"]);
  });

  describe("are refused", () => {
    let door: string;
    let id: string;
    let before: string;

    beforeAll(async () => {
      door = await createDoor();
      id = await createProvider(door);
      before = (await call("GET", `/frontdoor/${door}/auth-providers/${id}`)).text;
    });

    const at = (path: string) => path.replace("{door}", door).replace("{id}", id);
    const list = "/frontdoor/{door}/auth-providers";
    const one = "/frontdoor/{door}/auth-providers/{id}";
    const create = (body: unknown) => ["POST", list, { body }] as const;
    const draft = { name: "new", type: "OIDC", data: oidc };
    const patch = (body: unknown) => ["PATCH", one, { body }] as const;
    const nested = `{"name":"x","type":"OIDC","data":${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}}`;
    const large = { ...draft, data: { ...oidc, clientId: "x".repeat(1024 * 1024) } };
    const unknownDoor = "019a0000-0000-7000-8000-000000000000";

    const cases: [string, readonly [string, string, Call?], number, string, (string | RegExp)?][] = [
      [
        "no credential",
        ["GET", list, { by: {} as never }],
        401,
        "unauthorized",
        "Bearer token is missing or invalid",
      ],
      ["a bad credential", ["GET", list, { by: { authorization: "Bearer x" } }], 401, "unauthorized"],
      [
        "an unknown frontdoor",
        ["GET", list.replace("{door}", unknownDoor)],
        403,
        "not_found",
        `Frontdoor ${unknownDoor} not found`,
      ],
      [
        "no id of a frontdoor",
        ["GET", list.replace("{door}", "nonsense")],
        403,
        "not_found",
        "Frontdoor nonsense not found",
      ],
      ["an unknown provider", ["GET", one.replace("{id}", unknownDoor)], 404, "not_found"],
      ["a duplicate name", create({ ...draft, name: "okta" }), 409, "conflict", "name is taken"],
      ["an unknown type", create({ ...draft, type: "SAML" }), 400, "invalid_request"],
      [
        "a number as name",
        create({ ...draft, name: 5 }),
        400,
        "invalid_request",
        "Value for name must be of string",
      ],
      [
        "data that is no object",
        create({ ...draft, data: [] }),
        400,
        "invalid_request",
        "Value for data must be of object",
      ],
      ["data that does not fit", create({ ...draft, data: { issuer: 1 } }), 400, "invalid_request"],
      [
        "an unknown property of data",
        create({ ...draft, data: { ...oidc, x: 1 } }),
        400,
        "invalid_request",
        /data\.x/,
      ],
      [
        "an unknown field",
        create({ ...draft, surprise: 1 }),
        400,
        "invalid_request",
        "Value for surprise is not expected",
      ],
      [
        "the mask on create",
        create({ ...draft, data: { ...oidc, clientSecret: mask } }),
        400,
        "invalid_request",
        /data\.clientSecret/,
      ],
      [
        "a prototype",
        create('{"name":"x","type":"OIDC","data":{"__proto__":{"a":1}}}'),
        400,
        "invalid_request",
        /__proto__/,
      ],
      [
        "a key given twice",
        create('{"name":"x","name":"y","type":"OIDC"}'),
        400,
        "invalid_request",
        /name is given more than once/,
      ],
      ["nested JSON", create(nested), 400, "invalid_request", /nested deeper/],
      ["a large body", create(large), 413, "payload_too_large"],
      ["no JSON", create("{"), 400, "invalid_request"],
      [
        "another path field",
        patch({ id: unknownDoor, name: "x" }),
        400,
        "invalid_request",
        /id must be equal/,
      ],
      [
        "another frontdoor in the body",
        create({ ...draft, frontdoorId: unknownDoor }),
        400,
        "invalid_request",
      ],
      ["a type change by PATCH", patch({ type: "JWT" }), 400, "invalid_request"],
      [
        "a type change by PUT",
        ["PUT", one, { body: { name: "x", type: "API_KEY", data: {} } }],
        400,
        "invalid_request",
      ],
      [
        "a changed issuer, its secret kept",
        patch({ data: { issuer: "https://evil.example" } }),
        400,
        "invalid_request",
        /data\.clientSecret/,
      ],
      [
        "a changed issuer with the mask",
        [
          "PUT",
          one,
          { body: { name: "x", type: "OIDC", data: { ...oidc, clientId: "y", clientSecret: mask } } },
        ],
        400,
        "invalid_request",
      ],
      [
        "the same in a dry run",
        ["POST", `${one}:test`, { body: { data: { issuer: "https://evil.example" } } }],
        400,
        "invalid_request",
      ],
      [
        "the mask in a dry run",
        ["POST", `${list}:test`, { body: { type: "OIDC", data: { ...oidc, clientSecret: mask } } }],
        400,
        "invalid_request",
      ],
      [
        "a stale If-Match",
        ["PATCH", one, { body: { name: "x" }, headers: { "if-match": '"9"' } }],
        412,
        "precondition_failed",
      ],
      [
        "a stale If-Match on PUT",
        ["PUT", one, { body: { ...draft, name: "okta" }, headers: { "if-match": 'W/"1"' } }],
        412,
        "precondition_failed",
      ],
      [
        "a stale If-Match on rollback",
        ["POST", `${one}:rollback`, { body: { revision: 1 }, headers: { "if-match": '"0"' } }],
        412,
        "precondition_failed",
      ],
      [
        "a write that must find nothing",
        ["PUT", one, { body: { ...draft, name: "okta" }, headers: { "if-none-match": "*" } }],
        412,
        "precondition_failed",
      ],
      [
        "a stale If-Match on DELETE",
        ["DELETE", one, { headers: { "if-match": '"9"' } }],
        412,
        "precondition_failed",
      ],
      ["a page below 0", ["GET", `${list}?page=-1`], 400, "invalid_request"],
      [
        "a page that is no number",
        ["GET", `${list}?page=x`],
        400,
        "invalid_request",
        "Value for page must be of integer",
      ],
      ["a size of 0", ["GET", `${list}?size=0`], 400, "invalid_request"],
      ["a size of 201", ["GET", `${list}?size=201`], 400, "invalid_request"],
      [
        "an unknown sort",
        ["GET", `${list}?sort=data,asc`],
        400,
        "invalid_request",
        /Value for sort must be of/,
      ],
      ["an unknown direction", ["GET", `${list}?sort=name,up`], 400, "invalid_request"],
      ["a made-up cursor", ["GET", `${list}?page_token=x`], 400, "invalid_request"],
      ["an unknown filter", ["GET", `${list}?surprise=1`], 400, "invalid_request"],
      ["an unknown type as filter", ["GET", `${list}?type=SAML`], 400, "invalid_request"],
      ["an unknown revision", ["POST", `${one}:rollback`, { body: { revision: 9 } }], 404, "not_found"],
      ["keys of another type", ["POST", `${one}/api-keys`, { body: {} }], 409, "conflict"],
      ["a wrong method", ["PUT", list, { body: {} }], 405, "method_not_allowed"],
      ["a slash at the end", ["GET", `${list}/`], 404, "not_found"],
      ["an encoded slash", ["GET", list.replace("/auth", "%2Fauth")], 404, "not_found"],
      ["dot segments", ["GET", `${list}/../auth-providers`], 404, "not_found"],
      ["an empty segment", ["GET", list.replace("/auth", "//auth")], 404, "not_found"],
      [
        "another media type",
        ["POST", list, { body: "name=x", headers: { "content-type": "application/x-www-form-urlencoded" } }],
        415,
        "unsupported_media_type",
      ],
    ];

    it.each(cases)("%s", async (_, [method, path, sent], status, error, message) => {
      const answer = await call(method, at(path), sent);
      expect({ status: answer.status, error: answer.json?.error }, answer.text).toEqual({ status, error });
      if (typeof message === "string") expect(answer.json.message).toBe(message);
      else if (message !== undefined) expect(answer.text).toMatch(message);
      expect(answer.text).not.toContain("canary");
      expect((await call("GET", at(one))).text).toBe(before);
      expect((await call("GET", at(list))).json.totalElements).toBe(1);
    });

    it("to a role that is too low, and to strangers", async () => {
      const writes: [string, string, unknown?][] = [
        ["POST", list, draft],
        ["PATCH", one, { name: "x" }],
        ["PUT", one, draft],
        ["DELETE", one],
        ["POST", `${one}:test`, {}],
        ["POST", `${list}:test`, { type: "API_KEY" }],
        ["POST", `${one}:rollback`, { revision: 1 }],
        ["POST", `${one}/api-keys`, {}],
        ["POST", "/frontdoor/{door}/custom-frontends", { hostname: "a.example" }],
        ["DELETE", "/frontdoor/{door}"],
      ];
      for (const [method, path, body] of writes) {
        const low = await call(method, at(path), { body, by: viewer });
        expect([low.status, low.json.error], path).toEqual([403, "forbidden"]);
        const foreign = await call(method, at(path), { body, by: stranger });
        expect([foreign.status, foreign.json], path).toEqual([
          403,
          { error: "not_found", message: `Frontdoor ${door} not found` },
        ]);
      }
      for (const path of [
        list,
        one,
        `${one}/revisions`,
        "/frontdoor/{door}",
        "/frontdoor/{door}/auth-provider-types",
      ]) {
        expect((await call("GET", at(path), { by: viewer })).status, path).toBe(200);
        expect((await call("GET", at(path), { by: stranger })).status, path).toBe(403);
      }
      expect((await call("GET", at(one))).text).toBe(before);
    });

    it("names in a race but one, also with an Idempotency-Key", async () => {
      const path = at(list);
      const raced = await Promise.all(Array.from({ length: 8 }, () => call("POST", path, { body: draft })));
      expect(raced.map(({ status }) => status).toSorted()).toEqual([201, ...Array(7).fill(409)]);
      const winner = raced.find(({ status }) => status === 201);
      await call("DELETE", `${path}/${winner?.json.id}`);
      const headers = { "idempotency-key": "once" };
      const repeated = await Promise.all(
        Array.from({ length: 8 }, () => call("POST", path, { body: draft, headers })),
      );
      expect(new Set(repeated.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
      const other = await call("POST", path, { body: { ...draft, name: "else" }, headers });
      expect([other.status, other.json.error]).toEqual([409, "conflict"]);
      await call("DELETE", `${path}/${repeated[0]?.json.id}`);
    });
  });

  it("are watched by the typed client, and changed by REST meanwhile", async () => {
    const door = await createDoor();
    const id = await createProvider(door);
    using opened = openTransport(server.url, "gRPC", "h2c");
    const client = createClient(FrontdoorAuthProviderService, opened.transport);
    const stop = new AbortController();
    const options = { headers: manager, signal: stop.signal };
    const stream = client.watchAuthProviders({ frontdoorId: door }, options)[Symbol.asyncIterator]();
    const next = async () => (await stream.next()).value;
    expect(await next()).toMatchObject({ event: "snapshot_begin" });
    expect(await next()).toMatchObject({ event: "snapshot", authProvider: { id }, revision: 1 });
    const { resumeToken } = await next();
    const body = { data: { clientSecret: "canary-1" } };
    const path = `/frontdoor/${door}/auth-providers/${id}`;
    expect((await call("PATCH", path, { body })).status).toBe(200);
    const told = await next();
    expect(told).toMatchObject({
      event: "updated",
      revision: 2,
      authProvider: { data: { clientSecret: mask } },
    });
    stop.abort();
    await call("DELETE", path);
    const resumed = client.watchAuthProviders({ frontdoorId: door, resumeToken }, { headers: viewer });
    const events: string[] = [];
    for await (const { event } of resumed) {
      events.push(event);
      if (event === "deleted") break;
    }
    expect(events).toEqual(["alive", "updated", "deleted"]);
  });

  it("let no secret out: not by answers, refusals, revisions, audit, events, metrics or logs", async () => {
    const canary = "canary-5f2e9d";
    const door = await createDoor();
    const data = { ...oidc, clientSecret: canary };
    const texts: string[] = [];
    const heard = async (answer: Promise<Answer>) => {
      const { text, json } = await answer;
      texts.push(text);
      return json;
    };
    const path = `/frontdoor/${door}/auth-providers`;
    const body = { name: "secretive", type: "OIDC", data };
    const { id } = await heard(call("POST", path, { body, headers: { "idempotency-key": "k" } }));
    await heard(call("POST", path, { body }));
    await heard(call("POST", path, { body: { ...body, name: "x", data: { ...data, scopes: canary } } }));
    await heard(
      call("PATCH", `${path}/${id}`, { body: { data: { clientSecret: `${canary}-2`, [canary]: 1 } } }),
    );
    await heard(call("PATCH", `${path}/${id}`, { body: { data: { clientSecret: `${canary}-2` } } }));
    await heard(
      call("PUT", `${path}/${id}`, { body: { ...body, data: { ...data, clientSecret: { a: canary } } } }),
    );
    await heard(call("POST", `${path}/${id}:test`, { body: { sample: { token: canary, apiKey: canary } } }));
    await heard(call("POST", `${path}/${id}:rollback`, { body: { revision: 1 } }));
    for (const each of ["", `/${id}`, `/${id}/revisions`]) await heard(call("GET", path + each));
    using opened = openTransport(server.url, "Connect JSON", "HTTP/1.1");
    const watcher = createClient(FrontdoorAuthProviderService, opened.transport);
    const options = { headers: manager };
    for await (const message of watcher.watchAuthProviders({ frontdoorId: door }, options)) {
      texts.push(JSON.stringify(message.authProvider ?? {}));
      if (message.event === "snapshot_end") break;
    }
    const audit = createClient(AuditService, opened.transport);
    const { records } = await audit.listAuditRecords(
      { targetId: id, orgId: "default", pageSize: 200 },
      options,
    );
    expect(records.map(({ action }) => action)).toEqual(
      expect.arrayContaining(["auth_provider.create", "auth_provider.update", "auth_provider.rollback"]),
    );
    texts.push(JSON.stringify(records.map(({ details, detail }) => [details, detail])));
    texts.push((await send(`${server.url}/metrics`)).text, server.stdout(), server.stderr());
    // The name of an unknown property is the caller's own, told back.
    const own = texts.splice(3, 1)[0] ?? "";
    expect(own).not.toContain(`${canary}-2`);
    for (const text of texts) expect(text).not.toContain(canary);
  });
});

it("changes on one process are told to those who watch on another within a second", async () => {
  const state = await createState("postgres");
  const env = { VESTIBULE_PUBLIC_URL: "https://id.example.com" };
  const [a, b] = await Promise.all([startServer({ state, env }), startServer({ state, env })]);
  try {
    const headers = basic(a);
    const { id: frontdoorId } = (await postJson(a, "/frontdoor", {}, headers)).json;
    using opened = openTransport(b.url, "Connect binary", "h2c");
    const client = createClient(FrontdoorAuthProviderService, opened.transport);
    const stream = client.watchAuthProviders({ frontdoorId }, { headers })[Symbol.asyncIterator]();
    for (let event = ""; event !== "snapshot_end"; ) event = (await stream.next()).value.event;
    let count = 0;
    const createAndHear = async () => {
      const name = `p${count++}`;
      const coming = stream.next();
      const beganAtMs = performance.now();
      const body = { name, type: "VESTIBULE" };
      await postJson(a, `/frontdoor/${frontdoorId}/auth-providers`, body, headers);
      expect((await coming).value).toMatchObject({ event: "created", authProvider: { name } });
      return performance.now() - beganAtMs;
    };
    for (let round = 0; round < 2; round++) await within(1000, createAndHear);
    const ended = stream.next().then(
      () => "more",
      (error: unknown) => String(error),
    );
    expect(await b.stop()).toBe(0);
    expect(await ended).toMatch(/stopping|unavailable|aborted|closed/i);
  } finally {
    await Promise.all([a.kill(), b.kill()]);
    await state.remove();
  }
});
