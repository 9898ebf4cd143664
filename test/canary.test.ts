/**
 * No secret leaves by the back door: of every kind one is made, used well,
 * used badly and put where it does not belong, over every surface; then all
 * that the server printed, counted, recorded, traced, stored and answered in
 * refusal is searched for each of them.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { importPKCS8, SignJWT } from "jose";
import { expect, it } from "vitest";
import { startCollector } from "./parts/collector.ts";
import { createFrontdoor } from "./parts/gate.ts";
import { GateVisitor, joinDefault } from "./parts/gate-visitor.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { openTransport } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";
import { startStandIn } from "./parts/stand-in.ts";

const own = "/vestibule.v1";
const alias = "/raystack.frontier.v1beta1.FrontierService";
const formType = { "content-type": "application/x-www-form-urlencoded" };
const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Every refusal's headers and body, as one text each. */
const refusals: string[] = [];

/** Notes what a refusal says; answers it. */
function heard(answer: Answer): Answer {
  if (answer.status >= 400) refusals.push(JSON.stringify(answer.headers) + answer.text);
  return answer;
}

/** Keys that the test knows, so that it can search for them. */
const keys = {
  encryption: randomBytes(32).toString("base64url"),
  sessionHash: randomBytes(24).toString("base64url"),
  sessionBlock: randomBytes(24).toString("base64url"),
  collector: randomBytes(24).toString("base64url"),
  atProvider: randomBytes(24).toString("base64url"),
};

interface Machine {
  readonly id: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly opaqueToken: string;
  readonly kid: string;
  readonly privateKey: string;
}

async function createMachine(server: TestServer, service: string): Promise<Machine> {
  const call = async (method: string, message: object) => {
    const answer = await postJson(server, `${service}/${method}`, message, basic(server));
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  };
  const { serviceuser } = await call("CreateServiceUser", { org_id: "default", body: { title: "Canary" } });
  const of = { id: serviceuser.id, org_id: "default", title: "canary" };
  const { secret } = await call("CreateServiceUserCredential", of);
  const { token } = await call("CreateServiceUserToken", of);
  const { key } = await call("CreateServiceUserJWK", of);
  return {
    id: serviceuser.id,
    clientId: secret.id,
    clientSecret: secret.secret,
    opaqueToken: token.token,
    kid: key.kid,
    privateKey: key.privateKey ?? key.private_key,
  };
}

/** Makes what lets visitors and proxies in at a frontdoor. */
async function createDoorSecrets(server: TestServer): Promise<{ apiKey: string; proxyToken: string }> {
  const post = async (path: string, body: object) => {
    const headers = { "content-type": "application/json", ...basic(server) };
    const answer = await send(`${server.url}${path}`, { headers, body: JSON.stringify(body) });
    expect(answer.status, answer.text).toBe(201);
    return answer.json;
  };
  const { id: door } = await post("/frontdoor", {});
  const draft = { name: "keys", type: "API_KEY", data: {} };
  const { id: provider } = await post(`/frontdoor/${door}/auth-providers`, draft);
  const { key } = await post(`/frontdoor/${door}/auth-providers/${provider}/api-keys`, {});
  const { token } = await post(`/frontdoor/${door}/proxy-tokens`, {});
  return { apiKey: key, proxyToken: token };
}

/** An assertion of the machine's; `sub` may be another's. */
async function sign(machine: Machine, audience: string, sub = machine.id): Promise<string> {
  const key = await importPKCS8(machine.privateKey, "RS256").catch(() =>
    importPKCS8(machine.privateKey, "ES256"),
  );
  const alg = key.algorithm.name.startsWith("RSA") ? "RS256" : "ES256";
  return await new SignJWT({})
    .setProtectedHeader({ alg, kid: machine.kid })
    .setIssuer(machine.id)
    .setSubject(sub)
    .setAudience(audience)
    .setJti(randomBytes(8).toString("hex"))
    .setIssuedAt()
    .setExpirationTime("5m")
    .sign(key);
}

const sendForm = (server: TestServer, path: string, form: Record<string, string>, headers = {}) =>
  send(`${server.url}${path}`, {
    headers: { ...formType, ...headers },
    body: new URLSearchParams(form).toString(),
  }).then(heard);

/** Uses every credential well, and answers the tokens that came of it. */
async function useWell(server: TestServer, machine: Machine): Promise<string[]> {
  const issuer = `http://localhost:${server.port}`;
  const { clientId: client_id, clientSecret: client_secret } = machine;
  const assertions = await Promise.all(Array.from({ length: 3 }, () => sign(machine, issuer)));
  const [forRpc = "", forGrant = "", forClient = ""] = assertions;
  const answers = [
    await postJson(server, `${own}.AuthService/AuthToken`, {}, basic(machine)),
    await postJson(server, `${alias}/AuthToken`, {
      grant_type: "client_credentials",
      client_id,
      client_secret,
    }),
    await postJson(
      server,
      `${own}.AuthService/AuthToken`,
      {},
      { authorization: `Bearer ${machine.opaqueToken}` },
    ),
    await postJson(server, `${own}.AuthService/AuthToken`, { grant_type: jwtBearer, assertion: forRpc }),
    await sendForm(server, "/oauth2/token", { grant_type: "client_credentials", client_id, client_secret }),
    await sendForm(server, "/oauth2/token", { grant_type: jwtBearer, assertion: forGrant }),
    await sendForm(server, "/oauth2/token", {
      grant_type: "client_credentials",
      client_assertion: forClient,
      client_assertion_type: assertionType,
    }),
  ];
  for (const answer of answers) expect(answer.status, answer.text).toBe(200);
  const tokens = answers.map(({ json }) => json.access_token ?? json.accessToken);
  const [first = ""] = tokens;
  const whoami = await postJson(server, `${own}.AuthService/GetCurrentUser`, {}, { "x-user-token": first });
  expect(whoami.status).toBe(200);
  const introspected = await sendForm(server, "/oauth2/introspect", { token: first }, basic(machine));
  expect(introspected.json).toMatchObject({ active: true });
  using opened = openTransport(server.url, "gRPC", "h2c");
  const auth = createClient(AuthService, opened.transport);
  await auth.getCurrentUser({}, { headers: { authorization: `Bearer ${first}` } });
  return [...tokens, ...assertions];
}

/** Puts a text where it does not belong, everywhere a caller can put one. */
async function misplace(server: TestServer, text: string, asManager: Record<string, string>): Promise<void> {
  const rpc = (method: string, message: unknown, headers = {}) =>
    postJson(server, `${own}.${method}`, message, headers).then(heard);
  const broken = text.slice(0, -2);
  const encoded = Buffer.from(`${text}:${text}`).toString("base64");
  for (const authorization of [
    `Bearer ${broken}`,
    `Basic ${encoded}`,
    `Basic ${text}`,
    `Digest ${text}`,
    text,
    basic({ clientId: server.clientId, clientSecret: broken }).authorization,
  ]) {
    await rpc("AuthService/GetCurrentUser", {}, { authorization });
    await rpc("AuthService/AuthToken", {}, { authorization });
    await sendForm(server, "/oauth2/token", { grant_type: "client_credentials" }, { authorization });
    await sendForm(server, "/oauth2/introspect", { token: text }, { authorization });
    await sendForm(server, "/oauth2/revoke", { token: text }, { authorization });
  }
  await rpc("AuthService/GetCurrentUser", {}, { "x-user-token": broken });
  await rpc("AuthService/GetCurrentUser", {}, { cookie: `sid=${text}` });
  await rpc("AuthService/GetCurrentUser", {}, { "x-api-key": text, "x-vestibule-proxy-token": text });
  await rpc("AuthService/AuthToken", {}, { ...asManager, "x-project": text });
  await rpc("AuthService/AuthToken", { grant_type: text, client_id: text, client_secret: text });
  await rpc("AuthService/AuthToken", {
    grant_type: "client_credentials",
    client_id: text,
    client_secret: text,
  });
  await rpc("AuthService/AuthToken", { grant_type: jwtBearer, assertion: text });
  await rpc("AuthService/AuthToken", { [text]: text });
  await rpc("AuthService/AuthToken", `{"client_secret": "${text}`);
  const ids = { id: text, org_id: text, key_id: text, secret_id: text, token_id: text };
  for (const method of [
    "GetServiceUser",
    "ListServiceUsers",
    "DeleteServiceUser",
    "GetServiceUserJWK",
    "DeleteServiceUserCredential",
    "DeleteServiceUserToken",
  ]) {
    await rpc(`ServiceUserService/${method}`, ids, asManager);
    await postJson(server, `${alias}/${method}`, ids, asManager).then(heard);
  }
  await rpc(
    "ServiceUserService/CreateServiceUserJWK",
    { ...ids, public_jwk: { kty: "oct", k: text } },
    asManager,
  );
  await rpc("OrganizationService/GetOrganization", { id: text }, asManager);
  await rpc("AuditService/ListAuditRecords", { org_id: "default", page_token: text }, asManager);
  await sendForm(server, "/oauth2/token", { grant_type: text, client_id: text });
  await sendForm(server, "/oauth2/token", {
    grant_type: "client_credentials",
    client_assertion: text,
    client_assertion_type: assertionType,
  });
  // What is no request: the parser refuses it, with all that it has read in its error.
  for (const bytes of [`BREW / HTTP/1.1\r\nAuthorization: ${text}\r\n\r\n`, `${text}\r\n\r\n`]) {
    const socket = connect(server.port, "127.0.0.1").on("error", () => {});
    socket.end(bytes);
    await once(socket.resume(), "close");
  }
  const traced = { traceparent: text, tracestate: `vendor=${text}`, baggage: `key=${text}` };
  await rpc("AuthService/GetCurrentUser", {}, traced);
  const query = new URLSearchParams({ client_secret: text, access_token: text, message: text }).toString();
  for (const path of [
    "/oauth2/token",
    "/healthz",
    "/metrics",
    "/nowhere",
    `${own}.AuthService/GetCurrentUser`,
  ]) {
    heard(await send(`${server.url}${path}?${query}`));
  }
}

/** Comes back from providers that refuse by repeating all that they were sent. Answers what they were sent. */
async function failAtProviders(server: TestServer): Promise<Record<string, string>> {
  const sent: Record<string, string> = {};
  for (const name of ["echo", "plain"]) {
    const person = new Person(server);
    const begin = async () => {
      const callbackUrl = `http://localhost:${server.port}/auth/callback/${name}`;
      const begun = await person.call("Authenticate", { strategyName: name, callbackUrl });
      expect(begun.status, begun.text).toBe(200);
      return new URL(begun.json.endpoint).searchParams;
    };
    const comeBack = async (brought: Record<string, string>) => {
      const page = heard(await person.send(`/auth/callback/${name}?${new URLSearchParams(brought)}`));
      expect(page.text).toContain("refused this site");
    };
    const [first, second] = [await begin(), await begin()];
    const code = randomBytes(24).toString("base64url");
    await comeBack({ state: first.get("state") ?? "", code });
    const state = second.get("state") ?? "";
    await comeBack({ state, error: "invalid_scope", error_description: `not in ${state}` });
    const nonce = first.get("nonce") ?? code;
    Object.assign(sent, {
      [`code of ${name}`]: code,
      [`state of ${name}`]: state,
      [`nonce of ${name}`]: nonce,
    });
  }
  return sent;
}

/** Comes in at an app by browser, and answers what the browser holds then: of the app, and of a login there. */
async function comeIn(server: TestServer): Promise<{
  readonly session: string;
  readonly flow: string;
  /** Of the person: a personal access token, what it was before it was made anew, and an access token of it. */
  readonly personal: readonly string[];
}> {
  const [hostname, origin] = ["people.example.com", "https://people.example.com"];
  const frontdoor = await createFrontdoor(server, { hostname, scheme: "https" });
  const visitor = new GateVisitor(server, { origin, frontdoor });
  await visitor.person.signIn("canary@example.org");
  await joinDefault(visitor, basic(server));
  expect(await visitor.open(`${origin}/x`)).toMatchObject({ status: 200, url: `${origin}/x` });
  const cookies = visitor.jar(hostname);
  const session = cookies.get("__Host-vestibule") ?? "";
  const flow = cookies.get("__Host-vestibule-flow")?.split(".")[0] ?? "";
  heard(await visitor.hop(`${origin}/.vestibule/finish?code=${session}`));
  const personal = await createPersonalTokens(server, visitor.person);
  await visitor.person.call("AuthLogout");
  heard(await visitor.hop(`${origin}/x`));
  return { session, flow, personal };
}

async function createPersonalTokens(server: TestServer, person: Person): Promise<string[]> {
  const { organization } = (
    await postJson(server, `${own}.OrganizationService/GetOrganization`, { id: "default" }, basic(server))
  ).json;
  const call = (method: string, message: object) =>
    postJson(server, `${own}.PersonalTokenService/${method}`, message, person.headers());
  const expires_at = new Date(Date.now() + 86_400_000).toISOString();
  const scopes = [{ role_id: "48cf69c9-ee22-5e93-ae8e-fa03c588a12c", resource_type: "app/organization" }];
  const made = await call("CreateCurrentUserPAT", {
    title: "canary",
    org_id: organization.id,
    expires_at,
    scopes,
  });
  const former: string = made.json.pat.token;
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const used = await postJson(server, `${own}.AuthService/AuthToken`, {}, bearer(former));
  const anew = await call("RegenerateCurrentUserPAT", { id: made.json.pat.id, expires_at });
  heard(await postJson(server, `${own}.AuthService/GetCurrentUser`, {}, bearer(former)));
  return [anew.json.pat.token, former, used.json.accessToken];
}

/** What of a secret would give it away: the whole, its telling part, and its bytes as a parser's error has them. */
function formsOf(secret: string): string[] {
  if (secret.includes("PRIVATE KEY"))
    return secret.split("\n").filter((line) => !line.startsWith("-") && line !== "");
  const parts = secret.split(".");
  const bytes = [...Buffer.from(secret)].join(",");
  if (parts.length === 3) return [secret, bytes, parts[2] ?? ""];
  return [secret, bytes];
}

it("prints, counts, records, traces, stores and answers no secret", { timeout: 60_000 }, async () => {
  await using collector = await startCollector();
  const verifiers: string[] = [];
  await using echo = await startStandIn(({ path, form, headers }, origin) => {
    const own = {
      authorization_endpoint: `${origin}/a`,
      token_endpoint: `${origin}/t`,
      jwks_uri: `${origin}/k`,
    };
    if (path.startsWith("/.well-known/")) return { body: { issuer: origin, ...own } };
    verifiers.push(form.get("code_verifier") ?? "");
    const error_description = `not with ${form} nor ${headers.authorization ?? ""}, nor '${form.get("code")}'`;
    return { status: 400, body: { error: "invalid_request", error_description } };
  });
  await using server = await startServer({
    env: {
      VESTIBULE_ENCRYPTION_KEY: keys.encryption,
      OTEL_TRACES_EXPORTER: "otlp,console",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=${keys.collector}`,
    },
    config: {
      log: { level: "debug", format: "json" },
      authentication: {
        oidc_config: {
          echo: { issuer_url: echo.origin, client_id: "c", client_secret: keys.atProvider },
          plain: {
            authorization_url: `${echo.origin}/a`,
            token_url: `${echo.origin}/t`,
            userinfo_url: `${echo.origin}/u`,
            claims: { subject: "id" },
            client_id: "c",
            client_secret: keys.atProvider,
            client_authentication: "client_secret_post",
          },
        },
        session: { hash_secret_key: keys.sessionHash, block_secret_key: keys.sessionBlock },
      },
      limits: {
        failed_credentials_per_client_per_minute: 100_000,
        failed_credentials_per_address_per_minute: 100_000,
      },
    },
  });
  const machines = [
    await createMachine(server, `${own}.ServiceUserService`),
    await createMachine(server, alias),
  ];
  const issued = (await Promise.all(machines.map((machine) => useWell(server, machine)))).flat();
  const [machine] = machines;
  if (machine === undefined) throw new Error("no machine was made");
  const { json: rotated } = await postJson(
    server,
    `${own}.ServiceUserService/RotateServiceUserCredential`,
    { id: machine.id, org_id: "default", secret_id: machine.clientId },
    basic(server),
  );
  const { apiKey, proxyToken } = await createDoorSecrets(server);
  const visit = await comeIn(server);
  const atProviders = await failAtProviders(server);
  expect(verifiers.filter((verifier) => verifier !== "")).toHaveLength(2);
  const foreign = await sign(machine, "https://elsewhere.example.com");

  const secrets = {
    "the bootstrap secret": server.clientSecret,
    "the encryption key": keys.encryption,
    "a session key": keys.sessionHash,
    "the other session key": keys.sessionBlock,
    "the collector's key": keys.collector,
    "a client's secret at a provider": keys.atProvider,
    ...atProviders,
    ...Object.fromEntries(verifiers.map((verifier, index) => [`PKCE verifier ${index}`, verifier])),
    "a rotated secret": rotated.secret.secret,
    "an assertion for elsewhere": foreign,
    "an API key": apiKey,
    "a proxy token": proxyToken,
    "a session at a frontend": visit.session,
    "a login at a frontend": visit.flow,
    ...Object.fromEntries(
      machines.flatMap((each, index) => [
        [`client secret ${index}`, each.clientSecret],
        [`opaque token ${index}`, each.opaqueToken],
        [`private key ${index}`, each.privateKey],
      ]),
    ),
    ...Object.fromEntries(visit.personal.map((token, index) => [`personal token ${index}`, token])),
    ...Object.fromEntries(issued.map((token, index) => [`token or assertion ${index}`, token])),
  };
  const misplaced = [
    machine.clientSecret,
    machine.opaqueToken,
    issued[0] ?? "",
    foreign,
    server.clientSecret,
    apiKey,
    proxyToken,
    visit.session,
    ...visit.personal.slice(0, 2),
  ];
  for (const text of misplaced) await misplace(server, text, basic(server));

  const metrics = (await send(`${server.url}/metrics`)).text;
  const audit = await postJson(
    server,
    `${own}.AuditService/ListAuditRecords`,
    { org_id: "default", page_size: 200 },
    basic(server),
  );
  expect(await server.stop()).toBe(0);
  const files = readdirSync(server.state.dataDir).filter((name) => name.startsWith("vestibule.db"));
  const database = Buffer.concat(files.map((name) => readFileSync(join(server.state.dataDir, name))));
  const places: Record<string, Buffer> = {
    stdout: Buffer.from(server.stdout()),
    stderr: Buffer.from(server.stderr()),
    metrics: Buffer.from(metrics),
    "audit records": Buffer.from(audit.text),
    spans: Buffer.concat(collector.bodies),
    refusals: Buffer.from(refusals.join("\n")),
    database,
  };

  // The search finds what is there: a client id is no secret, and is kept by all but the metrics.
  for (const place of ["audit records", "database"]) {
    expect(places[place]?.includes(machine.clientId), place).toBe(true);
  }
  expect(server.stdout()).toContain("RotateServiceUserCredential");
  expect(metrics).toContain("vestibule_requests_total");
  expect(collector.spans.length).toBeGreaterThan(300);
  expect(collector.spans.some(({ name }) => name === "SELECT service_user_credentials")).toBe(true);
  expect(collector.requests[0]?.headers.authorization).toBe(keys.collector);
  expect(database.includes("credential.refuse")).toBe(true);
  expect(refusals.length).toBeGreaterThan(200);

  const needles = Object.entries(secrets).flatMap(([name, secret]) => {
    expect(secret, name).toMatch(/.{16}/);
    return formsOf(secret).map((form) => [name, Buffer.from(form)] as const);
  });
  needles.push(["the encryption key's bytes", Buffer.from(keys.encryption, "base64url")]);
  for (const each of machines) {
    needles.push(["a Basic header", Buffer.from(basic(each).authorization.slice("Basic ".length))]);
  }
  const leaks = needles.flatMap(([name, needle]) =>
    Object.entries(places)
      .filter(([, text]) => text.includes(needle))
      .map(([place]) => `${name} in ${place}`),
  );
  expect(leaks).toEqual([]);
});
