/** The client and the real server: every credential over every protocol, rotation, revocation and restarts. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { Code } from "@connectrpc/connect";
import { exportJWK, generateKeyPair } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tlsCertificate, tlsEnvironment } from "../../../test/parts/http.ts";
import { createState, runVestibule, startServer, type TestServer } from "../../../test/parts/server.ts";
import {
  accessToken,
  type Credential,
  clientSecret,
  createVerifier,
  createVestibule,
  findReason,
  getFieldViolations,
  keyPair,
  opaqueToken,
  type Protocol,
  type Vestibule,
  watchAuthProviders,
} from "../src/index.ts";
import { createTestClock, rejectionOf } from "./support.ts";

const orgId = "default";
let server: TestServer;
let issuer: string;
let admin: Vestibule;

beforeAll(async () => {
  server = await startServer();
  issuer = `http://localhost:${server.port}`;
  admin = createVestibule({ baseUrl: server.url, credentials: clientSecret(server) });
});
afterAll(async () => {
  admin?.close();
  await server?.[Symbol.asyncDispose]();
});

async function createMachine(role = "viewer"): Promise<string> {
  const { serviceuser } = await admin.serviceUsers.createServiceUser({ orgId, body: { title: "CI", role } });
  return serviceuser?.id ?? "";
}

async function createSecret(id: string): Promise<{ clientId: string; clientSecret: string }> {
  const { secret } = await admin.serviceUsers.createServiceUserCredential({ id, orgId });
  return { clientId: secret?.id ?? "", clientSecret: secret?.secret ?? "" };
}

/** Makes a credential of each kind for a service user. */
const makers: Record<string, (id: string) => Promise<Credential>> = {
  "a client secret": async (id) => clientSecret(await createSecret(id)),
  "a key pair made there": async (id) => {
    const { key } = await admin.serviceUsers.createServiceUserJWK({ id, orgId });
    const { kid = "", principalId = "", privateKey = "" } = key ?? {};
    return keyPair({ serviceUserId: principalId, keyId: kid, privateKey });
  },
  ...Object.fromEntries(
    ["ES256", "EdDSA", "RS256"].map((algorithm) => [
      `a key pair of its own, ${algorithm}`,
      async (id: string) => {
        const { publicKey, privateKey } = await generateKeyPair(algorithm);
        const publicJwk = { ...(await exportJWK(publicKey)) } as Record<string, string>;
        const { key } = await admin.serviceUsers.createServiceUserJWK({ id, orgId, publicJwk });
        return keyPair({ serviceUserId: id, keyId: key?.kid ?? "", privateKey });
      },
    ]),
  ),
  "an opaque token": async (id) => {
    const { token } = await admin.serviceUsers.createServiceUserToken({ id, orgId });
    return opaqueToken(token?.token ?? "");
  },
  "tokens from elsewhere": async (id) => {
    const source = createVestibule({
      baseUrl: server.url,
      credentials: clientSecret(await createSecret(id)),
    });
    return accessToken(() => source.getAccessToken());
  },
};

const protocols: readonly (readonly [Protocol, "1.1" | "2"])[] = [
  ["connect", "1.1"],
  ["connect", "2"],
  ["grpc", "2"],
  ["grpc-web", "1.1"],
  ["grpc-web", "2"],
];

describe.each(Object.entries(makers))("%s", (_, make) => {
  it.each(protocols)("is a service user by %s over HTTP/%s", async (protocol, httpVersion) => {
    const id = await createMachine();
    const credentials = await make(id);
    using vestibule = createVestibule({ baseUrl: server.url, issuer, credentials, protocol, httpVersion });
    const current = await vestibule.auth.getCurrentUser({});
    expect(current.serviceuser?.id).toBe(id);

    const verifier = createVerifier({ issuer, audience: issuer });
    const claims = await verifier.verifyAccessToken(await vestibule.getAccessToken());
    expect(claims).toMatchObject({ sub: id, sub_type: "app/serviceuser", gen: "system" });

    const response = await fetch(`${server.url}/vestibule.v1.AuthService/GetCurrentUser`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${await vestibule.getAccessToken()}`,
        "content-type": "application/json",
      },
      body: "{}",
    });
    expect(await response.json()).toMatchObject({ serviceuser: { id } });
  });

  it("of a deleted service user is refused, with the reason", async () => {
    const id = await createMachine();
    const credentials = await make(id);
    await admin.serviceUsers.deleteServiceUser({ id, orgId });
    using vestibule = createVestibule({ baseUrl: server.url, issuer, credentials });
    const error = await rejectionOf(vestibule.auth.getCurrentUser({}));
    expect(error).toMatchObject({ code: Code.Unauthenticated });
    expect(findReason(error)).toBe("NOT_AUTHENTICATED");
  });
});

it("a key pair made out to another issuer is refused", async () => {
  const id = await createMachine();
  const credentials = await makers["a key pair made there"]?.(id);
  // The address is not the public URL, and nothing says what that is.
  using vestibule = createVestibule({ baseUrl: server.url, ...(credentials && { credentials }) });
  await expect(vestibule.getAccessToken()).rejects.toMatchObject({ code: Code.Unauthenticated });
});

it("every service answers, over one connection, under load", async () => {
  const id = await createMachine();
  using vestibule = createVestibule({
    baseUrl: server.url,
    credentials: clientSecret(await createSecret(id)),
  });
  const calls = Array.from({ length: 200 }, () => vestibule.auth.getCurrentUser({}));
  const ids = (await Promise.all(calls)).map(({ serviceuser }) => serviceuser?.id);
  expect(new Set(ids)).toEqual(new Set([id]));
  const { organizations } = await vestibule.organizations.listOrganizations({});
  expect(organizations.map(({ name }) => name)).toEqual([orgId]);
  expect((await admin.users.listUsers({})).users).toEqual([]);
  const { records } = await admin.audit.listAuditRecords({});
  expect(records.length).toBeGreaterThan(0);
});

it("errors say their reason and their fields", async () => {
  const error = await rejectionOf(admin.serviceUsers.getServiceUser({ id: "nonsense", orgId }));
  expect(error).toMatchObject({ code: Code.InvalidArgument });
  expect(findReason(error)).toBe("INVALID_REQUEST");
  expect(getFieldViolations(error)).toEqual([{ field: "id", description: expect.any(String) }]);
});

it("signing keys rotate without a refused call here or at a resource server", async () => {
  await using rotating = await startServer();
  const rotatingIssuer = `http://localhost:${rotating.port}`;
  const clock = createTestClock();
  clock.setWall(new Date());
  const verifier = createVerifier({ issuer: rotatingIssuer, audience: rotatingIssuer, clock });
  using before = createVestibule({ baseUrl: rotating.url, credentials: clientSecret(rotating) });
  const old = await before.getAccessToken();
  const oldClaims = await verifier.verifyAccessToken(old);

  expect(await runVestibule(["keys", "rotate", "--now"], rotating.state)).toMatchObject({ code: 0 });
  let token = old;
  await expect
    .poll(async () => {
      using after = createVestibule({ baseUrl: rotating.url, credentials: clientSecret(rotating) });
      token = await after.getAccessToken();
      return token.split(".")[0];
    })
    .not.toBe(old.split(".")[0]);

  // Within the cooldown the new key is unknown, after it one fetch brings it.
  await expect(verifier.verifyAccessToken(token)).rejects.toMatchObject({ reason: "TOKEN_KEY_UNKNOWN" });
  clock.advance(30);
  expect((await verifier.verifyAccessToken(token)).sub).toBe(oldClaims.sub);
  expect(await verifier.verifyAccessToken(old)).toEqual(oldClaims);

  // The old key is stolen and dropped: its token is replaced behind the call.
  const [oldKid = ""] = await kidsOf(old);
  expect(await runVestibule(["keys", "revoke", oldKid], rotating.state)).toMatchObject({ code: 0 });
  await expect
    .poll(async () => {
      await before.auth.getCurrentUser({});
      return await before.getAccessToken();
    })
    .not.toBe(old);
  clock.advance(301);
  await expect(verifier.verifyAccessToken(old)).rejects.toMatchObject({ reason: "TOKEN_KEY_UNKNOWN" });
});

async function kidsOf(token: string): Promise<string[]> {
  const header = JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString());
  return [header.kid];
}

describe.each(["1.1", "2"] as const)("over HTTP/%s", (httpVersion) => {
  it("a restart is waited for: refused, reset and cut connections alike", async () => {
    const first = await startServer();
    await using proxy = await startProxy(first.port);
    using vestibule = createVestibule({
      baseUrl: proxy.url,
      httpVersion,
      credentials: clientSecret(first),
      retry: { maxAttempts: 200, initialDelayMs: 20, maxDelayMs: 100 },
    });
    const id = (await vestibule.auth.getCurrentUser({})).serviceuser?.id;
    expect(id).toBeDefined();
    await first.kill();
    const whileReset = vestibule.auth.getCurrentUser({});
    await expect.poll(() => proxy.failures).toBeGreaterThan(2);
    await proxy.refuse();
    const whileRefused = vestibule.auth.getCurrentUser({});
    const second = await startServer({ state: first.state });
    await proxy.accept(second.port);
    const answers = await Promise.all([whileReset, whileRefused]);
    expect(answers.map(({ serviceuser }) => serviceuser?.id)).toEqual([id, id]);

    proxy.cutNext();
    expect((await vestibule.auth.getCurrentUser({})).serviceuser?.id).toBe(id);
    proxy.cutNext();
    await expect(vestibule.serviceUsers.createServiceUser({ orgId })).rejects.toMatchObject({
      code: Code.Unavailable,
      rawMessage: "the connection was lost",
    });
    await second[Symbol.asyncDispose]();
  });
});

/** A hop between client and server that fails on demand. */
async function startProxy(port: number) {
  let target = port;
  let failures = 0;
  let isCutting = false;
  const sockets = new Set<Socket>();
  const proxy = createTcpServer((downstream) => {
    const upstream = connect(target, "127.0.0.1");
    const end = (): void => {
      downstream.destroy();
      upstream.destroy();
    };
    sockets.add(downstream);
    upstream.on("error", () => {
      failures += 1;
      downstream.resetAndDestroy();
    });
    downstream.on("error", end).on("close", end);
    upstream.on("close", end);
    downstream.on("data", (bytes) => {
      if (isCutting) {
        isCutting = false;
        end();
      } else upstream.write(bytes);
    });
    upstream.pipe(downstream);
  });
  const open = async (at: number): Promise<void> => {
    proxy.listen(at, "127.0.0.1");
    await once(proxy, "listening");
  };
  await open(0);
  const own = (proxy.address() as AddressInfo).port;
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
    await once(proxy, "close");
  };
  return {
    url: `http://127.0.0.1:${own}`,
    /** Connections that found no server. */
    get failures() {
      return failures;
    },
    refuse: close,
    async accept(newTarget: number) {
      target = newTarget;
      await open(own);
    },
    /** Cuts the connection that the next bytes come by, instead of passing them on. */
    cutNext() {
      isCutting = true;
    },
    [Symbol.asyncDispose]: close,
  };
}

describe("watching auth providers", () => {
  it.each([
    ["connect", "1.1"],
    ["grpc", "2"],
  ] as const)("goes on after a server that was killed, by %s over HTTP/%s", async (protocol, httpVersion) => {
    const state = await createState("sqlite");
    let killed = await startServer({ state });
    const { port } = killed;
    using vestibule = createVestibule({
      baseUrl: killed.url,
      protocol,
      httpVersion,
      credentials: clientSecret(state),
    });
    try {
      const { frontdoors, authProviders } = vestibule;
      const { frontdoor } = await frontdoors.createFrontdoor({ organizationId: "default" });
      const frontdoorId = frontdoor?.id ?? "";
      const create = async (name: string) =>
        (await authProviders.createAuthProvider({ frontdoorId, name, type: "API_KEY" })).authProvider?.id ??
        "";
      const first = await create("first");
      const stop = new AbortController();
      const reasons: unknown[] = [];
      const onReconnect = (error: unknown) => void reasons.push(error);
      const updates = watchAuthProviders(authProviders, { frontdoorId, signal: stop.signal, onReconnect });
      const next = async () => (await updates.next()).value;
      const begun = await next();
      expect(begun?.change).toBeUndefined();
      expect([...(begun?.providers.keys() ?? [])]).toEqual([first]);

      await killed.kill();
      killed = await startServer({ state, port });
      const second = await create("second");
      const gone = await next();
      // Told as the change it was: nothing was begun anew.
      expect(gone?.change).toMatchObject({ event: "created", authProvider: { id: second } });
      expect([...(gone?.providers.keys() ?? [])]).toEqual([first, second]);
      expect(reasons.length).toBeGreaterThan(0);

      await authProviders.deleteAuthProvider({ frontdoorId, id: first });
      expect((await next())?.change?.event).toBe("deleted");
      await frontdoors.deleteFrontdoor({ id: frontdoorId });
      expect(findReason(await rejectionOf(updates.next()))).toBe("FRONTDOOR_NOT_FOUND");
    } finally {
      await killed[Symbol.asyncDispose]();
      await state.remove();
    }
  });
});

describe("TLS", () => {
  let secure: TestServer;
  beforeAll(async () => {
    secure = await startServer({ env: tlsEnvironment });
  });
  afterAll(() => secure?.[Symbol.asyncDispose]());

  it.each(protocols)("is spoken, by %s over HTTP/%s, with those it trusts", async (protocol, httpVersion) => {
    const options = { baseUrl: secure.url, protocol, httpVersion, credentials: clientSecret(secure) };
    using trusting = createVestibule({ ...options, nodeOptions: { ca: tlsCertificate } });
    expect((await trusting.auth.getCurrentUser({})).serviceuser?.id).toBeDefined();
    using careful = createVestibule({ ...options, retry: false });
    await expect(careful.auth.getCurrentUser({})).rejects.toThrow(/certificate/);
  });
});
