/**
 * Every method that changes something leaves its record: who, what, on what,
 * from where, by which request, and no second one. The methods are read from
 * the schema, so a new one fails here until it is in the list, or is named as
 * one that changes nothing.
 */
import { MethodOptions_IdempotencyLevel as IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { FrontdoorService } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { GateService } from "@vestibule/proto/vestibule/v1/gate_service_pb";
import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { PersonalTokenService } from "@vestibule/proto/vestibule/v1/personal_token_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Action, type ActionSpec, actions } from "../server/src/audit/actions.ts";
import { SoftAuthenticator } from "./parts/authenticator.ts";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { GateVisitor, joinDefault } from "./parts/gate-visitor.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { type IdentityProvider, startIdentityProvider, walkRedirects } from "./parts/identity-provider.ts";
import { findCode, findLink, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";

const services = [
  AuditService,
  AuthService,
  FrontdoorAuthProviderService,
  FrontdoorService,
  FrontierService,
  GateService,
  OrganizationService,
  PersonalTokenService,
  ServiceUserService,
  UserService,
];

/** Methods that are not declared to be without side effects, and yet change nothing that a record could tell of. */
const changesNothing = new Set([
  "AuthService/Authenticate", // begins a flow; its end is recorded
  "AuthService/PingUserSession", // notes a device, as every use notes a time
  "FrontdoorAuthProviderService/TestAuthProvider", // asks a provider, stores nothing
  "FrontdoorAuthProviderService/WatchAuthProviderTest",
  "GateService/ExplainDecision", // decides, and lets nobody in
]);

/** Actions that no method and no route here makes. */
const notByCall: readonly Action[] = [
  "user.prove_email", // by signing in anew, like the next
  "user.take_over",
  "invitation.renew", // as it is created, ten minutes later
  "invitation.decline", // as it is deleted, by the invited
  "invitation.expire", // by the server itself
  "passkey.counter_regression",
  "passkey.sync",
  "sign_in.refuse",
  "user.refuse_email_change", // by a wrong code
  "mail.withhold", // by beginning a sign-in too often
  "mail.fail", // by the mail server
  "credential.refuse",
  "auth_provider.test", // changes nothing
  "gate.deny", // by a proxy
  "gate_login.refuse", // at pages, like the next
  "gate_login.confirm",
  "gate_session.create", // at a frontend, like the next
  "gate_session.sign_out",
  "signing_key.create", // by the server itself, like the next
  "signing_key.hasten",
  "signing_key.revoke",
  "signing_key.delete",
  "encryption_key.retire", // by the command line
];

const email = "ada@example.org";
const otherEmail = "ada@example.com";
const userAgent = "coverage/1";
const oidc = { issuer: "https://id.example", clientId: "abc" };

/** A client's page, which calls `AuthCallback`. */
const appPage = "https://app.example.org/callback";

let server: TestServer;
let person: Person;
/** Ids and secrets that steps answered and later ones need. */
const kept: Record<string, string> = {};

let acme: IdentityProvider;
let frontdoor: TestFrontdoor | undefined;

beforeAll(async () => {
  const port = await findFreePort();
  acme = await startIdentityProvider({
    accounts: { [email]: { email, email_verified: true } },
    redirectUris: [appPage],
  });
  const { issuer: issuer_url, clientId: client_id, clientSecret: client_secret } = acme;
  const provider = { issuer_url, client_id, client_secret, authoritative_domains: ["example.org"] };
  const authentication = { callback_urls: [appPage], oidc_config: { acme: provider } };
  server = await startServer({ port, config: { authentication } });
  person = new Person(server);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await acme?.stop();
});

type Headers = Record<string, string>;

/** What a step is expected to have recorded: the action, and type and id of its target if it has one. */
type Recorded = readonly [action: Action, type?: string, id?: string | undefined];

interface Step {
  /** `Service/Method`, or the path of an OAuth route. */
  readonly call: string;
  readonly run: (extra: Headers) => Promise<Answer>;
  // biome-ignore lint/suspicious/noExplicitAny: JSON as answered
  readonly keep?: (json: any) => Record<string, string | undefined>;
  /** Asked once the step is done. */
  readonly records: () => readonly Recorded[];
  /** Id of the organization it happens in; absent for what concerns the platform. */
  readonly org?: () => string | undefined;
  /** Who does it: the superuser unless stated. */
  readonly actor?: () => object;
}

const asPerson = () => ({ actor: { type: "user", id: kept.user }, credentialKind: "session" });
const asMachine = () => ({
  actor: { type: "serviceuser", id: kept.machine },
  credentialKind: "client_secret",
  credentialId: kept.secret,
});
const inOrg = { org: () => kept.org };

/** A call by the superuser. */
function manage(
  call: string,
  message: () => object,
  record: () => Recorded,
  more: Pick<Step, "org" | "keep"> = inOrg,
): Step {
  const run = (extra: Headers) =>
    postJson(server, `/vestibule.v1.${call}`, message(), { ...basic(server), ...extra });
  return { call, run, records: () => [record()], ...more };
}

/** A call of the person at AuthService. */
function own(method: string, message: () => object, record: () => Recorded, keep?: Step["keep"]): Step {
  const run = (extra: Headers) => person.call(method, message(), extra);
  const call = `AuthService/${method}`;
  return { call, run, records: () => [record()], actor: asPerson, ...(keep && { keep }) };
}

/** A call of the person about one of their tokens. */
function ofToken(method: string, message: () => object, action: Action): Step {
  const call = `PersonalTokenService/${method}`;
  return {
    call,
    run: (extra) => postJson(server, `/vestibule.v1.${call}`, message(), person.headers(extra)),
    records: () => [[action, "pat", kept.pat]],
    actor: asPerson,
    ...inOrg,
    keep: ({ pat }) => (pat === undefined ? {} : { pat: pat.id }),
  };
}

const tokenDraft = () => ({
  title: "laptop",
  org_id: kept.org,
  expires_at: new Date(Date.now() + 86_400_000).toISOString(),
  scopes: [{ role_id: "48cf69c9-ee22-5e93-ae8e-fa03c588a12c", resource_type: "app/organization" }],
});

/** An OAuth route, called by the machine. */
function oauth(path: string, fields: () => Record<string, string>, records: Step["records"]): Step {
  const credential = () => basic({ clientId: kept.secret ?? "", clientSecret: kept.secretText ?? "" });
  const run = (extra: Headers) =>
    send(`${server.url}${path}`, {
      headers: { ...credential(), "content-type": "application/x-www-form-urlencoded", ...extra },
      body: new URLSearchParams(fields()).toString(),
    });
  return {
    call: path,
    run,
    records,
    actor: asMachine,
    ...inOrg,
    keep: (json) => ({ token: json?.access_token }),
  };
}

async function signIn(extra: Headers): Promise<Answer> {
  const before = listMails(server);
  const { json } = await person.call("Authenticate", { strategyName: "mailotp", email });
  const code = findCode(await waitForMail(server, email, before, hasCode));
  return await person.call("AuthCallback", { state: json.state, code }, extra);
}

async function signInAtAcme(extra: Headers): Promise<Answer> {
  const { json } = await person.call("Authenticate", { strategyName: "acme", email });
  const back = await walkRedirects(json.endpoint, appPage);
  const code = back.searchParams.get("code");
  return await person.call("AuthCallback", { state: json.state, code }, extra);
}

async function addPasskey(extra: Headers): Promise<Answer> {
  const { json } = await person.call("Authenticate", { strategyName: "passkey" });
  const device = new SoftAuthenticator({ origin: `http://localhost:${server.port}` });
  const stateOptions = { options: device.create(json.stateOptions.options) };
  return await person.call("AuthCallback", { state: json.state, stateOptions }, extra);
}

/** After a sign-in: whose it is, and which session. */
async function readSession(): Promise<void> {
  const { user } = (await person.call("GetCurrentUser")).json;
  const { sessions } = (await person.call("ListSessions")).json;
  kept.user = user.id;
  kept.session = sessions.find((each: { isCurrentSession?: boolean }) => each.isCurrentSession).id;
}

const signedIn =
  (way: typeof signIn = signIn) =>
  async (extra: Headers) => {
    const answer = await way(extra);
    await readSession();
    return answer;
  };

/** Somebody who is in at an app, in organization `default`. */
async function comeIn() {
  const hostname = "gated.example.com";
  frontdoor ??= await createFrontdoor(server, { hostname, scheme: "https" });
  const visitor = new GateVisitor(server, { origin: `https://${hostname}`, frontdoor });
  await visitor.person.signIn("visitor@example.org");
  const userId = kept.visitor ?? (await joinDefault(visitor, basic(server)));
  await visitor.open(`https://${hostname}/`);
  const own = "/vestibule.v1.GateService/ListOwnGateSessions";
  const { json } = await postJson(server, own, {}, visitor.person.headers({}));
  const organization = "/vestibule.v1.OrganizationService/GetOrganization";
  const { id } = (await postJson(server, organization, { id: "default" }, basic(server))).json.organization;
  Object.assign(kept, { visitor: userId, gateSession: json.gateSessions[0].id, default: id });
  return { visitor, frontdoor };
}

/** A call that ends the session of somebody who has just come in. */
function endGateSession(
  method: string,
  toMessage: (frontdoor: TestFrontdoor) => object,
  isOwn = false,
): Step {
  return {
    call: `GateService/${method}`,
    async run(extra) {
      const { visitor, frontdoor: at } = await comeIn();
      const headers = isOwn ? visitor.person.headers(extra) : { ...basic(server), ...extra };
      return await postJson(server, `/vestibule.v1.GateService/${method}`, toMessage(at), headers);
    },
    records: () => [["gate_session.end", "gate-session", kept.gateSession]],
    org: () => kept.default,
    ...(isOwn && { actor: () => ({ actor: { type: "user", id: kept.visitor }, credentialKind: "session" }) }),
  };
}

const ofMachine = (more: object = {}) => ({ org_id: kept.org, id: kept.machine, ...more });
const ofProvider = (more: object = {}) => ({ frontdoor_id: kept.door, id: kept.provider, ...more });
const member = (more: object = {}) => ({ org_id: kept.org, user_id: kept.user, ...more });
const projectMember = () => ({
  org_id: kept.org,
  project_id: kept.project,
  principal_type: "app/serviceuser",
  principal_id: kept.machine,
});

/** As Frontier's clients name a project, by its id alone. */
const withoutOrg = ({ org_id: _, ...rest }: { readonly org_id?: unknown }) => rest;

const addMember = manage(
  "OrganizationService/AddMember",
  () => member(),
  () => ["member.add", "user", kept.user],
);

const steps: readonly Step[] = [
  manage(
    "UserService/InviteUser",
    () => ({ email }),
    () => ["user.invite"],
    {},
  ),
  {
    call: "AuthService/AuthCallback",
    run: signedIn(),
    records: () => [
      ["user.create", "user", kept.user],
      ["session.create", "session", kept.session],
    ],
    actor: asPerson,
  },
  {
    call: "AuthService/AuthCallback",
    run: signedIn(signInAtAcme),
    records: () => [
      ["identity.join", "user", kept.user],
      ["session.reauthenticate", "session", kept.session],
    ],
    actor: asPerson,
  },
  own(
    "UnlinkIdentity",
    () => ({ issuer: acme.issuer, subject: email }),
    () => ["identity.unlink", "user", kept.user],
  ),
  {
    call: "AuthService/AuthCallback",
    run: async (extra) => {
      const answer = await addPasskey(extra);
      kept.passkey = (await person.call("ListPasskeys")).json.passkeys[0].id;
      return answer;
    },
    records: () => [["passkey.add", "passkey", kept.passkey]],
    actor: asPerson,
  },
  own(
    "UpdateCurrentUser",
    () => ({ body: { title: "Ada" } }),
    () => ["user.update", "user", kept.user],
  ),
  own(
    "RenamePasskey",
    () => ({ id: kept.passkey, name: "phone" }),
    () => ["passkey.rename", "passkey", kept.passkey],
  ),
  own(
    "DeletePasskey",
    () => ({ id: kept.passkey }),
    () => ["passkey.remove", "passkey", kept.passkey],
  ),
  own(
    "AuthToken",
    () => ({}),
    () => ["token.issue", "token", kept.jti],
    ({ accessToken }) => ({
      jti: JSON.parse(Buffer.from(accessToken.split(".")[1], "base64url").toString()).jti,
    }),
  ),
  own(
    "RevokeSession",
    () => ({ sessionId: kept.session }),
    () => ["session.revoke", "session", kept.session],
  ),
  {
    call: "AuthService/AuthCallback",
    run: signedIn(),
    records: () => [["session.create", "session", kept.session]],
    actor: asPerson,
  },
  own(
    "RevokeAllSessions",
    () => ({ keepCurrent: true }),
    () => ["session.revoke_all", "user", kept.user],
  ),
  {
    call: "AuthService/ExportCurrentUser",
    run: (extra) => person.stream("ExportCurrentUser", extra),
    records: () => [["user.export", "user", kept.user]],
    actor: asPerson,
  },
  own(
    "BeginEmailChange",
    () => ({ email: otherEmail }),
    () => ["user.begin_email_change", "user", kept.user],
    ({ state }) => ({ state }),
  ),
  {
    call: "AuthService/FinishEmailChange",
    async run(extra) {
      const code = findCode(await waitForMail(server, otherEmail, [], hasCode));
      const answer = await person.call("FinishEmailChange", { state: kept.state, code }, extra);
      await readSession();
      return answer;
    },
    records: () => [
      ["user.change_email", "user", kept.user],
      ["session.create", "session", kept.session],
    ],
    actor: asPerson,
  },
  {
    call: "AuthService/UndoEmailChange",
    async run(extra) {
      const mail = await waitForMail(server, email, [], (text) => text.includes("was changed"));
      return await person.call("UndoEmailChange", { token: findLink(mail).searchParams.get("t") }, extra);
    },
    records: () => [["user.undo_email_change", "user", kept.user]],
    actor: () => ({ actor: { type: "user", id: kept.user }, credentialKind: "email_undo" }),
  },
  manage(
    "UserService/RevokeAllUserSessions",
    () => ({ user_id: kept.user }),
    () => ["session.revoke_all", "user", kept.user],
    {},
  ),
  {
    call: "AuthService/AuthCallback",
    run: signedIn(),
    records: () => [["session.create", "session", kept.session]],
    actor: asPerson,
  },
  manage(
    "UserService/RevokeUserSession",
    () => ({ session_id: kept.session }),
    () => ["user.revoke_session", "user", kept.user],
    {},
  ),
  {
    call: "AuthService/AuthCallback",
    run: signedIn(),
    records: () => [["session.create", "session", kept.session]],
    actor: asPerson,
  },
  own(
    "AuthLogout",
    () => ({}),
    () => ["session.sign_out", "session", kept.session],
  ),

  manage(
    "UserService/CreateUser",
    () => ({ body: { email: "given@example.org" } }),
    () => ["user.create", "user", kept.given],
    { keep: ({ user }) => ({ given: user.id }) },
  ),
  manage(
    "UserService/UpdateUser",
    () => ({ id: kept.given, body: { title: "Given" } }),
    () => ["user.update", "user", kept.given],
    {},
  ),
  manage(
    "UserService/UpdateUser",
    () => ({ id: kept.given, body: { email: "other@example.org" } }),
    () => ["user.change_email", "user", kept.given],
    {},
  ),

  manage(
    "OrganizationService/CreateOrganization",
    () => ({ body: { name: "acme" } }),
    () => ["organization.create", "organization", kept.org],
    { ...inOrg, keep: ({ organization }) => ({ org: organization.id }) },
  ),
  manage(
    "OrganizationService/UpdateOrganization",
    () => ({ id: kept.org, body: { title: "Acme", name: "acme-2" } }),
    () => ["organization.update", "organization", kept.org],
  ),
  addMember,
  manage(
    "FrontierService/SetOrganizationMemberRole",
    () => member({ role_id: "app_organization_manager" }),
    () => ["member.set_role", "user", kept.user],
  ),
  manage(
    "OrganizationService/SetMemberRole",
    () => member({ role: "viewer" }),
    () => ["member.set_role", "user", kept.user],
  ),
  manage(
    "FrontierService/CreatePolicy",
    () => ({
      body: {
        role_id: "app_organization_owner",
        resource: `app/organization:${kept.org}`,
        principal: `app/user:${kept.user}`,
      },
    }),
    () => ["member.set_role", "user", kept.user],
  ),
  {
    call: "AuthService/AuthCallback",
    run: signedIn(),
    records: () => [["session.create", "session", kept.session]],
    actor: asPerson,
  },
  ofToken("CreateCurrentUserPAT", tokenDraft, "pat.create"),
  ofToken(
    "UpdateCurrentUserPAT",
    () => ({ ...tokenDraft(), org_id: undefined, expires_at: undefined, id: kept.pat, title: "desk" }),
    "pat.update",
  ),
  ofToken(
    "RegenerateCurrentUserPAT",
    () => ({ id: kept.pat, expires_at: tokenDraft().expires_at }),
    "pat.regenerate",
  ),
  ofToken("DeleteCurrentUserPAT", () => ({ id: kept.pat }), "pat.delete"),
  own(
    "AuthLogout",
    () => ({}),
    () => ["session.sign_out", "session", kept.session],
  ),
  manage(
    "OrganizationService/CreateProject",
    () => ({ org_id: kept.org, name: "shop" }),
    () => ["project.create", "project", kept.project],
    { ...inOrg, keep: ({ project }) => ({ project: project.id }) },
  ),
  manage(
    "OrganizationService/UpdateProject",
    () => ({ id: kept.project, body: { title: "Shop" } }),
    () => ["project.update", "project", kept.project],
  ),

  manage(
    "ServiceUserService/CreateServiceUser",
    () => ({ org_id: kept.org, body: { title: "robot", role: "owner" } }),
    () => ["service_user.create", "serviceuser", kept.machine],
    { ...inOrg, keep: ({ serviceuser }) => ({ machine: serviceuser.id }) },
  ),
  manage(
    "ServiceUserService/UpdateServiceUser",
    () => ofMachine({ body: { title: "Robot" } }),
    () => ["service_user.update", "serviceuser", kept.machine],
  ),
  manage(
    "ServiceUserService/DisableServiceUser",
    () => ofMachine(),
    () => ["service_user.disable", "serviceuser", kept.machine],
  ),
  manage(
    "ServiceUserService/EnableServiceUser",
    () => ofMachine(),
    () => ["service_user.enable", "serviceuser", kept.machine],
  ),
  manage(
    "ServiceUserService/CreateServiceUserCredential",
    () => ofMachine({ title: "one" }),
    () => ["credential.create", "credential", kept.first],
    { ...inOrg, keep: ({ secret }) => ({ first: secret.id }) },
  ),
  manage(
    "ServiceUserService/RotateServiceUserCredential",
    () => ofMachine({ secret_id: kept.first }),
    () => ["credential.rotate", "credential", kept.first],
    { ...inOrg, keep: ({ secret }) => ({ secret: secret.id, secretText: secret.secret }) },
  ),
  manage(
    "ServiceUserService/DeleteServiceUserCredential",
    () => ofMachine({ secret_id: kept.first }),
    () => ["credential.delete", "credential", kept.first],
  ),
  manage(
    "ServiceUserService/CreateServiceUserJWK",
    () => ofMachine({ title: "key" }),
    () => ["key.create", "key", kept.key],
    { ...inOrg, keep: ({ key }) => ({ key: key.kid }) },
  ),
  manage(
    "ServiceUserService/DeleteServiceUserJWK",
    () => ofMachine({ key_id: kept.key }),
    () => ["key.delete", "key", kept.key],
  ),
  manage(
    "ServiceUserService/CreateServiceUserToken",
    () => ofMachine({ title: "token" }),
    () => ["token.create", "token", kept.opaque],
    { ...inOrg, keep: ({ token }) => ({ opaque: token.id, opaqueText: token.token }) },
  ),
  manage(
    "ServiceUserService/DeleteServiceUserToken",
    () => ofMachine({ token_id: kept.opaque }),
    () => ["token.delete", "token", kept.opaque],
  ),
  manage("OrganizationService/AddProjectMember", projectMember, () => [
    "project.add_member",
    "serviceuser",
    kept.machine,
  ]),
  manage("OrganizationService/RemoveProjectMember", projectMember, () => [
    "project.remove_member",
    "serviceuser",
    kept.machine,
  ]),
  manage(
    "FrontierService/SetProjectMemberRole",
    () => ({ ...withoutOrg(projectMember()), role_id: "app_project_owner" }),
    () => ["project.add_member", "serviceuser", kept.machine],
  ),
  manage(
    "FrontierService/RemoveProjectMember",
    () => withoutOrg(projectMember()),
    () => ["project.remove_member", "serviceuser", kept.machine],
  ),
  manage(
    "FrontierService/CreatePolicyForProject",
    () => ({
      project_id: kept.project,
      body: { role_id: "app_project_viewer", principal: `app/serviceuser:${kept.machine}` },
    }),
    () => ["project.add_member", "serviceuser", kept.machine],
  ),
  manage(
    "FrontierService/DeletePolicy",
    () => ({ id: `${kept.project}.serviceuser.${kept.machine}` }),
    () => ["project.remove_member", "serviceuser", kept.machine],
  ),

  oauth(
    "/oauth2/token",
    () => ({ grant_type: "client_credentials" }),
    () => [["token.issue", "token", readJti(kept.token)]],
  ),
  oauth(
    "/oauth2/introspect",
    () => ({ token: kept.token ?? "" }),
    () => [],
  ),
  oauth(
    "/oauth2/revoke",
    () => ({ token: kept.token ?? "" }),
    () => [["token.revoke", "token", readJti(kept.token)]],
  ),

  manage(
    "FrontdoorService/CreateFrontdoor",
    () => ({ organization_id: kept.org, name: "door" }),
    () => ["frontdoor.create", "frontdoor", kept.door],
    { ...inOrg, keep: ({ frontdoor }) => ({ door: frontdoor.id }) },
  ),
  manage(
    "FrontdoorAuthProviderService/CreateAuthProvider",
    () => ({ frontdoor_id: kept.door, name: "oidc", type: "OIDC", data: oidc }),
    () => ["auth_provider.create", "auth-provider", kept.provider],
    { ...inOrg, keep: ({ authProvider }) => ({ provider: authProvider.id }) },
  ),
  manage(
    "FrontdoorAuthProviderService/UpdateAuthProvider",
    () => ofProvider({ name: "renamed" }),
    () => ["auth_provider.update", "auth-provider", kept.provider],
  ),
  manage(
    "FrontdoorAuthProviderService/ReplaceAuthProvider",
    () => ofProvider({ name: "again", type: "OIDC", data: oidc }),
    () => ["auth_provider.replace", "auth-provider", kept.provider],
  ),
  manage(
    "FrontdoorAuthProviderService/RollbackAuthProvider",
    () => ofProvider({ revision: 1 }),
    () => ["auth_provider.rollback", "auth-provider", kept.provider],
  ),
  manage(
    "FrontdoorService/CreateCustomFrontend",
    () => ({ frontdoor_id: kept.door, hostname: "app.example", auth_provider_ids: [] }),
    () => ["custom_frontend.create", "custom-frontend", kept.frontend],
    { ...inOrg, keep: ({ customFrontend }) => ({ frontend: customFrontend.id }) },
  ),
  manage(
    "FrontdoorService/ReplaceCustomFrontend",
    () => ({ frontdoor_id: kept.door, id: kept.frontend, hostname: "www.example" }),
    () => ["custom_frontend.replace", "custom-frontend", kept.frontend],
  ),
  manage(
    "FrontdoorService/DeleteCustomFrontend",
    () => ({ frontdoor_id: kept.door, id: kept.frontend }),
    () => ["custom_frontend.delete", "custom-frontend", kept.frontend],
  ),
  manage(
    "FrontdoorService/CreateProxyToken",
    () => ({ frontdoor_id: kept.door, title: "edge" }),
    () => ["proxy_token.create", "proxy-token", kept.proxyToken],
    { ...inOrg, keep: ({ proxyToken }) => ({ proxyToken: proxyToken.id }) },
  ),
  manage(
    "FrontdoorService/DeleteProxyToken",
    () => ({ frontdoor_id: kept.door, id: kept.proxyToken }),
    () => ["proxy_token.delete", "proxy-token", kept.proxyToken],
  ),
  endGateSession("EndGateSession", ({ id }) => ({ frontdoor_id: id, id: kept.gateSession })),
  endGateSession("EndGateSessions", ({ id, vestibuleProviderId }) => ({
    frontdoor_id: id,
    auth_provider_id: vestibuleProviderId,
    subject: kept.visitor,
  })),
  endGateSession("EndOwnGateSession", () => ({ id: kept.gateSession }), true),
  manage(
    "FrontdoorAuthProviderService/DeleteAuthProvider",
    () => ofProvider(),
    () => ["auth_provider.delete", "auth-provider", kept.provider],
  ),
  manage(
    "FrontdoorAuthProviderService/CreateAuthProvider",
    () => ({ frontdoor_id: kept.door, name: "keys", type: "API_KEY", data: {} }),
    () => ["auth_provider.create", "auth-provider", kept.provider],
    { ...inOrg, keep: ({ authProvider }) => ({ provider: authProvider.id }) },
  ),
  manage(
    "FrontdoorAuthProviderService/CreateApiKey",
    () => ofProvider({ title: "key" }),
    () => ["api_key.create", "api-key", kept.apiKey],
    { ...inOrg, keep: ({ apiKey }) => ({ apiKey: apiKey.id }) },
  ),
  manage(
    "FrontdoorAuthProviderService/DeleteApiKey",
    () => ofProvider({ key_id: kept.apiKey }),
    () => ["api_key.delete", "api-key", kept.apiKey],
  ),
  manage(
    "FrontdoorService/DeleteFrontdoor",
    () => ({ id: kept.door }),
    () => ["frontdoor.delete", "frontdoor", kept.door],
  ),

  manage(
    "FrontierService/CreateProject",
    () => ({ body: { org_id: kept.org, name: "store" } }),
    () => ["project.create", "project", kept.store],
    { ...inOrg, keep: ({ project }) => ({ store: project.id }) },
  ),
  manage(
    "FrontierService/DeleteProject",
    () => ({ id: kept.store }),
    () => ["project.delete", "project", kept.store],
  ),
  manage(
    "OrganizationService/DeleteProject",
    () => ({ org_id: kept.org, project_id: kept.project }),
    () => ["project.delete", "project", kept.project],
  ),
  manage(
    "OrganizationService/RemoveMember",
    () => member(),
    () => ["member.remove", "user", kept.user],
  ),
  addMember,
  manage(
    "FrontierService/RemoveOrganizationMember",
    () => ({ org_id: kept.org, principal_id: kept.user, principal_type: "app/user" }),
    () => ["member.remove", "user", kept.user],
  ),
  addMember,
  manage(
    "FrontierService/RemoveOrganizationUser",
    () => ({ id: kept.org, user_id: kept.user }),
    () => ["member.remove", "user", kept.user],
  ),
  manage(
    "OrganizationService/CreateOrganizationInvitation",
    () => ({ org_id: kept.org, user_ids: ["bob@example.org"] }),
    () => ["invitation.create", "invitation", kept.invitation],
    { ...inOrg, keep: ({ invitations }) => ({ invitation: invitations[0].id }) },
  ),
  manage(
    "OrganizationService/DeleteOrganizationInvitation",
    () => ({ org_id: kept.org, id: kept.invitation }),
    () => ["invitation.delete", "invitation", kept.invitation],
  ),
  manage(
    "OrganizationService/CreateOrganizationInvitation",
    () => ({ org_id: kept.org, user_ids: [email] }),
    () => ["invitation.create", "invitation", kept.invitation],
    { ...inOrg, keep: ({ invitations }) => ({ invitation: invitations[0].id }) },
  ),
  {
    call: "AuthService/AuthCallback",
    run: signedIn(),
    records: () => [["session.create", "session", kept.session]],
    actor: asPerson,
  },
  {
    call: "FrontierService/CreateCurrentUserPreferences",
    run: (extra) => {
      const path = "/vestibule.v1.FrontierService/CreateCurrentUserPreferences";
      const message = { bodies: [{ name: "newsletter", value: "true" }] };
      return postJson(server, path, message, person.headers(extra));
    },
    records: () => [["user.update", "user", kept.user]],
    actor: asPerson,
  },
  {
    call: "OrganizationService/AcceptOrganizationInvitation",
    run: (extra) => {
      const path = "/vestibule.v1.OrganizationService/AcceptOrganizationInvitation";
      const message = { org_id: kept.org, id: kept.invitation };
      return postJson(server, path, message, person.headers(extra));
    },
    records: () => [
      ["invitation.accept", "invitation", kept.invitation],
      ["member.add", "user", kept.user],
    ],
    actor: asPerson,
    ...inOrg,
  },
  manage(
    "ServiceUserService/UpdateServiceUser",
    () => ofMachine({ body: { metadata: { team: "x" } } }),
    () => ["service_user.update", "serviceuser", kept.machine],
  ),
  manage(
    "OrganizationService/DisableOrganization",
    () => ({ id: kept.org }),
    () => ["organization.disable", "organization", kept.org],
  ),
  manage(
    "OrganizationService/EnableOrganization",
    () => ({ id: kept.org }),
    () => ["organization.enable", "organization", kept.org],
  ),
  manage(
    "ServiceUserService/CreateServiceUser",
    () => ({ org_id: kept.org, body: { title: "successor", role: "owner" } }),
    () => ["service_user.create", "serviceuser", kept.successor],
    { ...inOrg, keep: ({ serviceuser }) => ({ successor: serviceuser.id }) },
  ),
  manage(
    "ServiceUserService/DeleteServiceUser",
    () => ofMachine(),
    () => ["service_user.delete", "serviceuser", kept.machine],
  ),
  manage(
    "OrganizationService/DeleteOrganization",
    () => ({ id: kept.org }),
    () => ["organization.delete", "organization", kept.org],
  ),
  manage(
    "UserService/DisableUser",
    () => ({ id: kept.user }),
    () => ["user.disable", "user", kept.user],
    {},
  ),
  manage(
    "UserService/EnableUser",
    () => ({ id: kept.user }),
    () => ["user.enable", "user", kept.user],
    {},
  ),
  manage(
    "UserService/DeleteUser",
    () => ({ id: kept.user }),
    () => ["user.delete", "user", kept.user],
    {},
  ),
  {
    call: "AuthService/DeleteCurrentUser",
    async run(extra) {
      await signIn({});
      await readSession();
      return await person.call("DeleteCurrentUser", {}, extra);
    },
    records: () => [["user.delete", "user", kept.user]],
    actor: asPerson,
  },
];

function readJti(token = ""): string {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).jti;
}

it("names every method of the schema that may change something", () => {
  const changing = services.flatMap((service) =>
    service.methods
      .filter(({ idempotency }) => idempotency !== IdempotencyLevel.NO_SIDE_EFFECTS)
      .map((method) => `${service.name}/${method.name}`)
      .filter((name) => !changesNothing.has(name)),
  );
  const called = new Set(steps.map(({ call }) => call).filter((call) => !call.startsWith("/")));
  expect([...called].toSorted()).toEqual(changing.toSorted());
});

it("leaves the records of each change, no more and no fewer", async () => {
  const superuser = {
    actor: { type: "serviceuser", id: (await whoIs(server)).id },
    credentialKind: "client_secret",
    credentialId: server.clientId,
  };
  const recordedActions = new Set<Action>();
  for (const [index, step] of steps.entries()) {
    const requestId = `coverage-${index}`;
    const answer = await step.run({ "user-agent": userAgent, "x-request-id": requestId });
    expect(answer.status, `${step.call}: ${answer.text}`).toBe(200);
    expect(answer.headers["x-request-id"]).toBe(requestId);
    Object.assign(kept, definedOf(step.keep?.(answer.json) ?? {}));
    const recorded = step.records();
    const expected = recorded.map(([action, type, id]) => ({
      action,
      ...(type !== undefined && { target: { type, id } }),
      ...(step.org && { orgId: step.org() }),
      ...(step.actor?.() ?? superuser),
      result: "success",
      requestId,
      clientAddress: "127.0.0.1",
      userAgent,
    }));
    await expect
      .poll(() => find(requestId), { interval: 20, message: step.call })
      .toHaveLength(recorded.length);
    const found = await find(requestId);
    expect(found, step.call).toMatchObject(expected);
    for (const { action, orgId, details = {} } of found) {
      recordedActions.add(action);
      if (step.org === undefined) expect(orgId).toBeUndefined();
      const { details: needed = [], more = [] }: ActionSpec = actions[action];
      expect(Object.keys(details), action).toEqual(expect.arrayContaining([...needed]));
      expect([...needed, ...more], action).toEqual(expect.arrayContaining(Object.keys(details)));
    }
  }
  expect([...recordedActions, ...notByCall].toSorted()).toEqual(Object.keys(actions).toSorted());
  // Nothing came later to one of them.
  for (const [index, step] of steps.entries()) {
    expect(await find(`coverage-${index}`), step.call).toHaveLength(step.records().length);
  }
});

/** Oldest first. */
async function find(
  requestId: string,
): Promise<{ action: Action; orgId?: string; details?: Record<string, string> }[]> {
  const message = { request_id: requestId };
  const { json } = await postJson(
    server,
    `/${AuditService.typeName}/ListAuditRecords`,
    message,
    basic(server),
  );
  return (json.records ?? []).toReversed();
}

async function whoIs(machine: TestServer): Promise<{ id: string }> {
  const path = `/${AuthService.typeName}/GetCurrentUser`;
  return (await postJson(machine, path, {}, basic(machine))).json.serviceuser;
}

function definedOf(values: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).filter((each): each is [string, string] => each[1] !== undefined),
  );
}
