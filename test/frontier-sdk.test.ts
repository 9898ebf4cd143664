/**
 * What Frontier's React SDK does, call by call, with its own published stubs
 * over connect-web and a browser's cookies.
 */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
// @ts-expect-error: untyped on purpose
import { FrontierService } from "./fixtures/frontier-client.js";
import { SoftAuthenticator } from "./parts/authenticator.ts";
import { type IdentityProvider, startIdentityProvider, walkRedirects } from "./parts/identity-provider.ts";
import { findCode, listMails, waitForMail } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

// biome-ignore lint/suspicious/noExplicitAny: the client's own types do not check
type FrontierClient = any;

const origin = "http://localhost:5173";
const callbackUrl = `${origin}/callback`;
let server: TestServer;
let provider: IdentityProvider;

beforeAll(async () => {
  provider = await startIdentityProvider({
    // Nobody is hinted at: whoever comes is this one.
    accounts: { nobody: { email: "nobody@example.org", email_verified: true, name: "No Body" } },
    redirectUris: [callbackUrl],
  });
  server = await startServer({
    config: {
      cors: { allowed_origins: [origin] },
      authentication: {
        callback_urls: [callbackUrl],
        frontier_hidden_strategies: ["maillink", "passkey"],
        passkey: { rpid: "localhost", rporigins: [origin] },
        oidc_config: {
          acme: {
            issuer_url: provider.issuer,
            client_id: provider.clientId,
            client_secret: provider.clientSecret,
          },
        },
      },
    },
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await provider?.stop();
});

/** `fetch` as a page of the app's has it: cookies, an origin, answers only where CORS allows them. */
function createBrowserFetch(): typeof globalThis.fetch {
  const cookies = new Map<string, string>();
  return async (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set("origin", origin);
    headers.set("cookie", [...cookies].map(([name, value]) => `${name}=${value}`).join("; "));
    const answer = await fetch(input, { ...init, headers });
    expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
    expect(answer.headers.get("access-control-allow-credentials")).toBe("true");
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
}

const alias = "/raystack.frontier.v1beta1.FrontierService";
let browserFetch: typeof globalThis.fetch;
let frontier: FrontierClient;

beforeEach(() => {
  browserFetch = createBrowserFetch();
  const own = browserFetch;
  frontier = createClient(
    FrontierService,
    createConnectTransport({
      baseUrl: server.url,
      fetch: (input, init) => own(input, { ...init, credentials: "include" }),
    }),
  );
});

/** Methods that the published stubs lack, as the SDK's newer ones call them. */
// biome-ignore lint/suspicious/noExplicitAny: bodies of every shape
async function post(path: string, message: object = {}): Promise<{ status: number; json: any }> {
  const headers = { "content-type": "application/json" };
  const answer = await browserFetch(`${server.url}${path}`, {
    method: "POST",
    headers,
    body: JSON.stringify(message),
  });
  return { status: answer.status, json: await answer.json() };
}

let count = 0;
async function signIn(email = `alan-${count++}@example.org`): Promise<string> {
  const before = listMails(server);
  const { state } = await frontier.authenticate({ strategyName: "mailotp", email, callbackUrl });
  const code = findCode(await waitForMail(server, email, before));
  await frontier.authCallback({ strategyName: "mailotp", code, state });
  return email;
}

const refusalOf = async (call: Promise<unknown>) =>
  await call.then(
    () => undefined,
    (error) => [ConnectError.from(error).code, ConnectError.from(error).rawMessage],
  );

const notAuthenticated = [Code.Unauthenticated, "not authenticated"];

it("lists what it can draw a button for, and nothing that was hidden from it", async () => {
  const { strategies } = await frontier.listAuthStrategies({});
  expect(strategies.map(({ name }: { name: string }) => name)).toEqual(["acme", "mailotp"]);
  const { json } = await post("/vestibule.v1.AuthService/ListAuthStrategies");
  const names = json.strategies.map(({ name }: { name: string }) => name);
  expect(names).toEqual(["acme", "mailotp", "maillink", "passkey"]);
});

it("signs in by a mailed code, once, and out", async () => {
  expect(await refusalOf(frontier.getCurrentUser({}))).toEqual(notAuthenticated);
  const email = `alan-${count++}@example.org`;
  const { state, endpoint } = await frontier.authenticate({ strategyName: "mailotp", email, callbackUrl });
  expect([endpoint, state]).toEqual(["", expect.stringMatching(/^[\w-]{43}$/)]);
  const finish = (code: string) => frontier.authCallback({ strategyName: "mailotp", code, state });
  const code = findCode(await waitForMail(server, email));
  expect(await refusalOf(finish("222222"))).toEqual([Code.InvalidArgument, "invalid mail otp"]);
  await finish(code);
  expect(await refusalOf(finish(code))).toEqual([Code.InvalidArgument, "invalid flow or expired"]);
  const { user } = await frontier.getCurrentUser({});
  expect(user).toMatchObject({ email, state: "enabled" });
  await frontier.authLogout({});
  expect(await refusalOf(frontier.getCurrentUser({}))).toEqual(notAuthenticated);
});

it("asks for organizations and groups as soon as somebody is there", async () => {
  await signIn();
  expect(await frontier.listOrganizationsByCurrentUser({})).toMatchObject({
    organizations: [],
    joinableViaDomain: [],
  });
  expect((await frontier.listCurrentUserGroups({})).groups).toEqual([]);
  const { organization } = await frontier.createOrganization({
    body: { name: "turing-ltd", title: "Turing" },
  });
  const { organizations } = await frontier.listOrganizationsByCurrentUser({});
  expect(organizations).toMatchObject([{ id: organization.id, name: "turing-ltd", title: "Turing" }]);
  expect((await frontier.getOrganization({ id: organization.id })).organization.title).toBe("Turing");
});

it("pings the session, lists sessions and ends one, in its names", async () => {
  const email = await signIn();
  const ping = await post(`${alias}/PingUserSession`);
  expect(ping).toMatchObject({ status: 200, json: { metadata: { ip_address: "127.0.0.1" } } });
  const first = browserFetch;
  browserFetch = createBrowserFetch();
  const own = browserFetch;
  frontier = createClient(
    FrontierService,
    createConnectTransport({ baseUrl: server.url, fetch: (input, init) => own(input, init) }),
  );
  await signIn(email);
  const { sessions } = (await post(`${alias}/ListSessions`)).json;
  expect(sessions).toHaveLength(2);
  const other = sessions.find((each: { is_current_session?: boolean }) => !each.is_current_session);
  expect(await post(`${alias}/RevokeSession`, { session_id: other.id })).toEqual({ status: 200, json: {} });
  browserFetch = first;
  expect((await post(`${alias}/PingUserSession`)).status).toBe(401);
});

it("finds its user by REST, as its version 0.72.0 does", async () => {
  const url = `${server.url}/v1beta1/users/self`;
  const none = await browserFetch(url);
  expect([none.status, ((await none.json()) as { message: string }).message]).toEqual([
    401,
    "not authenticated",
  ]);
  const email = await signIn();
  const answer = await browserFetch(url, { credentials: "same-origin" });
  expect(await answer.json()).toMatchObject({ user: { email, created_at: expect.any(String) } });
});

describe("a provider's callback", () => {
  /** Walks to the provider and back, and answers what the app's page finds in its address. */
  async function goAndComeBack(): Promise<URLSearchParams> {
    const { endpoint } = await frontier.authenticate({ strategyName: "acme", callbackUrl });
    return (await walkRedirects(endpoint, callbackUrl)).searchParams;
  }

  const toCall = (query: URLSearchParams) => ({
    state: query.get("state") ?? "",
    code: query.get("code") ?? "",
  });

  it("needs nothing but state and code", async () => {
    await frontier.authCallback(toCall(await goAndComeBack()));
    const { user } = await frontier.getCurrentUser({});
    expect(user).toMatchObject({ email: "nobody@example.org", title: "No Body" });
  });

  it("is good for once, and for its own browser", async () => {
    const query = await goAndComeBack();
    const thief = createClient(
      FrontierService,
      createConnectTransport({ baseUrl: server.url, fetch: createBrowserFetch() }),
    ) as FrontierClient;
    expect(await refusalOf(thief.authCallback(toCall(query)))).toEqual([
      Code.InvalidArgument,
      "invalid auth state",
    ]);
    await frontier.authCallback(toCall(query));
    expect(await refusalOf(frontier.authCallback(toCall(query)))).toEqual([
      Code.InvalidArgument,
      "invalid flow or expired",
    ]);
    expect(await refusalOf(frontier.authCallback({ ...toCall(await goAndComeBack()), code: "" }))).toEqual([
      Code.InvalidArgument,
      "OIDC code is missing",
    ]);
  });

  it("may say who sent it (RFC 9207), and must not be wrong then", async () => {
    const query = await goAndComeBack();
    const iss = query.get("iss") ?? "";
    expect(iss).toBe(provider.issuer);
    await frontier.authCallback({ ...toCall(query), stateOptions: { iss } });
    const mixedUp = { ...toCall(await goAndComeBack()), stateOptions: { iss: "https://evil.example" } };
    expect(await refusalOf(frontier.authCallback(mixedUp))).toEqual([
      Code.FailedPrecondition,
      "nothing is proven by what identity provider acme answered: tell the operator the request id",
    ]);
  });

  it("of somewhere else is refused before anybody is sent away", async () => {
    const elsewhere = { strategyName: "acme", callbackUrl: "https://evil.example/callback" };
    expect((await refusalOf(frontier.authenticate(elsewhere)))?.[0]).toBe(Code.InvalidArgument);
  });
});

it("uses passkeys in Frontier's shape: an object out, text of JSON back", async () => {
  const email = await signIn();
  const device = new SoftAuthenticator({ origin });
  const begun = await frontier.authenticate({ strategyName: "passkey", email });
  expect(begun.stateOptions).toMatchObject({ type: "register", options: { rp: { id: "localhost" } } });
  const created = device.create(begun.stateOptions.options);
  const registered = { strategyName: "passkey", state: begun.state };
  await frontier.authCallback({ ...registered, stateOptions: { options: JSON.stringify(created) } });
  await frontier.authLogout({});
  const again = await frontier.authenticate({ strategyName: "passkey" });
  expect(again.stateOptions.type).toBe("login");
  const got = device.get(again.stateOptions.options);
  const answered = { strategyName: "passkey", state: again.state };
  await frontier.authCallback({ ...answered, stateOptions: { options: JSON.stringify(got) } });
  expect((await frontier.getCurrentUser({})).user.email).toBe(email);
});
