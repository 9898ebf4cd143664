/**
 * A server that is used in every way: people, machines and apps, a row in every
 * table, and in hand what lets each of them in.
 */
import { createPrivateKey, randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import { sql } from "kysely";
import { openDatabase } from "../../server/src/db/open-database.ts";
import { readTableShapes } from "../../server/src/db/table-shapes.ts";
import { silentLog } from "../../server/src/lib/log.ts";
import { SoftAuthenticator } from "./authenticator.ts";
import { createFrontdoor, getAssertion, type TestFrontdoor } from "./gate.ts";
import { GateVisitor, joinDefault } from "./gate-visitor.ts";
import { type Answer, basic, postJson, send } from "./http.ts";
import { startIdentityProvider, walkRedirects } from "./identity-provider.ts";
import { findCode, findLink, hasCode, listMails, Person, waitForMail } from "./person.ts";
import { gif } from "./pictures.ts";
import type { ServerState, TestServer } from "./server.ts";

const appPage = "https://app.example.org/callback";
const appHost = "app.example.com";
const v1 = "/vestibule.v1.";
const frontier = "/raystack.frontier.v1beta1.FrontierService/";
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Makes a service user, and answers its id. @throws Error for a refusal */
export async function createMachine(server: TestServer): Promise<string> {
  const path = "/vestibule.v1.ServiceUserService/CreateServiceUser";
  const { status, text, json } = await postJson(server, path, { org_id: "default", body: {} }, basic(server));
  if (status !== 200) throw new Error(`${status} ${text}`);
  return json.serviceuser.id;
}

/** What a server needs for it. */
export interface Surroundings extends AsyncDisposable {
  readonly config: Readonly<Record<string, unknown>>;
}

/** Starts the provider that one of the people comes from. */
export async function startSurroundings(): Promise<Surroundings> {
  const provider = await startIdentityProvider({
    accounts: { "eve@example.net": { email: "eve@example.net", email_verified: true } },
    redirectUris: [appPage],
  });
  const { issuer: issuer_url, clientId: client_id, clientSecret: client_secret } = provider;
  const acme = { issuer_url, client_id, client_secret, authoritative_domains: ["example.net"] };
  return {
    config: {
      authentication: { callback_urls: [appPage], oidc_config: { acme } },
      limits: { mails_per_address_per_hour: 1000 },
    },
    [Symbol.asyncDispose]: () => provider.stop(),
  };
}

/** What people, machines and apps hold. Each check answers by the name of what is no longer good. */
export interface Holdings {
  /** What can be used again and again. */
  checkLasting(): Promise<readonly string[]>;
  /** What works once: a code, a link, an invitation. */
  takeOnce(): Promise<readonly string[]>;
}

/**
 * Uses a server in every way.
 *
 * @param server any other that later serves at the same port is checked in its place
 * @throws Error for what it refuses
 */
export async function fillState(server: TestServer): Promise<Holdings> {
  const people = await fillPeople(server);
  const machine = await fillMachines(server);
  const app = await fillGate(server);
  return {
    checkLasting: () => findBad({ ...people.lasting, ...machine, ...app }),
    takeOnce: () => findBad(people.once),
  };
}

/** By what it is: whether it is still good. */
type Checks = Readonly<Record<string, () => Promise<boolean>>>;

async function findBad(checks: Checks): Promise<readonly string[]> {
  const bad: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    const isGood = await check().catch((error: unknown) => Promise.reject(new Error(name, { cause: error })));
    if (!isGood) bad.push(name);
  }
  return bad;
}

async function good(asked: Promise<Answer>): Promise<Answer["json"]> {
  const answer = await asked;
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
  return answer.json;
}

function asRoot(server: TestServer) {
  return (method: string, message: object) =>
    good(postJson(server, `${v1}${method}`, message, basic(server)));
}

async function signedIn(server: TestServer, email: string): Promise<Person> {
  const person = new Person(server);
  await person.signIn(email);
  return person;
}

async function begin(server: TestServer, person: Person, email: string) {
  const before = listMails(server);
  const { state } = await good(person.call("Authenticate", { strategyName: "mailotp", email }));
  return { state, code: findCode(await waitForMail(server, email, before, hasCode)) };
}

async function fillPeople(server: TestServer) {
  const root = asRoot(server);
  const ada = await signedIn(server, "ada@example.org");
  const as = (person: Person, path: string, message: object) =>
    good(postJson(server, path, message, person.headers()));
  await good(ada.call("UpdateCurrentUser", { body: { title: "Ada", avatar: gif } }));
  const bodies = [{ name: "newsletter", value: "true" }];
  await as(ada, `${frontier}CreateCurrentUserPreferences`, { bodies });
  const device = new SoftAuthenticator({ origin: `http://localhost:${server.port}` });
  const { state, stateOptions } = await good(ada.call("Authenticate", { strategyName: "passkey" }));
  await good(
    ada.call("AuthCallback", { state, stateOptions: { options: device.create(stateOptions.options) } }),
  );

  const org = (method: string, message: object) => as(ada, `${v1}OrganizationService/${method}`, message);
  const { organization } = await org("CreateOrganization", { body: { name: "acme" } });
  const { id: org_id } = organization;
  await org("UpdateOrganization", { id: org_id, body: { name: "acme-ltd" } });
  const { project } = await org("CreateProject", { org_id, name: "shop" });
  const bob = await signedIn(server, "bob@example.org");
  const { user } = await good(bob.call("GetCurrentUser"));
  await root("OrganizationService/AddMember", { org_id, user_id: user.id, role: "viewer" });
  const principal = { principal_type: "app/user", principal_id: user.id };
  await org("AddProjectMember", { org_id, project_id: project.id, ...principal });
  const { invitations } = await org("CreateOrganizationInvitation", {
    org_id,
    user_ids: ["cyd@example.org"],
  });
  await root("UserService/InviteUser", { email: "dan@example.org" });

  const eve = new Person(server);
  const begun = await good(eve.call("Authenticate", { strategyName: "acme", email: "eve@example.net" }));
  const code = (await walkRedirects(begun.endpoint, appPage)).searchParams.get("code");
  await good(eve.call("AuthCallback", { state: begun.state, code }));

  const fay = await signedIn(server, "fay@example.org");
  const change = await good(fay.call("BeginEmailChange", { email: "fay@example.com" }));
  const mailed = findCode(await waitForMail(server, "fay@example.com", [], hasCode));
  await good(fay.call("FinishEmailChange", { state: change.state, code: mailed }));
  const notice = await waitForMail(server, "fay@example.org", [], (text) => text.includes("was changed"));
  const undo = findLink(notice).searchParams.get("t");

  const gus = new Person(server);
  const waiting = await begin(server, gus, "gus@example.org");
  const { accessToken } = await good(ada.call("AuthToken"));
  const isSignedIn = (person: Person) => async () => (await person.call("GetCurrentUser")).status === 200;
  const lasting: Checks = {
    "ada's session": isSignedIn(ada),
    "bob's session": isSignedIn(bob),
    "eve's session, by her provider": isSignedIn(eve),
    "fay's session, after another address": isSignedIn(fay),
    "ada's access token": async () =>
      (
        await postJson(
          server,
          `${v1}AuthService/GetCurrentUser`,
          {},
          { authorization: `Bearer ${accessToken}` },
        )
      ).status === 200,
    "ada's passkey": async () => {
      const elsewhere = new Person(server);
      const asked = await good(elsewhere.call("Authenticate", { strategyName: "passkey" }));
      const options = device.get(asked.stateOptions.options);
      await good(elsewhere.call("AuthCallback", { state: asked.state, stateOptions: { options } }));
      return await isSignedIn(elsewhere)();
    },
    "ada's organization": async () =>
      (await as(ada, `${v1}OrganizationService/GetOrganization`, { id: "acme-ltd" })).organization.id ===
      org_id,
    "ada's preference": async () =>
      (await as(ada, `${frontier}ListCurrentUserPreferences`, {})).preferences[0].value === "true",
    "ada's picture": async () => {
      const { avatar } = (await good(ada.call("GetCurrentUser"))).user;
      return (await send(`${server.url}${new URL(avatar).pathname}`)).status === 200;
    },
  };
  const once: Checks = {
    "gus's code": async () =>
      (await gus.call("AuthCallback", { strategyName: "mailotp", ...waiting })).status === 200,
    "cyd's invitation": async () => {
      const cyd = await signedIn(server, "cyd@example.org");
      const message = { id: invitations[0].id, org_id };
      await as(cyd, `${v1}OrganizationService/AcceptOrganizationInvitation`, message);
      return true;
    },
    "fay's way back to her address": async () =>
      (await new Person(server).call("UndoEmailChange", { token: undo })).json?.email === "fay@example.org",
  };
  return { lasting, once };
}

async function fillMachines(server: TestServer): Promise<Checks> {
  const root = asRoot(server);
  const own = (method: string, message: object = {}) =>
    root(`ServiceUserService/${method}`, { org_id: "default", ...message });
  const { id } = (await own("CreateServiceUser", { body: { title: "machine" } })).serviceuser;
  const { secret } = await own("CreateServiceUserCredential", { id });
  const { token } = await own("CreateServiceUserToken", { id });
  const { key } = await own("CreateServiceUserJWK", { id });
  const credential = basic({ clientId: secret.id, clientSecret: secret.secret });
  const whoAmI = async (headers: Record<string, string>) =>
    (await postJson(server, `${v1}AuthService/GetCurrentUser`, {}, headers)).status === 200;
  const form = (path: string, fields: Record<string, string>, headers = {}) =>
    send(`${server.url}${path}`, {
      headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
      body: new URLSearchParams(fields).toString(),
    });
  const grant_type = "client_credentials";
  const { access_token } = await good(form("/oauth2/token", { grant_type }, credential));
  const revoked = (await good(form("/oauth2/token", { grant_type }, credential))).access_token;
  await good(form("/oauth2/revoke", { token: revoked }, credential));
  const byKey = async () => {
    const client_assertion = await new SignJWT({})
      .setProtectedHeader({ alg: "RS256", kid: key.kid })
      .setIssuer(id)
      .setSubject(id)
      .setAudience(`http://localhost:${server.port}`)
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime("5m")
      .sign(createPrivateKey(key.privateKey));
    const fields = { grant_type, client_assertion, client_assertion_type: assertionType };
    return (await form("/oauth2/token", fields)).status === 200;
  };
  const checks: Checks = {
    "the bootstrap credential": () => whoAmI(basic(server)),
    "the machine's secret": () => whoAmI(credential),
    "the machine's token": () => whoAmI({ authorization: `Bearer ${token.token}` }),
    "the machine's access token": () => whoAmI({ authorization: `Bearer ${access_token}` }),
    "the machine's key": byKey,
    "that a token is revoked": async () => !(await whoAmI({ authorization: `Bearer ${revoked}` })),
  };
  const bad = await findBad(checks);
  if (bad.length > 0) throw new Error(`not good from the start: ${bad}`);
  return checks;
}

async function fillGate(server: TestServer): Promise<Checks> {
  const apiKeyRate = { requests: 1000, perSeconds: 3600 };
  const policy = { apiKeyRate };
  const door = await createFrontdoor(server, { hostname: appHost, scheme: "https", policy });
  const provider = { name: "once", type: "API_KEY", data: {} };
  await send(`${server.url}/frontdoor/${door.id}/auth-providers`, {
    headers: { ...basic(server), "content-type": "application/json", "idempotency-key": "once" },
    body: JSON.stringify(provider),
  });
  const visitor = new GateVisitor(server, { origin: `https://${appHost}`, frontdoor: door });
  await visitor.person.signIn("hal@example.org");
  await joinDefault(visitor, basic(server));
  await visitor.open(`https://${appHost}/`);
  await tellPartners(server, door);
  const isLetIn = async (headers: Record<string, string>) =>
    (await getAssertion(server, door, headers)) !== "";
  const checks: Checks = {
    "hal's session at the app": async () => (await visitor.hop(`https://${appHost}/x`)).status === 200,
    "the key at the gate": () => isLetIn({ "x-api-key": door.apiKey }),
    "a token of the issuer at the gate": async () =>
      await isLetIn({ authorization: `Bearer ${await door.signToken()}` }),
  };
  const bad = await findBad(checks);
  if (bad.length > 0) throw new Error(`not good from the start: ${bad}`);
  return checks;
}

/** Somebody of another organization comes in at an app, and says that those who run it may know who they are. */
async function tellPartners(server: TestServer, door: TestFrontdoor): Promise<void> {
  const root = asRoot(server);
  const { organization } = await root("OrganizationService/CreateOrganization", {
    body: { name: "partners" },
  });
  const provider = { name: "partners", type: "VESTIBULE", data: { allowedOrgIds: [organization.id] } };
  const { id } = await door.call("POST", `/frontdoor/${door.id}/auth-providers`, provider);
  const frontend = { hostname: "partners.example.com", scheme: "https", authProviderIds: [id] };
  await door.call("POST", `/frontdoor/${door.id}/custom-frontends`, frontend);
  const origin = `https://${frontend.hostname}`;
  const visitor = new GateVisitor(server, { origin, frontdoor: door });
  await visitor.person.signIn("ida@example.org");
  const { user } = await good(visitor.person.call("GetCurrentUser"));
  const member = { org_id: organization.id, user_id: user.id, role: "viewer" };
  await root("OrganizationService/AddMember", member);
  await visitor.submit(await visitor.open(`${origin}/`));
}

/** The address that the servers of a state have. */
export function toUrl({ databaseUrl, dataDir }: ServerState): string {
  return databaseUrl ?? `sqlite:${dataDir}/vestibule.db`;
}

/** Every row of every table in the order of its key; or the keys alone, which stay whatever is noted of a row. */
export async function readAllRows(
  state: ServerState,
  { keysOnly = false } = {},
): Promise<ReadonlyMap<string, readonly object[]>> {
  const database = await openDatabase({ url: toUrl(state), log: silentLog });
  try {
    const rows = new Map<string, readonly object[]>();
    for (const { name, key } of await readTableShapes(database.reader)) {
      const order = sql.join(key.map((column) => sql.ref(column)));
      const found = await sql<object>`select ${keysOnly ? order : sql.raw("*")} from ${sql.table(name)}
        order by ${order}`.execute(database.reader);
      rows.set(name, found.rows);
    }
    return rows;
  } finally {
    await database.close();
  }
}
