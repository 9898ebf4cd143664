/**
 * Two servers on one Postgres, and a gate at each: whatever a decision rests on
 * is changed at one of them, and no longer lets anybody in there from the answer
 * on, and at the other within a second.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { createState, findFreePort, type ServerState, startServer, type TestServer } from "./parts/server.ts";

/** What "at once" means for the other process, in milliseconds. */
const atOnceMs = 1000;

const host = "app.example.com";

let state: ServerState;
let a: TestServer;
let b: TestServer;

beforeAll(async () => {
  state = await createState("postgres");
  const port = await findFreePort();
  const options = {
    state,
    // One name for both, as behind a balancer.
    env: { VESTIBULE_PUBLIC_URL: `http://localhost:${port}` },
    config: { gate: { reason_header: true } },
  };
  [a, b] = await Promise.all([startServer({ ...options, port }), startServer(options)]);
});
afterAll(async () => {
  await Promise.all([a?.kill(), b?.kill()]);
  await state?.remove();
});

/** A call by the superuser, which succeeds. */
async function manage(call: string, message: object): Promise<Answer["json"]> {
  const answer = await postJson(a, `/vestibule.v1.${call}`, message, basic(a));
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

async function rest(method: string, path: string, body?: object): Promise<Answer["json"]> {
  const headers = { ...basic(a), ...(body && { "content-type": "application/json" }) };
  const answer = await send(`${a.url}${path}`, { method, headers, body: body && JSON.stringify(body) });
  expect(answer.status, answer.text).toBeLessThan(300);
  return answer.json;
}

describe("a change of", () => {
  let count = 0;
  let org: string;
  let door: string;
  let provider: string;
  let frontend: string;
  let proxyToken: { id: string; token: string };

  beforeEach(async () => {
    count += 1;
    const { organization } = await manage("OrganizationService/CreateOrganization", {
      body: { name: `org-${count}` },
    });
    org = organization.id;
    door = (await rest("POST", "/frontdoor", { organizationId: org })).id;
    const ours = { name: "ours", type: "VESTIBULE", data: { allowedRoles: ["manager"] } };
    provider = (await rest("POST", `/frontdoor/${door}/auth-providers`, ours)).id;
    const body = { hostname: host, authProviderIds: [provider] };
    frontend = (await rest("POST", `/frontdoor/${door}/custom-frontends`, body)).id;
    proxyToken = await rest("POST", `/frontdoor/${door}/proxy-tokens`, { title: "edge" });
  });

  async function ask(server: TestServer, headers: Record<string, string>): Promise<string> {
    const answer = await send(`${server.url}/frontdoor/${door}/gate/forward-auth`, {
      headers: {
        ...headers,
        "x-vestibule-proxy-token": proxyToken.token,
        "x-forwarded-method": "GET",
        "x-forwarded-proto": "https",
        "x-forwarded-host": host,
        "x-forwarded-uri": "/",
      },
    });
    return String(answer.headers["x-vestibule-reason"]);
  }

  /** Lets somebody in at both, who remember it, and shuts them out by a change. */
  async function expectHold(
    headers: Record<string, string>,
    change: () => Promise<unknown>,
    reason = "BAD_CREDENTIAL",
  ): Promise<void> {
    for (const server of [a, b]) {
      await expect.poll(() => ask(server, headers), { timeout: 5 * atOnceMs }).toBe("IDENTIFIED");
      expect(await ask(server, headers)).toBe("IDENTIFIED");
    }
    await change();
    expect(await ask(a, headers)).toBe(reason);
    await expect.poll(() => ask(b, headers), { timeout: atOnceMs, interval: 20 }).toBe(reason);
  }

  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  /** A machine of the organization, with a secret and an opaque token. */
  async function createMachine() {
    const named = { org_id: org };
    const { serviceuser } = await manage("ServiceUserService/CreateServiceUser", {
      ...named,
      body: { title: "m", role: "manager" },
    });
    const of = { ...named, id: serviceuser.id };
    const { secret } = await manage("ServiceUserService/CreateServiceUserCredential", of);
    const { token } = await manage("ServiceUserService/CreateServiceUserToken", of);
    const credential = { clientId: secret.id, clientSecret: secret.secret };
    const issued = await postJson(a, "/vestibule.v1.AuthService/AuthToken", {}, basic(credential));
    return { of, secret, token, credential, accessToken: String(issued.json.accessToken) };
  }

  /** A person of the organization, signed in, with an access token. */
  async function createPerson() {
    const person = new Person(a);
    await person.signIn(`person-${count}@example.org`);
    const { user } = (await person.call("GetCurrentUser")).json;
    const member = { org_id: org, user_id: user.id };
    await manage("OrganizationService/AddMember", { ...member, role: "manager" });
    const { accessToken } = (await person.call("AuthToken")).json;
    return { person, id: String(user.id), member, headers: bearer(accessToken) };
  }

  it("the provider, the frontend and the proxy's token", async () => {
    const { headers } = await createPerson();
    const at = `/frontdoor/${door}/auth-providers/${provider}`;
    await expectHold(headers, () => rest("PATCH", at, { enabled: false }));
    await rest("PATCH", at, { enabled: true });
    const frontendAt = `/frontdoor/${door}/custom-frontends/${frontend}`;
    const staffOnly = {
      hostname: host,
      authProviderIds: [provider],
      policy: { requiredClaims: { tier: 1 } },
    };
    await expectHold(headers, () => rest("PUT", frontendAt, staffOnly), "CLAIM_MISSING");
    await rest("PUT", frontendAt, { ...staffOnly, policy: {} });
    const tokenAt = `/frontdoor/${door}/proxy-tokens/${proxyToken.id}`;
    await expectHold(headers, () => rest("DELETE", tokenAt), "PROXY_UNPROVEN");
  });

  it("a session: signed out", async () => {
    const { person, headers } = await createPerson();
    await expectHold(headers, () => person.call("AuthLogout"));
  });

  it("a member: another role, none", async () => {
    const { member, headers } = await createPerson();
    const setRole = (role: string) => manage("OrganizationService/SetMemberRole", { ...member, role });
    await expectHold(headers, () => setRole("viewer"));
    await setRole("manager");
    await expectHold(headers, () => manage("OrganizationService/RemoveMember", member));
  });

  it("a user: disabled", async () => {
    const { id, headers } = await createPerson();
    await expectHold(headers, () => manage("UserService/DisableUser", { id }));
  });

  it("an access token: revoked", async () => {
    const { credential, accessToken } = await createMachine();
    await expectHold(bearer(accessToken), async () => {
      const headers = { ...basic(credential), "content-type": "application/x-www-form-urlencoded" };
      const body = `token=${accessToken}`;
      expect(await send(`${a.url}/oauth2/revoke`, { headers, body })).toMatchObject({ status: 200 });
    });
  });

  it("a credential: deleted", async () => {
    const { of, secret, token, credential, accessToken } = await createMachine();
    const forget = () =>
      manage("ServiceUserService/DeleteServiceUserCredential", { ...of, secret_id: secret.id });
    expect(await ask(a, bearer(accessToken))).toBe("IDENTIFIED");
    await expectHold(basic(credential), forget);
    expect(await ask(a, bearer(accessToken))).toBe("BAD_CREDENTIAL");
    const forgetToken = () =>
      manage("ServiceUserService/DeleteServiceUserToken", { ...of, token_id: token.id });
    await expectHold(bearer(token.token), forgetToken);
  });

  it("a machine: another role, disabled", async () => {
    const { of, token } = await createMachine();
    const setRole = (role: string) =>
      manage("ServiceUserService/UpdateServiceUser", { ...of, body: { title: "m", role } });
    await expectHold(bearer(token.token), () => setRole("viewer"));
    await setRole("manager");
    await expectHold(bearer(token.token), () => manage("ServiceUserService/DisableServiceUser", of));
  });

  it("the organization: disabled", async () => {
    const { token } = await createMachine();
    const disable = () => manage("OrganizationService/DisableOrganization", { id: org });
    await expectHold(bearer(token.token), disable, "FRONTDOOR_CLOSED");
  });
});
