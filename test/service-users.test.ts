/** Service users from outside: every kind of credential, over the wire and across processes. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const own = "/vestibule.v1.ServiceUserService";
const frontier = "/raystack.frontier.v1beta1.FrontierService";
const whoAmI = "/vestibule.v1.AuthService/GetCurrentUser";
const authToken = "/vestibule.v1.AuthService/AuthToken";
const org_id = "default";
const refused = { status: 401, json: { code: "unauthenticated", message: "not authenticated" } };

describe.each(["sqlite", "postgres"] as const)("service users on %s", (database) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer({ database });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  async function call(method: string, message: object, service = own) {
    return await postJson(server, `${service}/${method}`, { org_id, ...message }, basic(server));
  }

  async function createMachine(): Promise<string> {
    return (await call("CreateServiceUser", { body: { title: "machine" } })).json.serviceuser.id;
  }

  it("lets a token in as bearer and as password, and nobody else's", async () => {
    const id = await createMachine();
    const { json } = await call("CreateServiceUserToken", { id, title: "t" });
    const { token, id: tokenId } = json.token;
    expect(json.token).toEqual({
      id: tokenId,
      title: "t",
      token: expect.any(String),
      createdAt: expect.any(String),
    });
    const headers = [
      { authorization: `Bearer ${token}` },
      { authorization: `bearer ${token}` },
      basic({ clientId: tokenId, clientSecret: token }),
      basic({ clientId: id, clientSecret: token }),
    ];
    for (const header of headers) {
      const { status, json: answer } = await postJson(server, whoAmI, {}, header);
      expect({ status, id: answer.serviceuser?.id }).toEqual({ status: 200, id });
    }
    const wrong = [
      { authorization: `Bearer ${token}A` },
      { authorization: `Bearer vstt_${"A".repeat(48)}` },
      basic({ clientId: await createMachine(), clientSecret: token }),
    ];
    for (const header of wrong) expect(await postJson(server, whoAmI, {}, header)).toMatchObject(refused);
    const listed = { id: tokenId, title: "t", createdAt: expect.any(String), lastUsedAt: expect.any(String) };
    const list = async () => (await call("ListServiceUserTokens", { id })).json.tokens;
    await expect.poll(list).toEqual([listed]);
    // The uses of one moment may be written in two goes.
    const usage = async () => (await call("GetServiceUserUsage", { id })).json;
    await expect.poll(usage).toMatchObject({
      credentials: [{ credentialId: tokenId, kind: "token", title: "t", calls: 4 }],
      days: [{ day: new Date().toISOString().slice(0, 10), calls: 4 }],
    });
    await call("DeleteServiceUserToken", { id, token_id: tokenId });
    for (const header of headers) expect(await postJson(server, whoAmI, {}, header)).toMatchObject(refused);
  });

  it("answers keys in Frontier's shapes under Frontier's name", async () => {
    const id = await createMachine();
    const made = await call("CreateServiceUserJWK", { id, title: "k" }, frontier);
    const { kid, private_key } = made.json.key;
    expect(made.json.key).toEqual({ type: "sv_rsa", kid, principal_id: id, private_key });
    expect(made.headers["cache-control"]).toBe("no-store");
    const { n, e } = createPublicKey(createPrivateKey(private_key)).export({ format: "jwk" });
    const jwk = { kty: "RSA", alg: "RS256", use: "sig", kid, n, e };
    const got = await call("GetServiceUserJWK", { id, key_id: kid }, frontier);
    expect(got.json).toEqual({ keys: [jwk] });
    const [listed] = (await call("ListServiceUserJWKs", { id }, frontier)).json.keys;
    expect(listed).toMatchObject({ id: kid, title: "k", principal_id: id, created_at: expect.any(String) });
    expect(JSON.parse(listed.public_key)).toEqual({ keys: [jwk] });
    const other = await createMachine();
    const notFound = {
      status: 404,
      json: { code: "not_found", message: "service user credentials not found" },
    };
    expect(await call("DeleteServiceUserJWK", { id: other, key_id: kid }, frontier)).toMatchObject(notFound);
    expect(await call("DeleteServiceUserJWK", { id, key_id: kid }, frontier)).toMatchObject({
      status: 200,
      json: {},
    });
    expect(await call("GetServiceUserJWK", { id, key_id: kid }, frontier)).toMatchObject(notFound);
  });

  it("registers a public key, and refuses a private one by the member's name", async () => {
    const id = await createMachine();
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const public_jwk = pair.publicKey.export({ format: "jwk" });
    const registered = await call("CreateServiceUserJWK", { id, public_jwk: { ...public_jwk, kid: "mine" } });
    const { kid } = registered.json.key;
    expect(registered.json.key).toEqual({ type: "sv_ec", kid, principalId: id });
    expect(kid).not.toBe("mine");
    const leaked = pair.privateKey.export({ format: "jwk" });
    const answer = await call("CreateServiceUserJWK", { id, public_jwk: leaked });
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({ code: "invalid_argument" });
    expect(answer.text).toContain("public_jwk.d");
    expect(answer.text).not.toContain(leaked.d);
  });

  it("lists all, or a page at a time where one is asked for", async () => {
    const name = `paged-${database}`;
    await postJson(
      server,
      "/vestibule.v1.OrganizationService/CreateOrganization",
      { body: { name } },
      basic(server),
    );
    for (let index = 0; index < 3; index++) await call("CreateServiceUser", { org_id: name });
    const all = (await call("ListServiceUsers", { org_id: name })).json;
    expect(all.serviceusers).toHaveLength(3);
    expect(all).not.toHaveProperty("nextPageToken");
    const first = (await call("ListServiceUsers", { org_id: name, page_size: 2 })).json;
    const page_token = first.nextPageToken;
    const second = (await call("ListServiceUsers", { org_id: name, page_size: 2, page_token })).json;
    expect([...first.serviceusers, ...second.serviceusers]).toEqual(all.serviceusers);
    expect(second).not.toHaveProperty("nextPageToken");
    for (const page_size of [-1, 201]) {
      expect((await call("ListServiceUsers", { org_id: name, page_size })).status).toBe(400);
    }
  });

  it("changes what a body has", async () => {
    const id = await createMachine();
    const update = async (body?: object) => await call("UpdateServiceUser", { id, ...(body && { body }) });
    expect((await update({ metadata: { a: 1 }, role: "manager" })).json.serviceuser).toMatchObject({
      title: "machine",
      metadata: { a: 1 },
      role: "manager",
    });
    expect((await update({ title: "" })).json.serviceuser).not.toHaveProperty("title");
    expect((await update({ metadata: {} })).json.serviceuser).not.toHaveProperty("metadata");
    expect(await update()).toMatchObject({ status: 400 });
    expect(await update({ role: "king" })).toMatchObject({ status: 400 });
  });

  it("refuses a disabled machine on every path, and takes it back", async () => {
    const id = await createMachine();
    const { secret } = (await call("CreateServiceUserCredential", { id })).json;
    const { token } = (await call("CreateServiceUserToken", { id })).json;
    const credential = basic({ clientId: secret.id, clientSecret: secret.secret });
    const granted = await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, credential);
    const paths = [
      credential,
      { authorization: `Bearer ${token.token}` },
      { authorization: `Bearer ${granted.json.accessToken}` },
    ];
    const statuses = async () => {
      const answers = await Promise.all(paths.map((header) => postJson(server, whoAmI, {}, header)));
      return answers.map(({ status, json }) => `${status} ${json.message ?? ""}`);
    };
    expect(await statuses()).toEqual(["200 ", "200 ", "200 "]);
    const disabled = await call("DisableServiceUser", { id });
    expect(disabled.json.serviceuser.state).toBe("disabled");
    expect(new Set(await statuses())).toEqual(new Set(["403 not authorized"]));
    await call("EnableServiceUser", { id });
    expect(await statuses()).toEqual(["200 ", "200 ", "200 "]);
  });

  it("rotates: both for the overlap, a day unless stated", async () => {
    const id = await createMachine();
    const old = (await call("CreateServiceUserCredential", { id, title: "s" })).json.secret;
    const rotate = (message: object) =>
      call("RotateServiceUserCredential", { id, secret_id: old.id, ...message });
    const { secret, replaced } = (await rotate({})).json;
    expect(secret).toMatchObject({ title: "s", secret: expect.stringMatching(/^vsts_/) });
    expect(replaced).not.toHaveProperty("secret");
    const overlapMs = Date.parse(replaced.expiresAt) - Date.parse(secret.createdAt);
    expect(overlapMs).toBe(86_400_000);
    const prove = ({ id: clientId }: { id: string }, clientSecret: string) =>
      postJson(server, whoAmI, {}, basic({ clientId, clientSecret }));
    expect((await prove(old, old.secret)).status).toBe(200);
    expect((await prove(secret, secret.secret)).status).toBe(200);
    for (const overlap_seconds of [-1, 2_592_001])
      expect((await rotate({ overlap_seconds })).status).toBe(400);
    await rotate({ overlap_seconds: 0 });
    expect(await prove(old, old.secret)).toMatchObject(refused);
    expect((await prove(secret, secret.secret)).status).toBe(200);
  });

  it("the commands of docs/service-users.md do what they say", async () => {
    const blocks = readBlocks("docs/service-users.md", "sh");
    const folder = mkdtempSync(join(tmpdir(), "vestibule-docs-"));
    const variables: Record<string, string> = { KEY_FILE: join(folder, "signer.pem") };
    const answers = [];
    for (const block of blocks) {
      const answer = JSON.parse(await runShell(block, server, variables));
      expect(answer).not.toHaveProperty("code");
      answers.push(answer);
      variables.SERVICE_USER_ID ??= answer.serviceuser?.id;
      variables.SECRET_ID ??= answer.secret?.id;
    }
    const [created, secret, token, made, registered, rotated, usage, deleted, disabled] = answers;
    expect(answers).toHaveLength(9);
    expect(created.serviceuser).toMatchObject({ title: "CI", metadata: { team: "build" } });
    expect(secret.secret.expiresAt).toBe("2099-01-01T00:00:00Z");
    expect(token.token.token).toMatch(/^vstt_/);
    expect(made.key.privateKey).toMatch(/^-----BEGIN PRIVATE KEY-----/);
    expect(registered.key).toMatchObject({ type: "sv_okp" });
    const { keys } = (
      await call("GetServiceUserJWK", { id: created.serviceuser.id, key_id: registered.key.kid })
    ).json;
    const kept = createPublicKey(readFileSync(variables.KEY_FILE ?? "", "utf8"));
    expect(keys[0].x).toBe(kept.export({ format: "jwk" }).x);
    rmSync(folder, { recursive: true });
    expect(rotated.replaced.id).toBe(secret.secret.id);
    expect(usage.credentials).toHaveLength(5);
    expect(deleted).toEqual({});
    expect(disabled.serviceuser.state).toBe("disabled");
  });
});

it("credentials live as long as is configured, the bootstrap credential for good", async () => {
  const config = { authentication: { credentials: { validity: "1h", longest_validity: "24h" } } };
  await using server = await startServer({ config });
  const call = (method: string, message: object) =>
    postJson(server, `${own}/${method}`, { org_id, ...message }, basic(server));
  const { id } = (await call("CreateServiceUser", {})).json.serviceuser;
  const { secret } = (await call("CreateServiceUserCredential", { id })).json;
  expect(Date.parse(secret.expiresAt) - Date.parse(secret.createdAt)).toBe(3_600_000);
  const expires_at = new Date(Date.now() + 2 * 86_400_000).toISOString();
  expect(await call("CreateServiceUserToken", { id, expires_at })).toMatchObject({
    status: 400,
    json: { code: "invalid_argument", message: "expires_at: must be at most 86400 seconds away" },
  });
  const { serviceuser } = (await postJson(server, whoAmI, {}, basic(server))).json;
  const { secrets } = (await call("ListServiceUserCredentials", { id: serviceuser.id })).json;
  expect(secrets).toMatchObject([{ id: server.clientId }]);
  expect(secrets[0]).not.toHaveProperty("expiresAt");
});

describe("two processes on one Postgres", () => {
  let first: TestServer;
  let second: TestServer;

  beforeAll(async () => {
    const config = { public_url: "https://id.example.org" };
    first = await startServer({ database: "postgres", config });
    second = await startServer({ state: first.state, config });
  });
  afterAll(async () => {
    await second?.stop();
    await first?.[Symbol.asyncDispose]();
  });

  it.each([
    ["DeleteServiceUserToken", { rpc: 401, made: 401 }],
    ["DisableServiceUser", { rpc: 403, made: 403 }],
    ["DeleteServiceUser", { rpc: 401, made: 404 }],
    ["DisableOrganization", { rpc: 400, made: 400 }],
    ["DeleteOrganization", { rpc: 401, made: 404 }],
  ])("%s in one is refused in the other within a second, on every path", async (method, expected) => {
    const call = (name: string, message: object, service = "ServiceUserService") =>
      postJson(first, `/vestibule.v1.${service}/${name}`, message, basic(first));
    const name = `org-${method.toLowerCase()}`;
    const { organization } = (await call("CreateOrganization", { body: { name } }, "OrganizationService"))
      .json;
    const org = { org_id: organization.id };
    const { id } = (await call("CreateServiceUser", org)).json.serviceuser;
    const { token } = (await call("CreateServiceUserToken", { id, ...org })).json;
    const opaque = { authorization: `Bearer ${token.token}` };
    const { accessToken } = (await postJson(first, authToken, {}, opaque)).json;
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const introspect = async (text: string) => {
      const sent = { headers: { ...form, ...basic(second) }, body: `token=${text}` };
      return (await send(`${second.url}/oauth2/introspect`, sent)).json.active;
    };
    const inSecond = async () => ({
      rpc: (await postJson(second, whoAmI, {}, opaque)).status,
      made: (await postJson(second, whoAmI, {}, { "x-user-token": accessToken })).status,
      exchange: (await postJson(second, authToken, {}, opaque)).status,
      oauth: (
        await send(`${second.url}/oauth2/token`, {
          headers: { ...form, ...basic({ clientId: id, clientSecret: token.token }) },
          body: "grant_type=client_credentials",
        })
      ).status,
      introspected: [await introspect(token.token), await introspect(accessToken)],
    });
    const good = { rpc: 200, made: 200, exchange: 200, oauth: 200, introspected: [true, true] };
    expect(await inSecond()).toEqual(good);
    const isOfOrganization = method.endsWith("Organization");
    const done = isOfOrganization
      ? await call(method, { id: organization.id }, "OrganizationService")
      : await call(method, { id, ...org, ...(method.endsWith("Token") && { token_id: token.id }) });
    expect(done.status, done.text).toBe(200);
    await expect.poll(inSecond, { timeout: 5000, interval: 20 }).toEqual({
      ...expected,
      exchange: expected.rpc,
      oauth: 401,
      introspected: [false, false],
    });
  });
});
