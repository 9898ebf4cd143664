/** The gate from outside: what a proxy asks of a running server, and what its answers are good for. */
import {
  createLocalJWKSet,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  type JWK,
  jwtVerify,
  SignJWT,
} from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const host = "app.example.com";
const issuer = "https://issuer.example.com";

describe.each(["sqlite", "postgres"] as const)("the gate on %s", (database) => {
  let server: TestServer;
  let door: string;
  let proxyToken: { id: string; token: string };
  let jwtProvider: string;
  let key: Awaited<ReturnType<typeof generateKeyPair>>;
  let ownToken: string;

  beforeAll(async () => {
    server = await startServer({ database, config: { gate: { reason_header: true } } });
    key = await generateKeyPair("ES256");
    const jwks = {
      keys: [{ ...(await exportJWK(key.publicKey)), kid: "k1", alg: "ES256", use: "sig" } as JWK],
    };
    door = (await create("/frontdoor", {})).json.id;
    jwtProvider = await createProvider("issuer", "JWT", { issuer, audiences: ["app"], jwks });
    const providers = [jwtProvider, await createProvider("ours", "VESTIBULE", {})];
    await createFrontend(host, providers, { publicPaths: ["/public/*"] });
    proxyToken = (await create(`/frontdoor/${door}/proxy-tokens`, { title: "edge" })).json;
    const form = {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", ...basic(server) },
    };
    ownToken = (await send(`${server.url}/oauth2/token`, { ...form, body: "grant_type=client_credentials" }))
      .json.access_token;
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  async function create(path: string, body: object): Promise<Answer> {
    const answer = await postJson(server, path, body, basic(server));
    expect(answer.status, answer.text).toBe(201);
    return answer;
  }

  async function createProvider(name: string, type: string, data: object): Promise<string> {
    return (await create(`/frontdoor/${door}/auth-providers`, { name, type, data })).json.id;
  }

  async function createFrontend(hostname: string, authProviderIds: string[], policy: object): Promise<void> {
    const rest = { policy, assertionHeader: "X-JWT-Assertion" };
    await create(`/frontdoor/${door}/custom-frontends`, { hostname, authProviderIds, ...rest });
  }

  function makeToken(claims: object = {}): Promise<string> {
    const person = {
      sub: "alice",
      email: "alice@example.com",
      email_verified: true,
      name: "Al\u00eece",
      groups: ["a,b", "c"],
    };
    return new SignJWT({ aud: "app", ...person, ...claims })
      .setProtectedHeader({ alg: "ES256", kid: "k1", typ: "JWT" })
      .setIssuer(issuer)
      .setExpirationTime("10m")
      .sign(key.privateKey);
  }

  interface Visit {
    readonly target?: string;
    readonly at?: string;
    readonly headers?: Record<string, string>;
  }

  const proof = () => ({ "x-vestibule-proxy-token": proxyToken.token });

  const asks: Record<string, (visit: Visit) => Promise<Answer>> = {
    nginx: ({ target = "/", at = host, headers }) =>
      send(`${server.url}/frontdoor/${door}/gate/nginx`, {
        headers: {
          ...proof(),
          ...headers,
          "x-original-url": `https://${at}${target}`,
          "x-original-method": "GET",
        },
      }),
    "nginx's refusal": ({ target = "/", at = host, headers }) =>
      send(`${server.url}/frontdoor/${door}/gate/nginx/refusal`, {
        headers: {
          ...proof(),
          ...headers,
          "x-original-url": `https://${at}${target}`,
          "x-original-method": "GET",
        },
      }),
    "forward auth": ({ target = "/", at = host, headers }) =>
      send(`${server.url}/frontdoor/${door}/gate/forward-auth`, {
        headers: {
          ...proof(),
          ...headers,
          "x-forwarded-method": "GET",
          "x-forwarded-proto": "https",
          "x-forwarded-host": at,
          "x-forwarded-uri": target,
        },
      }),
    Envoy: ({ target = "/", at = host, headers }) =>
      send(`${server.url}/frontdoor/${door}/gate/envoy${target}`, {
        headers: { ...proof(), ...headers, host: at },
      }),
  };
  const ask = asks["forward auth"] as (visit: Visit) => Promise<Answer>;
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  it.each(["nginx", "forward auth", "Envoy"])("says by %s who comes in, in every header", async (dialect) => {
    const answer = await asks[dialect]?.({ headers: bearer(await makeToken()) });
    expect(answer).toMatchObject({
      status: 200,
      headers: {
        "cache-control": "no-store",
        "x-vestibule-subject": `${jwtProvider}:alice`,
        "x-vestibule-email": "alice@example.com",
        "x-vestibule-name": "Al%C3%AEce",
        "x-vestibule-provider": jwtProvider,
        "x-vestibule-organizations": "",
        "x-vestibule-groups": "a%2Cb,c",
        "x-vestibule-reason": "IDENTIFIED",
      },
    });
    expect(answer?.headers["x-jwt-assertion"]).toBe(answer?.headers["x-vestibule-assertion"]);
  });

  it("says it in an assertion that the app verifies by the keys under its own host", async () => {
    const token = await makeToken();
    const { headers } = await ask({ headers: bearer(token) });
    const { json } = await send(`${server.url}/frontdoor/${door}/gate/browser/jwks.json`, {
      headers: proof(),
    });
    const assertion = String(headers["x-vestibule-assertion"]);
    const { payload } = await jwtVerify(assertion, createLocalJWKSet(json), {
      typ: "vestibule-gate+jwt",
      issuer: `http://localhost:${server.port}`,
      audience: `https://${host}`,
      requiredClaims: ["exp", "iat"],
    });
    expect(payload).toMatchObject({
      sub: `${jwtProvider}:alice`,
      email: "alice@example.com",
      email_verified: true,
      name: "Al\u00eece",
      provider: jwtProvider,
      org_ids: [],
      groups: ["a,b", "c"],
    });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(60);
    expect(payload).not.toHaveProperty("gen");
    // Once for many asks.
    expect((await ask({ headers: bearer(token) })).headers["x-vestibule-assertion"]).toBe(assertion);
  });

  it("says on a public path that the gate was passed, by nobody", async () => {
    const { status, headers } = await ask({ target: "/public/a", headers: bearer("of.the.app") });
    expect([status, headers["x-vestibule-subject"], headers.authorization]).toEqual([
      200,
      "",
      "Bearer of.the.app",
    ]);
    const { json } = await send(`${server.url}/frontdoor/${door}/gate/browser/jwks.json`, {
      headers: proof(),
    });
    const { payload } = await jwtVerify(String(headers["x-vestibule-assertion"]), createLocalJWKSet(json));
    expect(Object.keys(payload).sort()).toEqual(["aud", "exp", "iat", "iss"]);
  });

  it("knows the service's own machines, and leaves nothing of what they came with", async () => {
    const { status, headers } = await ask({
      headers: { ...bearer(ownToken), cookie: "theme=dark; vestibule_flow=x" },
    });
    expect([status, headers["x-vestibule-reason"]]).toEqual([200, "IDENTIFIED"]);
    expect(headers["x-vestibule-subject"]).toMatch(/^[0-9a-f-]{36}$/);
    expect([headers.authorization, headers["x-api-key"], headers.cookie]).toEqual(["", "", "theme=dark"]);
  });

  it.each([
    ["nginx", 401, undefined],
    ["nginx's refusal", 401, "application/json"],
    ["forward auth", 401, "application/json"],
    ["Envoy", 401, "application/json"],
  ])("refuses by %s who brings nothing, or nothing good", async (dialect, status, type) => {
    for (const headers of [
      {},
      bearer("a.b.c"),
      bearer(await makeToken({ aud: "elsewhere" })),
      { cookie: "__Host-vestibule=x" },
    ]) {
      const answer = await asks[dialect]?.({ headers });
      expect(answer?.status).toBe(status);
      expect(answer?.headers["content-type"]).toBe(type);
      expect(answer?.headers["www-authenticate"]).toMatch(/^Bearer/);
      expect(
        Object.keys(answer?.headers ?? {}).filter((name) => /^x-vestibule-(?!reason)/.test(name)),
      ).toEqual([]);
    }
  });

  it("never answers a refused visitor with a success, also one who would be let in by now", async () => {
    const answer = await asks["nginx's refusal"]?.({ headers: bearer(await makeToken()) });
    expect(answer).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
    expect(answer?.headers).not.toHaveProperty("x-vestibule-subject");
  });

  it("counts its decisions by reason", async () => {
    await ask({ at: "other.example.com" });
    const metrics = (await send(`${server.url}/metrics`)).text;
    expect(metrics).toMatch(/vestibule_gate_decisions_total\{reason="UNKNOWN_HOST"\} [1-9]/);
    expect(metrics).toMatch(/route="\/frontdoor\/\{id\}\/gate\/forward-auth"/);
  });

  describe("an assertion, wherever else it is shown,", () => {
    let assertion: string;
    beforeAll(async () => {
      assertion = String((await ask({ headers: bearer(ownToken) })).headers["x-vestibule-assertion"]);
      expect(decodeProtectedHeader(assertion).typ).toBe("vestibule-gate+jwt");
    });

    it("lets nobody in at the gate, even by a provider that is told of our keys and its audience", async () => {
      const { json: jwks } = await send(`${server.url}/.well-known/jwks.json`);
      const ourselves = { issuer: `http://localhost:${server.port}`, audiences: [`https://${host}`], jwks };
      const providers = [await createProvider("ourselves", "JWT", ourselves)];
      await createFrontend("loop.example.com", providers, {});
      for (const at of [host, "loop.example.com"])
        expect((await ask({ at, headers: bearer(assertion) })).status, at).toBe(401);
    });

    it.each([
      ["REST", () => send(`${server.url}/frontdoor/${door}`, { headers: bearer(assertion) })],
      ["RPC", () => postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, bearer(assertion))],
      [
        "RPC, as a user's token",
        () => postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, { "x-user-token": assertion }),
      ],
      [
        "RPC, as a session",
        () =>
          postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, { cookie: `sid=${assertion}` }),
      ],
      ["AuthToken", () => postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, bearer(assertion))],
      [
        "AuthToken, as an assertion",
        () =>
          postJson(server, "/vestibule.v1.AuthService/AuthToken", {
            grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
            assertion,
          }),
      ],
      ["introspection, as a credential", () => oauth("introspect", { token: ownToken }, bearer(assertion))],
      [
        "the token endpoint, as a client's",
        () =>
          oauth("token", {
            grant_type: "client_credentials",
            client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            client_assertion: assertion,
          }),
      ],
    ])("is no credential for %s", async (_, call) => {
      expect((await call()).status).toBe(401);
    });

    it("is no grant, and no token that introspection knows", async () => {
      const grant = { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion };
      expect(await oauth("token", grant)).toMatchObject({ status: 400, json: { error: "invalid_grant" } });
      expect((await oauth("introspect", { token: assertion }, basic(server))).json).toEqual({
        active: false,
      });
    });

    function oauth(endpoint: string, form: Record<string, string>, headers = {}): Promise<Answer> {
      const type = { "content-type": "application/x-www-form-urlencoded" };
      return send(`${server.url}/oauth2/${endpoint}`, {
        headers: { ...type, ...headers },
        body: new URLSearchParams(form).toString(),
      });
    }
  });

  it("hears of a change before the next ask: of the provider, and of the proxy's token", async () => {
    const token = await makeToken();
    const write = (method: string, path: string, body?: object) =>
      send(`${server.url}/frontdoor/${door}${path}`, {
        method,
        headers: { "content-type": "application/json", ...basic(server) },
        body: body && JSON.stringify(body),
      });
    expect((await ask({ headers: bearer(token) })).status).toBe(200);
    await write("PATCH", `/auth-providers/${jwtProvider}`, { enabled: false });
    expect((await ask({ headers: bearer(token) })).status).toBe(401);
    await write("PATCH", `/auth-providers/${jwtProvider}`, { enabled: true });
    expect((await ask({ headers: bearer(token) })).status).toBe(200);
    await write("DELETE", `/proxy-tokens/${proxyToken.id}`);
    expect(await ask({ headers: bearer(token) })).toMatchObject({
      status: 403,
      headers: { "x-vestibule-reason": "PROXY_UNPROVEN" },
    });
  });
});
