/** The audit trail from outside: who did what, in pages and as it happens. */
import { Code, createClient } from "@connectrpc/connect";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { followShell, readBlocks, runShell } from "./parts/documentation.ts";
import { basic, postJson } from "./parts/http.ts";
import { openTransport, refusalOf } from "./parts/rpc.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";
import { within } from "./parts/within.ts";

const serviceUsers = "/vestibule.v1.ServiceUserService";
const list = "/vestibule.v1.AuditService/ListAuditRecords";
const orgId = "default";

async function call(server: TestServer, path: string, message: object, headers = basic(server) as object) {
  const answer = await postJson(server, path, message, { ...headers });
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

async function createMachine(server: TestServer, role: string) {
  const { serviceuser } = await call(server, `${serviceUsers}/CreateServiceUser`, {
    org_id: orgId,
    body: { title: role, role },
  });
  const { secret } = await call(server, `${serviceUsers}/CreateServiceUserCredential`, {
    id: serviceuser.id,
    org_id: orgId,
    title: "one",
  });
  return {
    id: serviceuser.id as string,
    clientId: secret.id as string,
    clientSecret: secret.secret as string,
  };
}

/** The records of a filter, once there are so many: notes are stored within 100 ms. */
async function find(server: TestServer, filter: object, count: number) {
  // biome-ignore lint/suspicious/noExplicitAny: JSON as answered
  let records: any[] = [];
  await expect
    .poll(async () => (records = (await call(server, list, filter)).records ?? []), {
      interval: 20,
    })
    .toHaveLength(count);
  return records;
}

describe.each(["sqlite", "postgres"] as const)("on %s", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ database });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  it("says who changed what, on what, from where, by which request", async () => {
    const machine = await createMachine(server, "manager");
    const headers = { ...basic(machine), "x-request-id": "req-rotate-1", "user-agent": "robot/1" };
    await call(
      server,
      `${serviceUsers}/CreateServiceUserToken`,
      { id: machine.id, org_id: orgId, title: "t" },
      headers,
    );
    const [record] = await find(server, { request_id: "req-rotate-1" }, 1);
    expect(record).toMatchObject({
      actor: { type: "serviceuser", id: machine.id },
      credentialKind: "client_secret",
      credentialId: machine.clientId,
      result: "success",
      clientAddress: "127.0.0.1",
      userAgent: "robot/1",
      orgId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(Math.abs(Date.parse(record.occurredAt) - Date.now())).toBeLessThan(60_000);
  });

  it("tells the owners of a credential why it was refused, and the caller nothing", async () => {
    const machine = await createMachine(server, "viewer");
    const answers = [
      await postJson(
        server,
        "/vestibule.v1.AuthService/AuthToken",
        {},
        basic({ ...machine, clientSecret: "x" }),
      ),
      await postJson(
        server,
        `${serviceUsers}/ListServiceUsers`,
        { org_id: orgId },
        basic({ ...machine, clientSecret: "vsts_x" }),
      ),
    ];
    await call(server, `${serviceUsers}/DisableServiceUser`, { id: machine.id, org_id: orgId });
    answers.push(await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(machine)));
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 403]);
    const records = await find(server, { org_id: orgId, actor_id: machine.id, result: "refused" }, 3);
    expect(records.map(({ detail }) => detail.replace(/[ :].*/, "")).toReversed()).toEqual([
      "wrong",
      "mistyped",
      "service",
    ]);
    expect(records.map(({ reason }) => reason)).toEqual([
      "PRINCIPAL_DISABLED",
      "NOT_AUTHENTICATED",
      "NOT_AUTHENTICATED",
    ]);
    for (const { text } of answers) expect(text).not.toMatch(/wrong|mistyped|disabled/);
  });

  it("names the expired credential that somebody still uses", async () => {
    const machine = await createMachine(server, "viewer");
    const { secret } = await call(server, `${serviceUsers}/CreateServiceUserCredential`, {
      id: machine.id,
      org_id: orgId,
      title: "last year's",
      expires_at: new Date(Date.now() + 1000).toISOString(),
    });
    const expiring = basic({ clientId: secret.id, clientSecret: secret.secret });
    const statusOf = async () =>
      (await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, expiring)).status;
    await expect.poll(statusOf, { timeout: 5000, interval: 50 }).toBe(401);
    const filter = { org_id: orgId, target_id: secret.id, result: "refused" };
    const [record] = await find(server, filter, 1);
    expect(record).toMatchObject({
      actor: { type: "serviceuser", id: machine.id },
      credentialId: secret.id,
      detail: `expired at ${secret.expiresAt}: client secret ${secret.id} "last year's" of service user ${machine.id}`,
    });
  });

  it("does what docs/audit.md says", async () => {
    const [listing = "", person = "", following = ""] = readBlocks("docs/audit.md", "sh");
    await postJson(
      server,
      "/vestibule.v1.AuthService/AuthToken",
      {},
      basic({ ...server, clientSecret: "wrong" }),
    );
    await expect
      .poll(async () => JSON.parse(await runShell(listing, server)).records?.[0])
      .toMatchObject({ result: "refused", action: "credential.refuse" });
    expect(JSON.parse(await runShell(person, server)).nextPageToken ?? "").toBe("");
    await using stream = followShell(following, server);
    await expect.poll(() => stream.printed(), { timeout: 20_000 }).toContain('"resumeToken"');
  });

  it("records no request without a credential", async () => {
    await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, { "x-request-id": "req-none" });
    await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, { "x-request-id": "req-none" });
    await postJson(
      server,
      "/vestibule.v1.AuthService/GetCurrentUser",
      {},
      { "x-request-id": "req-some", authorization: "Bearer a.b.c" },
    );
    await find(server, { request_id: "req-some" }, 1);
    await find(server, { request_id: "req-none" }, 0);
  });

  it("shows managers their organization's records, viewers and strangers none", async () => {
    const [manager, viewer] = [await createMachine(server, "manager"), await createMachine(server, "viewer")];
    expect((await call(server, list, { org_id: orgId, page_size: 1 }, basic(manager))).records).toHaveLength(
      1,
    );
    for (const [headers, filter] of [
      [basic(viewer), { org_id: orgId }],
      [basic(manager), {}],
      [basic(manager), { org_id: "elsewhere" }],
    ] as const) {
      expect((await postJson(server, list, filter, headers)).status).toBe(403);
    }
    expect((await postJson(server, list, { org_id: orgId }, {})).status).toBe(401);
  });
});

describe("as it happens, on two processes", () => {
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;
  beforeAll(async () => {
    state = await createState("postgres");
    a = await startServer({ state, env: { VESTIBULE_PUBLIC_URL: "https://id.example.com" } });
    b = await startServer({ state, env: { VESTIBULE_PUBLIC_URL: "https://id.example.com" } });
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  it.each(["Connect JSON", "gRPC", "gRPC-Web"] as const)(
    "a stream over %s tells of what either does, within a second, and goes on elsewhere",
    async (protocol) => {
      using opened = openTransport(b.url, protocol, "h2c");
      const audit = createClient(AuditService, opened.transport);
      const stop = new AbortController();
      const filter = { orgId, action: "service_user.create" };
      const stream = audit
        .tailAuditRecords(filter, { headers: basic(b), signal: stop.signal })
        [Symbol.asyncIterator]();
      const next = async () => (await stream.next()).value;
      expect((await next()).record).toBeUndefined();
      let seen = { resumeToken: "" };
      await within(1000, async () => {
        const begunAtMs = performance.now();
        const { serviceuser: first } = await call(a, `${serviceUsers}/CreateServiceUser`, {
          org_id: orgId,
          body: {},
        });
        const event = await next();
        expect(event.record.target.id).toBe(first.id);
        seen = event;
        return performance.now() - begunAtMs;
      });
      const { serviceuser: second } = await call(b, `${serviceUsers}/CreateServiceUser`, {
        org_id: orgId,
        body: {},
      });
      expect((await next()).record.target.id).toBe(second.id);
      stop.abort();

      using elsewhere = openTransport(a.url, protocol, "h2c");
      const resumed = createClient(AuditService, elsewhere.transport).tailAuditRecords(
        { ...filter, resumeToken: seen.resumeToken },
        { headers: basic(a), signal: AbortSignal.timeout(5000) },
      );
      const found: string[] = [];
      for await (const { record } of resumed) {
        if (record !== undefined) found.push(record.target?.id ?? "");
        if (found.length > 0) break;
      }
      expect(found).toEqual([second.id]);
    },
  );

  it("a stream ends with its caller's role, and with its server", async () => {
    using opened = openTransport(b.url, "gRPC", "h2c");
    const audit = createClient(AuditService, opened.transport);
    const follow = async (headers: object) => {
      const stream = audit.tailAuditRecords({ orgId, actorId: "nobody" }, { headers: { ...headers } });
      const each = stream[Symbol.asyncIterator]();
      await each.next();
      return each;
    };
    await within(2500, async () => {
      const manager = await createMachine(a, "manager");
      const ofManager = await follow(basic(manager));
      await call(a, `${serviceUsers}/DeleteServiceUser`, { id: manager.id, org_id: orgId });
      const deletedAtMs = performance.now();
      expect((await refusalOf(ofManager.next())).code).toBe(Code.Unauthenticated);
      return performance.now() - deletedAtMs;
    });

    const ofSuperuser = await follow(basic(b));
    const ended = refusalOf(ofSuperuser.next());
    expect(await b.stop()).toBe(0);
    expect((await ended).code).toBe(Code.Unavailable);
  });
});
