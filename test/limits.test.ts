/** How often a machine's credential can be wrong, from outside. */
import { type EventEmitter, once } from "node:events";
import { Agent, request as requestHttp1 } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { Code, createClient } from "@connectrpc/connect";
import { RetryInfoSchema } from "@vestibule/proto/google/rpc/error_details_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { findCode, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { openTransport, refusalOf } from "./parts/rpc.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

const whoami = "/vestibule.v1.AuthService/GetCurrentUser";
const authenticate = "/vestibule.v1.AuthService/Authenticate";
const authToken = "/vestibule.v1.AuthService/AuthToken";

/** An address of a client, as a trusted proxy names it. */
const from = (address: string) => ({ "x-forwarded-for": address });
const toId = (index: number) => `019a0000-0000-7000-8000-${String(index).padStart(12, "0")}`;
const wrong = (clientId: string) => basic({ clientId, clientSecret: "wrong" });

/** Ways to present a secret, each answering the status. */
const surfaces: Record<
  string,
  (server: TestServer, id: string, secret: string, address: string) => Promise<Answer>
> = {
  "Basic on any method": (server, clientId, clientSecret, address) =>
    postJson(server, whoami, {}, { ...basic({ clientId, clientSecret }), ...from(address) }),
  "AuthToken by Basic": (server, clientId, clientSecret, address) =>
    postJson(server, authToken, {}, { ...basic({ clientId, clientSecret }), ...from(address) }),
  "AuthToken by body": (server, client_id, client_secret, address) =>
    postJson(
      server,
      authToken,
      { grant_type: "client_credentials", client_id, client_secret },
      from(address),
    ),
  "the token endpoint by Basic": (server, clientId, clientSecret, address) =>
    send(`${server.url}/oauth2/token`, {
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        ...basic({ clientId, clientSecret }),
        ...from(address),
      },
      body: "grant_type=client_credentials",
    }),
  "the token endpoint by form": (server, clientId, clientSecret, address) =>
    send(`${server.url}/oauth2/token`, {
      headers: { "content-type": "application/x-www-form-urlencoded", ...from(address) },
      body: new URLSearchParams({
        grant_type: "client_credentials",
        client_id: clientId,
        client_secret: clientSecret,
      }).toString(),
    }),
  introspection: (server, clientId, clientSecret, address) =>
    send(`${server.url}/oauth2/introspect`, {
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        ...basic({ clientId, clientSecret }),
        ...from(address),
      },
      body: "token=x",
    }),
};

describe("behind a trusted proxy", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ config: { trusted_proxies: ["127.0.0.1"] } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  it.each(Object.entries(surfaces))(
    "%s: 20 wrong secrets of a client, and no more",
    async (name, present) => {
      const address = `198.51.100.${Object.keys(surfaces).indexOf(name) + 1}`;
      for (let count = 0; count < 20; count += 1) {
        expect((await present(server, server.clientId, "wrong", address)).status).toBe(401);
      }
      const refused = await present(server, server.clientId, server.clientSecret, address);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
      expect(Number(refused.headers["retry-after"])).toBeLessThanOrEqual(65);
      const elsewhere = await present(server, server.clientId, server.clientSecret, "203.0.113.250");
      expect(elsewhere.status).toBe(200);
    },
  );

  it("says so in each surface's own words", async () => {
    const address = "203.0.113.1";
    for (let count = 0; count < 20; count += 1) {
      await postJson(server, whoami, {}, { ...wrong(toId(1)), ...from(address) });
    }
    const rpc = await postJson(server, whoami, {}, { ...wrong(toId(1)), ...from(address) });
    expect(rpc.json).toMatchObject({
      code: "resource_exhausted",
      message: "too many failed attempts, try again later",
    });
    const oauth = await surfaces["the token endpoint by Basic"]?.(server, toId(1), "wrong", address);
    expect(oauth?.json).toMatchObject({ error: "temporarily_unavailable" });

    using opened = openTransport(server.url, "gRPC", "h2c");
    const auth = createClient(AuthService, opened.transport);
    const refusal = await refusalOf(
      auth.getCurrentUser({}, { headers: { ...wrong(toId(1)), ...from(address) } }),
    );
    expect(refusal.code).toBe(Code.ResourceExhausted);
    expect(Number(refusal.metadata.get("retry-after"))).toBeGreaterThan(0);
    expect(refusal.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds).toBeGreaterThan(0n);
  });

  it("counts 100 failures of an address, whoever they claim to be and however they are made", async () => {
    const address = "203.0.113.2";
    const { json } = await postJson(server, authToken, {}, basic(server));
    const bearer = (token: string) => ({ authorization: `Bearer ${token}`, ...from(address) });
    for (let count = 0; count < 97; count += 1) {
      const answer = await postJson(server, whoami, {}, { ...wrong(toId(count)), ...from(address) });
      expect(answer.status).toBe(401);
    }
    for (const authorization of ["Bearer a.b.c", "Bearer vstt_x", "nonsense"]) {
      const answer = await postJson(server, whoami, {}, { authorization, ...from(address) });
      expect(answer.status).toBe(401);
    }
    expect((await postJson(server, whoami, {}, { ...wrong(toId(500)), ...from(address) })).status).toBe(429);
    expect((await postJson(server, whoami, {}, bearer("a.b.c"))).status).toBe(429);
    expect((await postJson(server, whoami, {}, bearer(json.accessToken))).status).toBe(200);
    expect((await postJson(server, whoami, {}, from(address))).status).toBe(401);
    expect((await send(`${server.url}/healthz`, { headers: from(address) })).status).toBe(200);
  });

  it("counts a /64 as one address", async () => {
    for (let count = 0; count < 20; count += 1) {
      await postJson(server, whoami, {}, { ...wrong(toId(2)), ...from(`2001:db8::${count + 1}`) });
    }
    const at = async (address: string) =>
      (await postJson(server, whoami, {}, { ...wrong(toId(2)), ...from(address) })).status;
    expect(await at("2001:db8::ffff:ffff:ffff:ffff")).toBe(429);
    expect(await at("2001:db8:0:1::1")).toBe(401);
  });
});

describe("the beginning of sign-ins", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ config: { trusted_proxies: ["127.0.0.1"] } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  const begin = (address: string, message: object = { strategyName: "passkey" }) =>
    postJson(server, authenticate, message, from(address));

  it("is for 60 of an IPv6 /64 within a minute, and told in each surface's own words", async () => {
    for (let count = 0; count < 60; count += 1) {
      expect((await begin(`2001:db8:0:2::${count.toString(16)}`)).status).toBe(200);
    }
    const address = "2001:db8:0:2:ffff::";
    const refused = await begin(address);
    const told = "too many sign-ins were begun, try again later";
    expect(refused).toMatchObject({ status: 429, json: { code: "resource_exhausted", message: told } });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    expect(Number(refused.headers["retry-after"])).toBeLessThanOrEqual(65);
    expect((await begin(address, { strategyName: "mailotp", email: "ada@example.org" })).status).toBe(429);

    using opened = openTransport(server.url, "gRPC", "h2c");
    const auth = createClient(AuthService, opened.transport);
    const refusal = await refusalOf(
      auth.authenticate({ strategyName: "passkey" }, { headers: from(address) }),
    );
    expect(refusal.code).toBe(Code.ResourceExhausted);
    expect(refusal.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds).toBeGreaterThan(0n);

    const person = new Person(server);
    const page = await person.send("/login", {
      headers: { host: `localhost:${server.port}`, ...from(address) },
    });
    expect(page.status).toBe(200);
    const [, token = ""] = /action="\/login\/mail".*?name="token" value="([^"]+)"/s.exec(page.text) ?? [];
    const form = new URLSearchParams({ token, strategy: "mailotp", email: "ada@example.org" });
    const posted = await person.send("/login/mail", {
      headers: {
        host: `localhost:${server.port}`,
        "content-type": "application/x-www-form-urlencoded",
        ...from(address),
      },
      body: form.toString(),
    });
    expect(posted.status).toBe(429);
    expect(Number(posted.headers["retry-after"])).toBeGreaterThan(0);
    expect(posted.text).toContain("Too many sign-ins were begun");

    expect((await begin("2001:db8:0:3::1")).status).toBe(200);
    expect((await begin("192.0.2.1")).status).toBe(200);
  });

  it("is free for who ends them", async () => {
    const address = from("2001:db8:0:4::1");
    const email = "grace@example.org";
    for (let count = 0; count < 59; count += 1) await begin(address["x-forwarded-for"]);
    const person = new Person(server);
    // The mailbox's five mails, each of which would be the last that may begin.
    for (let count = 0; count < 5; count += 1) {
      const before = listMails(server);
      const begun = await person.call("Authenticate", { strategyName: "mailotp", email }, address);
      expect(begun.status).toBe(200);
      const code = findCode(await waitForMail(server, email, before, hasCode));
      const ended = await person.call("AuthCallback", { state: begun.json.state, code });
      expect(ended.status).toBe(200);
    }
    expect((await begin(address["x-forwarded-for"])).status).toBe(200);
    expect((await begin(address["x-forwarded-for"])).status).toBe(429);
  });
});

it("lets as many sign-ins begin from an IPv4 address as is set, however many ask at once", async () => {
  await using server = await startServer({
    config: { trusted_proxies: ["127.0.0.1"], limits: { begun_flows_per_ipv4_address_per_minute: 100 } },
  });
  const begin = (address: string) =>
    postJson(server, authenticate, { strategyName: "passkey" }, from(address));
  const answers = await Promise.all(Array.from({ length: 120 }, () => begin("192.0.2.2")));
  const statuses = answers.map(({ status }) => status).toSorted();
  expect(statuses).toEqual([...Array(100).fill(200), ...Array(20).fill(429)]);
  expect((await begin("192.0.2.3")).status).toBe(200);
});

it("believes no address that a client makes up", async () => {
  await using server = await startServer({
    config: { limits: { failed_credentials_per_client_per_minute: 3 } },
  });
  const present = async (index: number) =>
    (
      await postJson(
        server,
        whoami,
        {},
        { ...wrong(toId(1)), ...from(`198.51.100.${index}`), forwarded: `for=192.0.2.${index}` },
      )
    ).status;
  expect([await present(1), await present(2), await present(3), await present(4)]).toEqual([
    401, 401, 401, 429,
  ]);
});

describe("two processes on one database", () => {
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;
  beforeAll(async () => {
    state = await createState("postgres");
    const config = { limits: { begun_flows_per_ipv4_address_per_minute: 20 } };
    a = await startServer({ state, config });
    b = await startServer({ state, config });
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  it("count together", async () => {
    const present = async (server: TestServer) => (await postJson(server, whoami, {}, wrong(toId(1)))).status;
    for (let count = 0; count < 10; count += 1) {
      expect([await present(a), await present(b)]).toEqual([401, 401]);
    }
    // Each question is a failure more: so few of them would not use the limit up alone.
    const slowly = { timeout: 5000, interval: 1000 };
    await expect.poll(() => present(a), slowly).toBe(429);
    await expect.poll(() => present(b), slowly).toBe(429);
  });

  it("let no more than allowed be wrong in a burst, all together", async () => {
    const present = async (server: TestServer) => (await postJson(server, whoami, {}, wrong(toId(7)))).status;
    const burst = Array.from({ length: 40 }, (_, index) => present(index % 2 === 0 ? a : b));
    const statuses = await Promise.all(burst);
    // How many fewer is chance: those of the other process count as if they had come before.
    expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(20);
    expect(statuses.filter((status) => status === 401 || status === 429)).toHaveLength(40);
  });

  it("know together who is good, when an address has used up its failures", async () => {
    expect((await postJson(a, whoami, {}, basic(a))).status).toBe(200);
    const addresses = Array.from({ length: 101 }, (_, index) => index);
    for (const index of addresses) await postJson(a, whoami, {}, wrong(toId(1000 + index)));
    const present = async (id: number) => (await postJson(b, whoami, {}, wrong(toId(id)))).status;
    const slowly = { timeout: 5000, interval: 500 };
    await expect.poll(() => present(2000), slowly).toBe(429);
    await expect
      .poll(async () => (await postJson(b, whoami, {}, basic(b))).status, { timeout: 5000, interval: 100 })
      .toBe(200);
  });

  it("count the beginning of sign-ins together, as they are set", async () => {
    const begin = async (server: TestServer) =>
      (await postJson(server, authenticate, { strategyName: "passkey" })).status;
    for (let count = 0; count < 10; count += 1) {
      expect([await begin(a), await begin(b)]).toEqual([200, 200]);
    }
    // Each question is one more that began: so few of them would not use the limit up alone.
    const slowly = { timeout: 5000, interval: 1000 };
    await expect.poll(() => begin(a), slowly).toBe(429);
    await expect.poll(() => begin(b), slowly).toBe(429);
  });

  it("and one that only starts then knows", async () => {
    const c = await startServer({ state });
    try {
      expect((await postJson(c, whoami, {}, wrong(toId(1)))).status).toBe(429);
      expect((await postJson(c, whoami, {}, basic(c))).status).toBe(200);
    } finally {
      await c.kill();
    }
  });
});

it("closes an idle connection of either protocol after limits.idle_time, and not before", async () => {
  await using server = await startServer({ config: { limits: { idle_time: "2s" } } });
  /** How long a connection stayed open from now on, in milliseconds. */
  const stay = async (connection: EventEmitter) => {
    const since = performance.now();
    await once(connection, "close");
    return performance.now() - since;
  };
  const session = connectHttp2(server.url);
  const stream = session.request({ ":path": "/healthz" });
  stream.resume();
  await once(stream, "close");
  const h2 = stay(session);
  const agent = new Agent({ keepAlive: true });
  const request = requestHttp1(`${server.url}/healthz`, { agent });
  request.end();
  const [response] = await once(request, "response");
  const h1 = stay(response.socket);
  response.resume();
  expect(response.headers["keep-alive"]).toBe("timeout=2");
  // What is measured may begin a little after the server's own time.
  for (const ms of await Promise.all([h1, h2])) expect(ms).toBeGreaterThan(1_000);
});
