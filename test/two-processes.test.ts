/** Two servers on one Postgres: what one of them does holds at the other within a second. */
import { decodeProtectedHeader } from "jose";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { basic, postJson, send } from "./parts/http.ts";
import { createState, runVestibule, type ServerState, startServer, type TestServer } from "./parts/server.ts";

/** What "at once" means for the other process, in milliseconds. */
const atOnceMs = 1000;

// One name for both, as behind a balancer: tokens of either are tokens of the service.
const env = { VESTIBULE_PUBLIC_URL: "https://id.example.com" };

/** Resolves once the answer is as expected; fails when it is not within a second. */
function soon<T>(ask: () => Promise<T>) {
  return expect.poll(ask, { timeout: atOnceMs, interval: 20 });
}

async function getToken(server: TestServer, credential: Parameters<typeof basic>[0]): Promise<string> {
  const answer = await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(credential));
  expect(answer.status).toBe(200);
  return answer.json.accessToken;
}

async function whoami(server: TestServer, headers: Record<string, string>): Promise<number> {
  return (await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, headers)).status;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function listKids(server: TestServer): Promise<string[]> {
  const { json } = await send(`${server.url}/.well-known/jwks.json`);
  return json.keys.map(({ kid }: { kid: string }) => kid);
}

/** Kids of the key that signs at each server. */
async function signers(servers: readonly TestServer[]): Promise<(string | undefined)[]> {
  return await Promise.all(
    servers.map(async (server) => decodeProtectedHeader(await getToken(server, server)).kid),
  );
}

describe("two servers that run", () => {
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;

  beforeAll(async () => {
    state = await createState("postgres");
    // At once, on an empty database: one migrates and makes the first key and credential, the other finds them.
    [a, b] = await Promise.all([startServer({ state, env }), startServer({ state, env })]);
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  async function createMachine(): Promise<{ id: string; clientId: string; clientSecret: string }> {
    const call = (method: string, message: object) =>
      postJson(a, `/vestibule.v1.ServiceUserService/${method}`, message, basic(a));
    const { json: made } = await call("CreateServiceUser", { org_id: "default", body: { title: "m" } });
    const { id } = made.serviceuser;
    const { json } = await call("CreateServiceUserCredential", { org_id: "default", id });
    return { id, clientId: json.secret.id, clientSecret: json.secret.secret };
  }

  it("know one superuser and one signing key", async () => {
    expect(await listKids(a)).toHaveLength(1);
    expect(await listKids(b)).toEqual(await listKids(a));
    const token = await getToken(a, a);
    expect(await Promise.all([whoami(a, bearer(token)), whoami(b, bearer(token))])).toEqual([200, 200]);
  });

  it("sign with a rotated key as soon as it may sign, and verify with the old one", async () => {
    const [old] = await listKids(a);
    const oldToken = await getToken(a, a);

    const rotated = await runVestibule(["keys", "rotate"], state, { env });
    const fresh = rotated.stdout.split(" ")[0];
    for (const server of [a, b]) await soon(() => listKids(server)).toEqual([old, fresh]);
    // Published, but not in use for another quarter of an hour.
    expect(await signers([a, b])).toEqual([old, old]);

    const hastened = await runVestibule(["keys", "rotate", "--now"], state, { env });
    expect(hastened.stdout.split(" ")[0]).toBe(fresh);
    await soon(() => signers([a, b])).toEqual([fresh, fresh]);
    expect(await Promise.all([whoami(a, bearer(oldToken)), whoami(b, bearer(oldToken))])).toEqual([200, 200]);
  });

  it("refuse the tokens of a revoked key", async () => {
    const [revoked = ""] = await signers([a]);
    const token = await getToken(b, b);
    expect(decodeProtectedHeader(token).kid).toBe(revoked);
    expect(await Promise.all([whoami(a, bearer(token)), whoami(b, bearer(token))])).toEqual([200, 200]);

    expect((await runVestibule(["keys", "revoke", revoked], state, { env })).code).toBe(0);
    for (const server of [a, b]) {
      await soon(() => whoami(server, bearer(token))).toBe(401);
      expect(await listKids(server)).not.toContain(revoked);
    }
    const [now, same] = await signers([a, b]);
    expect(now).not.toBe(revoked);
    expect(same).toBe(now);
  });

  it("refuse a credential that was deleted at the other, and its tokens", async () => {
    const machine = await createMachine();
    const token = await getToken(b, machine);
    expect(await whoami(b, bearer(token))).toBe(200);
    const { id, clientId: secret_id } = machine;
    const message = { org_id: "default", id, secret_id };
    const path = "/vestibule.v1.ServiceUserService/DeleteServiceUserCredential";
    expect((await postJson(a, path, message, basic(a))).status).toBe(200);
    // At the one that did it before the answer, at the other within a second.
    expect(await Promise.all([whoami(a, bearer(token)), whoami(a, basic(machine))])).toEqual([401, 401]);
    await soon(() => whoami(b, bearer(token))).toBe(401);
    await soon(() => whoami(b, basic(machine))).toBe(401);
  });

  it("refuse a service user that was deleted at the other", async () => {
    const machine = await createMachine();
    const token = await getToken(b, machine);
    expect(await whoami(b, basic(machine))).toBe(200);
    const message = { org_id: "default", id: machine.id };
    const path = "/vestibule.v1.ServiceUserService/DeleteServiceUser";
    expect((await postJson(a, path, message, basic(a))).status).toBe(200);
    expect(await Promise.all([whoami(a, bearer(token)), whoami(a, basic(machine))])).toEqual([404, 401]);
    await soon(() => whoami(b, bearer(token))).toBe(404);
    await soon(() => whoami(b, basic(machine))).toBe(401);
  });
});

describe("processes that start at once on an empty Postgres", () => {
  it("migrate it once", async () => {
    const state = await createState("postgres");
    onTestFinished(() => state.remove());
    const runs = await Promise.all([1, 2, 3, 4].map(() => runVestibule(["migrate"], state)));
    expect(runs.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      runs.map(() => ({ code: 0, stderr: "" })),
    );
    const applied = runs.filter(({ stdout }) => stdout.startsWith("applied "));
    expect(applied).toHaveLength(1);
    expect(runs.filter(({ stdout }) => stdout === "the schema is up to date\n")).toHaveLength(3);
  });

  it("generate one credential, which one of them shows and all take", async () => {
    const state = await createState("postgres");
    const unset = {
      ...env,
      VESTIBULE_BOOTSTRAP_CLIENT_ID: undefined,
      VESTIBULE_BOOTSTRAP_CLIENT_SECRET: undefined,
    } as unknown as Record<string, string>;
    const servers = await Promise.all([1, 2, 3].map(() => startServer({ state, env: unset })));
    onTestFinished(async () => {
      await Promise.all(servers.map((server) => server.kill()));
      await state.remove();
    });
    for (const server of servers) await expect.poll(() => server.stdout()).toContain('"ready"');
    await expect.poll(() => servers.map((server) => server.stdout()).join("")).toContain("client_secret");
    const shown = servers.filter((server) => server.stdout().includes("client_secret"));
    expect(shown).toHaveLength(1);
    const text = shown[0]?.stdout() ?? "";
    const clientId = /client_id {6}(\S+)/.exec(text)?.[1] ?? "";
    const clientSecret = /client_secret {2}(\S+)/.exec(text)?.[1] ?? "";
    for (const server of servers) {
      expect(await whoami(server, basic({ clientId, clientSecret }))).toBe(200);
      expect(await listKids(server)).toHaveLength(1);
    }
  });
});
