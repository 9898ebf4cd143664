/**
 * Every refused credential leaves exactly one record, whichever surface it
 * came to: what kind it was, whose as far as that is known, and why, which its
 * sender is not told.
 */
import { generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const orgId = "default";

type Headers = Record<string, string>;

interface Machine {
  readonly id: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly tokenId: string;
  readonly token: string;
  readonly kid: string;
  readonly privateKey: KeyObject;
}

let server: TestServer;
let machine: Machine;
let other: Machine;
let disabled: Machine;

const manage = async (method: string, message: object) => {
  const answer = await postJson(
    server,
    `/vestibule.v1.ServiceUserService/${method}`,
    { org_id: orgId, ...message },
    basic(server),
  );
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
};

async function createMachine(): Promise<Machine> {
  const { id } = (await manage("CreateServiceUser", {})).serviceuser;
  const { secret } = await manage("CreateServiceUserCredential", { id });
  const { token } = await manage("CreateServiceUserToken", { id });
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { key } = await manage("CreateServiceUserJWK", {
    id,
    public_jwk: publicKey.export({ format: "jwk" }),
  });
  return {
    id,
    clientId: secret.id,
    clientSecret: secret.secret,
    tokenId: token.id,
    token: token.token,
    kid: key.kid,
    privateKey,
  };
}

beforeAll(async () => {
  server = await startServer();
  [machine, other, disabled] = await Promise.all([createMachine(), createMachine(), createMachine()]);
  await manage("DisableServiceUser", { id: disabled.id });
});
afterAll(() => server?.[Symbol.asyncDispose]());

const rpc = (method: string, message: object, headers: Headers) =>
  postJson(server, `/vestibule.v1.AuthService/${method}`, message, headers);
const whoAmI = (headers: Headers) => rpc("GetCurrentUser", {}, headers);
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const oauth = (path: string, fields: Record<string, string>, headers: Headers) =>
  send(`${server.url}/oauth2/${path}`, {
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
    body: new URLSearchParams(fields).toString(),
  });

async function signAssertion(by: Machine, claims: object = {}, kid = by.kid): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const own = {
    iss: by.id,
    sub: by.id,
    aud: `http://localhost:${server.port}`,
    exp: now + 60,
    jti: randomUUID(),
  };
  return await new SignJWT({ ...own, ...claims })
    .setProtectedHeader({ alg: "ES256", kid })
    .sign(by.privateKey);
}

/** A token made well by a credential that is gone since. */
async function makeOrphan(): Promise<{ token: string; secretId: string }> {
  const { secret } = await manage("CreateServiceUserCredential", { id: machine.id });
  const { json } = await rpc("AuthToken", {}, basic({ clientId: secret.id, clientSecret: secret.secret }));
  await manage("DeleteServiceUserCredential", { id: machine.id, secret_id: secret.id });
  return { token: json.accessToken, secretId: secret.id };
}

async function makeRevoked(): Promise<string> {
  const { json } = await rpc("AuthToken", {}, basic(machine));
  const revoked = await oauth("revoke", { token: json.accessToken }, basic(machine));
  expect(revoked.status).toBe(200);
  return json.accessToken;
}

const ofMachine = (who: () => Machine) => () => ({ actor: { type: "serviceuser", id: who().id } });
const wrongSecret = (who: () => Machine) => () => ({
  ...ofMachine(who)(),
  credentialKind: "client_secret",
  credentialId: who().clientId,
});

interface Refusal {
  readonly run: (headers: Headers) => Promise<Answer>;
  readonly status: number;
  readonly reason?: string;
  /** What of the record says whose it was. */
  readonly record: () => object;
  readonly detail: RegExp;
}

const nobody = { actor: undefined, orgId: undefined };

const refusals: Record<string, Refusal> = {
  "a mistyped secret": {
    run: (headers) =>
      whoAmI({ ...headers, ...basic({ ...machine, clientSecret: `${machine.clientSecret.slice(0, -1)}!` }) }),
    status: 401,
    record: wrongSecret(() => machine),
    detail: /^mistyped secret: client secret/,
  },
  "a wrong secret for a token": {
    run: (headers) =>
      oauth(
        "token",
        { grant_type: "client_credentials", client_id: machine.clientId, client_secret: other.clientSecret },
        headers,
      ),
    status: 401,
    record: wrongSecret(() => machine),
    detail: /^wrong secret: client secret/,
  },
  "a wrong secret at introspection": {
    run: (headers) =>
      oauth(
        "introspect",
        { token: "x" },
        { ...headers, ...basic({ ...machine, clientSecret: other.clientSecret }) },
      ),
    status: 401,
    record: wrongSecret(() => machine),
    detail: /^wrong secret/,
  },
  "a wrong secret at revocation": {
    run: (headers) =>
      oauth(
        "revoke",
        { token: "x" },
        { ...headers, ...basic({ ...machine, clientSecret: other.clientSecret }) },
      ),
    status: 401,
    record: wrongSecret(() => machine),
    detail: /^wrong secret/,
  },
  "an unknown client": {
    run: (headers) => rpc("AuthToken", {}, { ...headers, ...basic({ ...machine, clientId: machine.id }) }),
    status: 401,
    record: () => ({ ...nobody, credentialKind: "client_secret", credentialId: machine.id }),
    detail: /^unknown client id$/,
  },
  "a deleted secret": {
    run: async (headers) => {
      const { secret } = await manage("CreateServiceUserCredential", { id: machine.id, title: "old" });
      await manage("DeleteServiceUserCredential", { id: machine.id, secret_id: secret.id });
      const gone = { clientId: secret.id, clientSecret: secret.secret };
      return await oauth("token", { grant_type: "client_credentials" }, { ...headers, ...basic(gone) });
    },
    status: 401,
    record: () => ({ ...ofMachine(() => machine)(), orgId: expect.any(String) }),
    detail: /^deleted: client secret [0-9a-f-]{36} "old" of service user [0-9a-f-]{36}$/,
  },
  "a deleted key": {
    run: async (headers) => {
      const gone = await createMachine();
      const assertion = await signAssertion(gone);
      await manage("DeleteServiceUserJWK", { id: gone.id, key_id: gone.kid });
      return await oauth("token", { grant_type: jwtBearer, assertion }, headers);
    },
    status: 400,
    record: () => ({ actor: { type: "serviceuser", id: expect.any(String) }, credentialKind: "key_pair" }),
    detail: /^deleted: key pair [0-9a-f-]{36} "" of service user/,
  },
  "the secret of a deleted machine": {
    run: async (headers) => {
      const gone = await createMachine();
      await manage("DeleteServiceUser", { id: gone.id });
      return await whoAmI({ ...headers, ...basic(gone) });
    },
    status: 401,
    record: () => ({ actor: { type: "serviceuser", id: expect.any(String) }, orgId: expect.any(String) }),
    detail: /^deleted: client secret/,
  },
  "the id of a token with a secret": {
    run: (headers) => whoAmI({ ...headers, ...basic({ ...machine, clientId: machine.tokenId }) }),
    status: 401,
    record: () => ({ ...ofMachine(() => machine)(), credentialId: machine.tokenId }),
    detail: /^of another kind: opaque token/,
  },
  "a client whose id is none": {
    run: (headers) => whoAmI({ ...headers, ...basic({ ...machine, clientId: "somebody" }) }),
    status: 401,
    record: () => ({ ...nobody, credentialKind: "client_secret", credentialId: undefined }),
    detail: /^client id is not a UUID$/,
  },
  "a disabled machine's secret": {
    run: (headers) => whoAmI({ ...headers, ...basic(disabled) }),
    status: 403,
    reason: "PRINCIPAL_DISABLED",
    record: wrongSecret(() => disabled),
    detail: /^service user .* is disabled$/,
  },
  "a disabled machine's token": {
    run: (headers) => rpc("AuthToken", {}, { ...headers, ...bearer(disabled.token) }),
    status: 403,
    reason: "PRINCIPAL_DISABLED",
    record: () => ({
      ...ofMachine(() => disabled)(),
      credentialKind: "opaque_token",
      credentialId: disabled.tokenId,
    }),
    detail: /is disabled$/,
  },
  "a disabled machine's assertion": {
    run: async (headers) =>
      oauth("token", { grant_type: jwtBearer, assertion: await signAssertion(disabled) }, headers),
    status: 400,
    reason: "PRINCIPAL_DISABLED",
    record: () => ({
      ...ofMachine(() => disabled)(),
      credentialKind: "key_pair",
      credentialId: disabled.kid,
    }),
    detail: /is disabled$/,
  },
  "an opaque token nobody has": {
    run: (headers) => whoAmI({ ...headers, ...bearer(`vstt_${"A".repeat(49)}`) }),
    status: 401,
    record: () => ({ ...nobody, credentialKind: "opaque_token" }),
    detail: /^mistyped opaque token$/,
  },
  "an opaque token under a foreign id": {
    run: (headers) => whoAmI({ ...headers, ...basic({ clientId: other.id, clientSecret: machine.token }) }),
    status: 401,
    record: () => ({ ...ofMachine(() => machine)(), credentialId: machine.tokenId }),
    detail: /^presented under a foreign id: opaque token/,
  },
  "a token whose credential was deleted": {
    run: async (headers) => whoAmI({ ...headers, ...bearer((await makeOrphan()).token) }),
    status: 401,
    record: () => ({
      ...ofMachine(() => machine)(),
      credentialKind: "access_token",
      orgId: expect.any(String),
    }),
    detail: /^the token's credential .* was deleted$/,
  },
  "a revoked token": {
    run: async (headers) => whoAmI({ ...headers, "x-user-token": await makeRevoked() }),
    status: 401,
    record: () => ({
      ...ofMachine(() => machine)(),
      credentialKind: "access_token",
      credentialId: machine.clientId,
      orgId: expect.any(String),
    }),
    detail: /^token: revoked$/,
  },
  "a forged token": {
    run: (headers) => whoAmI({ ...headers, ...bearer("e30.e30.e30") }),
    status: 401,
    record: () => ({ ...nobody, credentialKind: "access_token" }),
    detail: /^token: typ is not at\+jwt$/,
  },
  "an assertion of another's key": {
    run: async (headers) =>
      rpc(
        "AuthToken",
        { grantType: jwtBearer, assertion: await signAssertion(other, { iss: machine.id, sub: machine.id }) },
        headers,
      ),
    status: 401,
    record: () => ({ ...ofMachine(() => other)(), credentialKind: "key_pair", credentialId: other.kid }),
    detail: /sub is not the key's service user$/,
  },
  "an assertion with somebody's kid": {
    run: async (headers) =>
      oauth(
        "token",
        { grant_type: jwtBearer, assertion: await signAssertion(other, {}, machine.kid) },
        headers,
      ),
    status: 400,
    record: () => ({ ...nobody, credentialKind: "key_pair" }),
    detail: /^assertion: bad signature$/,
  },
  "an assertion that was used": {
    run: async (headers) => {
      const fields = {
        grant_type: "client_credentials",
        client_assertion_type: assertionType,
        client_assertion: await signAssertion(machine),
      };
      expect((await oauth("token", fields, {})).status).toBe(200);
      return await oauth("token", fields, headers);
    },
    status: 401,
    record: () => ({
      ...ofMachine(() => machine)(),
      credentialKind: "key_pair",
      credentialId: machine.kid,
    }),
    detail: /its jti was used before$/,
  },
  "a header that cannot be read": {
    run: (headers) => whoAmI({ ...headers, authorization: "Digest x" }),
    status: 401,
    record: () => ({ ...nobody, credentialKind: "malformed" }),
    detail: /^unknown authorization scheme$/,
  },
  "a header that the token endpoint cannot read": {
    run: (headers) =>
      oauth("token", { grant_type: "client_credentials" }, { ...headers, authorization: "Basic !" }),
    status: 401,
    record: () => ({ ...nobody, credentialKind: "malformed" }),
    detail: /^basic: not base64/,
  },
  "two callers in one request": {
    run: async (headers) => {
      const { json } = await rpc("AuthToken", {}, basic(other));
      return await whoAmI({ ...headers, ...basic(machine), "x-user-token": json.accessToken });
    },
    status: 401,
    record: () => ({ credentialKind: "client_secret" }),
    detail: /^two credentials name different principals$/,
  },
  "a session that was ended": {
    run: async (headers) => {
      const person = new Person(server);
      await person.signIn("ada@example.org");
      const before = person.headers();
      await person.call("AuthLogout");
      return await whoAmI({ ...before, ...headers });
    },
    status: 401,
    record: () => ({ ...nobody, credentialKind: "session" }),
    detail: /^session was ended$/,
  },
};

it.each(Object.entries(refusals))("%s", async (name, { run, status, reason, record, detail }) => {
  const requestId = `refused-${name.replaceAll(/[^a-z]/g, "-")}`;
  const answer = await run({ "x-request-id": requestId, "user-agent": "prober/1" });
  expect(answer.status, answer.text).toBe(status);
  expect(answer.text).not.toMatch(/mistyped|wrong|disabled|revoked|deleted|kind|jti|ended|UUID/);
  const find = async () => {
    const message = { request_id: requestId, result: "refused" };
    const path = "/vestibule.v1.AuditService/ListAuditRecords";
    return (await postJson(server, path, message, basic(server))).json.records ?? [];
  };
  await expect.poll(find, { interval: 20 }).toHaveLength(1);
  const [found] = await find();
  expect({ actor: undefined, orgId: undefined, credentialId: undefined, ...found }).toMatchObject({
    action: "credential.refuse",
    result: "refused",
    reason: reason ?? "NOT_AUTHENTICATED",
    detail: expect.stringMatching(detail),
    requestId,
    clientAddress: "127.0.0.1",
    userAgent: "prober/1",
    ...record(),
  });
});
