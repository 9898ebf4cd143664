/**
 * A proxy token is good at the gate of its frontdoor and nowhere else, in
 * whatever place a credential can stand in: a proxy that leaks it has let
 * nobody in, and nobody has become the service.
 */
import { ConnectError, createClient } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { openTransport } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const rpcMethods = ["AuthService/GetCurrentUser", "FrontdoorService/ListFrontdoors"];

let server: TestServer;
let door: string;
/** With its token in clear. */
let made: { readonly id: string; readonly token: string };

beforeAll(async () => {
  server = await startServer({
    config: {
      limits: {
        failed_credentials_per_client_per_minute: 100_000,
        failed_credentials_per_address_per_minute: 100_000,
      },
    },
  });
  door = (await rest("POST", "/frontdoor", {})).json.id;
  const answer = await rest("POST", `/frontdoor/${door}/proxy-tokens`, { title: "edge" });
  expect(answer).toMatchObject({ status: 201, json: { title: "edge" } });
  expect(answer.headers.location).toBe(`/frontdoor/${door}/proxy-tokens/${answer.json.id}`);
  made = answer.json;
});
afterAll(() => server.stop());

async function rest(method: string, path: string, body?: object, headers: object = basic(server)) {
  return await send(`${server.url}${path}`, {
    method,
    headers: { ...headers, ...(body && { "content-type": "application/json" }) },
    body: body && JSON.stringify(body),
  });
}

async function postForm(path: string, form: Record<string, string>, headers: object = {}): Promise<Answer> {
  return await send(`${server.url}${path}`, {
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
    body: new URLSearchParams(form).toString(),
  });
}

const bearer = () => ({ authorization: `Bearer ${made.token}` });

/** A frontend at app.example.com that accepts a provider of each type. */
async function makeFrontend(at: string, types: readonly string[]): Promise<string> {
  const authProviderIds: string[] = [];
  for (const type of types) {
    const made = await rest("POST", `/frontdoor/${at}/auth-providers`, {
      name: `at ${type}`,
      type,
      data: {},
    });
    authProviderIds.push(made.json.id);
  }
  const draft = { hostname: "app.example.com", authProviderIds };
  return (await rest("POST", `/frontdoor/${at}/custom-frontends`, draft)).json.id;
}

/** Every way to present a text as one's credential. */
const presented: readonly (readonly [string, () => Record<string, string>])[] = [
  ["a bearer token", bearer],
  ["the secret of its own id", () => basic({ clientId: made.id, clientSecret: made.token })],
  ["the secret of somebody else", () => basic({ clientId: server.clientId, clientSecret: made.token })],
  ["a client id", () => basic({ clientId: made.token, clientSecret: made.token })],
  ["X-User-Token", () => ({ "x-user-token": made.token })],
  ["a session", () => ({ cookie: `sid=${made.token}` })],
];

describe("a proxy token", () => {
  it.each(presented)("is no credential of RPC and REST as %s", async (_name, headers) => {
    for (const method of rpcMethods) {
      const answer = await postJson(server, `/vestibule.v1.${method}`, {}, headers());
      expect(answer).toMatchObject({ status: 401, json: { code: "unauthenticated" } });
    }
    const alias = "/raystack.frontier.v1beta1.FrontierService/GetCurrentUser";
    expect((await postJson(server, alias, {}, headers())).status).toBe(401);
    for (const path of ["/frontdoor", `/frontdoor/${door}`, `/frontdoor/${door}/proxy-tokens`]) {
      expect((await rest("GET", path, undefined, headers())).status, path).toBe(401);
    }
    using opened = openTransport(server.url, "gRPC", "h2c");
    const call = createClient(AuthService, opened.transport).getCurrentUser({}, { headers: headers() });
    await expect(call).rejects.toThrow(ConnectError);
  });

  it.each(presented)("is no credential of OAuth as %s", async (_name, headers) => {
    const grants = [
      { grant_type: "client_credentials" },
      { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: made.token },
    ];
    for (const grant of grants) {
      const answer = await postForm("/oauth2/token", grant, headers());
      expect([400, 401], answer.text).toContain(answer.status);
      expect(answer.json).not.toHaveProperty("access_token");
    }
    const introspected = await postForm("/oauth2/introspect", { token: made.token }, headers());
    expect(introspected.status).toBe(401);
  });

  it("is no client's secret in a form, and no token to those who may ask", async () => {
    for (const client_id of [made.id, server.clientId, made.token]) {
      const form = { grant_type: "client_credentials", client_id, client_secret: made.token };
      expect((await postForm("/oauth2/token", form)).status).toBe(401);
      const { grant_type: grantType, client_id: clientId, client_secret: clientSecret } = form;
      const request = { grantType, clientId, clientSecret };
      expect((await postJson(server, "/vestibule.v1.AuthService/AuthToken", request)).status).toBe(401);
    }
    const introspected = await postForm("/oauth2/introspect", { token: made.token }, basic(server));
    expect(introspected.json).toEqual({ active: false });
    // RFC 7009 §2.2: what is no token of the client's is answered well, and stays.
    expect((await postForm("/oauth2/revoke", { token: made.token }, basic(server))).status).toBe(200);
    const { proxyTokens } = (await rest("GET", `/frontdoor/${door}/proxy-tokens`)).json;
    expect(proxyTokens).toMatchObject([{ id: made.id }]);
  });

  it("lets no visitor in, whatever type of provider judges it", async () => {
    for (const [type, sample] of [
      ["VESTIBULE", { token: made.token }],
      ["API_KEY", { apiKey: made.token }],
    ] as const) {
      const draft = { name: type, type, data: {} };
      const provider = (await rest("POST", `/frontdoor/${door}/auth-providers`, draft)).json.id;
      const path = `/frontdoor/${door}/auth-providers/${provider}:test`;
      const { json } = await rest("POST", path, { sample });
      expect(json, JSON.stringify(json)).toMatchObject({ ok: false });
      expect(json.checks.at(-1)).toMatchObject({ name: "sample", ok: false });
      expect(JSON.stringify(json)).not.toContain(made.token);
    }
  });

  it("proves a proxy at the gate of its frontdoor, and no visitor there", async () => {
    const own = await makeFrontend(door, ["VESTIBULE", "API_KEY"]);
    const other = (await rest("POST", "/frontdoor", {})).json.id;
    await makeFrontend(other, ["VESTIBULE"]);
    const ask = (at: string, headers: Record<string, string | string[]>) =>
      send(`${server.url}/frontdoor/${at}/gate/forward-auth`, {
        headers: {
          "x-forwarded-proto": "https",
          "x-forwarded-host": "app.example.com",
          "x-forwarded-uri": "/",
          "x-forwarded-method": "GET",
          ...headers,
        },
      });
    const proven = { "x-vestibule-proxy-token": made.token };
    expect((await ask(door, { ...proven, ...basic(server) })).status).toBe(200);
    expect((await ask(door, proven)).status).toBe(401);
    for (const [at, headers] of [
      [door, {}],
      [other, proven],
      [own, proven],
      [door, { "x-vestibule-proxy-token": [made.token, made.token] }],
      [door, { "x-vestibule-proxy-token": made.token.slice(0, -1) }],
      [door, { "x-vestibule-proxy-token": "" }],
    ] as const) {
      const answer = await ask(at, { ...headers, ...basic(server) } as Record<string, string>);
      expect(answer.status, JSON.stringify(headers)).toBe(403);
    }
    for (const [name, headers] of presented.slice(0, 4)) {
      expect((await ask(door, { ...proven, ...headers() })).status, name).toBe(401);
    }
    expect((await ask(door, { ...proven, "x-api-key": made.token })).status).toBe(401);
  });

  it("is in the answer that made it, and in no other", async () => {
    const listed = await rest("GET", `/frontdoor/${door}/proxy-tokens`);
    expect(listed.text).not.toContain(made.token);
    const { proxyTokens } = listed.json;
    expect(proxyTokens[0]).not.toHaveProperty("token");
    const second = await rest("POST", `/frontdoor/${door}/proxy-tokens`, {});
    expect(second.status).toBe(201);
    expect(await rest("POST", `/frontdoor/${door}/proxy-tokens`, {})).toMatchObject({ status: 429 });
    const one = `/frontdoor/${door}/proxy-tokens/${second.json.id}`;
    expect(await rest("DELETE", one)).toMatchObject({ status: 204, text: "" });
    expect(await rest("DELETE", one)).toMatchObject({ status: 404, json: { error: "not_found" } });
  });
});
