/**
 * What is refused, from outside: with the documented code, text and fields,
 * leaving everything as it was, and telling nothing of what is inside.
 */
import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { OutgoingHttpHeaders } from "node:http";
import { type ClientSessionOptions, connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Code, createClient } from "@connectrpc/connect";
import { compressionGzip, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { BadRequestSchema, ErrorInfoSchema } from "@vestibule/proto/google/rpc/error_details_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import Sqlite from "better-sqlite3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createSealer } from "../server/src/encryption/sealer.ts";
import { signingKeyPlace } from "../server/src/tokens/key-rotation.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { openTransport, ownClients, refusalOf } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const limit = 1024 * 1024;
const uuid = "019a0000-0000-7000-8000-00000000abcd";

const serviceUsers = "/vestibule.v1.ServiceUserService";
const auth = "/vestibule.v1.AuthService";

/** What must never be read in an answer: stack lines, source paths, statements, names of drivers. */
const internals =
  /\bat .+:\d+:\d+|node_modules|\.[cm]?[jt]s\b|\b(?:select|insert|update|delete)\b.+\b(?:from|into|set)\b|sqlite|kysely|postgres|constraint|Error:/i;

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string | RegExp;
  readonly reason?: string;
  readonly fields?: readonly string[];
}

function expectRefusal(answer: Answer, expected: Refusal): void {
  expect(answer.text).not.toMatch(internals);
  expect({ status: answer.status, code: answer.json?.code }).toEqual({
    status: expected.status,
    code: expected.code,
  });
  if (typeof expected.message === "string") expect(answer.json.message).toBe(expected.message);
  else expect(answer.json.message).toMatch(expected.message);
  expect(answer.headers["x-request-id"]).toMatch(/^[\w-]+$/);
  const details: { type: string; debug?: { reason?: string; fieldViolations?: { field: string }[] } }[] =
    answer.json.details ?? [];
  const of = (type: string) => details.find((detail) => detail.type === type)?.debug;
  if (expected.reason !== undefined) expect(of("google.rpc.ErrorInfo")?.reason).toBe(expected.reason);
  const fields = of("google.rpc.BadRequest")?.fieldViolations?.map(({ field }) => field) ?? [];
  expect(fields).toEqual(expected.fields ?? []);
}

const invalid = (message: string | RegExp, ...fields: string[]): Refusal => ({
  status: 400,
  code: "invalid_argument",
  message,
  reason: "INVALID_REQUEST",
  fields,
});
const unauthenticated: Refusal = {
  status: 401,
  code: "unauthenticated",
  message: "not authenticated",
  reason: "NOT_AUTHENTICATED",
};
const notAuthorized: Refusal = {
  status: 403,
  code: "permission_denied",
  message: "not authorized",
  reason: "NOT_AUTHORIZED",
};
const tooLarge: Refusal = {
  status: 413,
  code: "resource_exhausted",
  message: `request is larger than ${limit} bytes`,
  reason: "REQUEST_TOO_LARGE",
};

/** A service user with one secret. */
interface Machine {
  readonly id: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

async function createMachine(server: TestServer, role = "viewer"): Promise<Machine> {
  const made = await postJson(
    server,
    `${serviceUsers}/CreateServiceUser`,
    { org_id: "default", body: { title: "machine", role } },
    basic(server),
  );
  const { id } = made.json.serviceuser;
  const { json } = await postJson(
    server,
    `${serviceUsers}/CreateServiceUserCredential`,
    { id, org_id: "default" },
    basic(server),
  );
  return { id, clientId: json.secret.id, clientSecret: json.secret.secret };
}

/** Everything that the calls of this file could change. */
async function readAll(server: TestServer): Promise<unknown> {
  const call = async (method: string, message: object) =>
    (await postJson(server, `${serviceUsers}/${method}`, message, basic(server))).json;
  const { serviceusers } = await call("ListServiceUsers", { org_id: "default" });
  const secrets = await Promise.all(
    serviceusers.map(({ id }: { id: string }) =>
      call("ListServiceUserCredentials", { id, org_id: "default" }),
    ),
  );
  // When something was last used is written a little later than it was.
  return JSON.parse(
    JSON.stringify({ serviceusers, secrets }, (key, value) => (key === "lastUsedAt" ? undefined : value)),
  );
}

async function getToken(server: TestServer, machine: Pick<Machine, "clientId" | "clientSecret">) {
  const { json } = await postJson(server, `${auth}/AuthToken`, {}, basic(machine));
  return json.accessToken as string;
}

describe.each(["sqlite", "postgres"] as const)("on %s", (database) => {
  let server: TestServer;
  let one: Machine;
  let other: Machine;
  let before: unknown;

  beforeAll(async () => {
    server = await startServer({
      database,
      config: { cors: { allowed_origins: ["https://app.example.com"] } },
    });
    one = await createMachine(server);
    other = await createMachine(server);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    before = await readAll(server);
  });
  // Whatever a test was refused, it changed nothing.
  afterEach(async () => expect(await readAll(server)).toEqual(before));

  const call = (method: string, message: unknown, headers = {}) =>
    postJson(server, `${serviceUsers}/${method}`, message, { ...basic(server), ...headers });

  describe("a body", () => {
    const notJson = "request body is not valid JSON";
    const notOfMethod = "request body is not valid JSON for this method";
    const wrong = (field: string, why: string) => invalid(`${field}: ${why}`, field);
    it.each<[string, string | Uint8Array, Refusal]>([
      ["that is empty", "", invalid(notJson)],
      ["that ends too early", '{"org_id":"defau', invalid(notJson)],
      ["with a secret behind its end", '{"org_id":"default"} vsts_secret', invalid(notJson)],
      ["that is a list", "[]", invalid(notOfMethod)],
      ["that is a text", '"default"', invalid(notOfMethod)],
      ["that is null", "null", invalid(notOfMethod)],
      [
        "with a key twice",
        '{"org_id":"nobody","org_id":"default"}',
        wrong("org_id", "is given more than once"),
      ],
      [
        "with a field by both its names",
        '{"org_id":"default","orgId":"default"}',
        wrong("org_id", "is given more than once"),
      ],
      [
        "with a key twice in free-form JSON",
        '{"org_id":"default","body":{"metadata":{"a":[{"b":1,"\\u0062":2}]}}}',
        wrong("body.metadata.a[0].b", "is given more than once"),
      ],
      [
        "with a key that JavaScript reads in its own way",
        '{"org_id":"default","body":{"metadata":{"__proto__":{}}}}',
        wrong("body.metadata.__proto__", "is not expected"),
      ],
      ["with a number for a text", '{"org_id":5}', wrong("org_id", "must be of string")],
      [
        "with a list for a text",
        '{"org_id":"default","body":{"title":[]}}',
        wrong("body.title", "must be of string"),
      ],
      ["with a text for a message", '{"org_id":"default","body":"x"}', wrong("body", "must be of object")],
      [
        "with a list for a struct",
        '{"org_id":"default","body":{"metadata":[]}}',
        wrong("body.metadata", "must be of object"),
      ],
      [
        "with several values of the wrong type, named all",
        '{"orgId":5,"unknown":1,"body":{"title":true,"role":{}}}',
        invalid("org_id: must be of string", "org_id", "unknown", "body.title", "body.role"),
      ],
      ["without organisation", "{}", invalid(/^org_id: /, "org_id")],
      ["with too short an organisation", '{"org_id":"ab"}', invalid(/^org_id: .*at least 3/, "org_id")],
      [
        "with too long an organisation",
        `{"org_id":"${"a".repeat(201)}"}`,
        invalid(/^org_id: .*at most 200/, "org_id"),
      ],
      [
        "with an unknown role",
        '{"org_id":"default","body":{"role":"admin"}}',
        invalid(/^body\.role: /, "body.role"),
      ],
      [
        "with two faults, named both",
        `{"org_id":"x","body":{"title":"${"x".repeat(201)}"}}`,
        invalid(/^body\.title: /, "body.title", "org_id"),
      ],
      [
        "with metadata over 16 KiB",
        JSON.stringify({ org_id: "default", body: { metadata: { k: "x".repeat(16 * 1024 - 7) } } }),
        invalid("body.metadata: must be at most 16384 bytes as JSON", "body.metadata"),
      ],
      [
        "with a NUL in a text",
        '{"org_id":"default","body":{"title":"a\\u0000b"}}',
        invalid("body.title: must not contain the character NUL", "body.title"),
      ],
      [
        "with half a surrogate pair",
        '{"org_id":"default","body":{"title":"a\\ud800"}}',
        wrong("body.title", "must be valid Unicode text"),
      ],
      [
        "that is no UTF-8",
        Buffer.from('{"org_id":"default","body":{"title":"\xff"}}', "latin1"),
        invalid("request body is not valid UTF-8"),
      ],
      ["with a NUL in the organisation", '{"org_id":"def\\u0000ault"}', invalid(/^org_id: /, "org_id")],
      [
        "nested beyond all measure",
        `{"org_id":"default","body":{"metadata":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}}`,
        invalid(/./),
      ],
    ])("%s is refused", async (_, body, expected) => {
      expectRefusal(await call("CreateServiceUser", body), expected);
    });

    it("is taken up to the limit, byte for byte, and not beyond", async () => {
      const padded = (bytes: number) => '{"org_id":"default"}'.padEnd(bytes, " ");
      expect((await call("ListServiceUsers", padded(limit))).status).toBe(200);
      expectRefusal(await call("ListServiceUsers", padded(limit + 1)), tooLarge);
    });

    it("counts as large as it is once it is unpacked", async () => {
      const packed = (bytes: number) =>
        send(`${server.url}${serviceUsers}/ListServiceUsers`, {
          headers: { ...basic(server), "content-type": "application/json", "content-encoding": "gzip" },
          body: gzipSync('{"org_id":"default"}'.padEnd(bytes, " ")),
        });
      expect((await packed(limit)).status).toBe(200);
      expectRefusal(await packed(limit + 1), tooLarge);
      expectRefusal(await packed(200 * limit), tooLarge);
    });

    it("that opens a stream is read alike", async () => {
      const body = Buffer.from('{"orgId":"default","targetId":{}}');
      const answer = await send(`${server.url}/vestibule.v1.AuditService/TailAuditRecords`, {
        headers: { ...basic(server), "content-type": "application/connect+json" },
        body: Buffer.concat([Buffer.from([0, 0, 0, 0, body.length]), body]),
      });
      expect(answer.status).toBe(200);
      expect(answer.text).toMatch(/"code":"invalid_argument","message":"target_id: must be of string"/);
    });

    it("that is no gzip though it says so is refused", async () => {
      const answer = await call("ListServiceUsers", '{"org_id":"default"}', { "content-encoding": "gzip" });
      expectRefusal(answer, invalid(/./));
    });

    it("of gRPC counts as unpacked too", async () => {
      const sessionManager = new Http2SessionManager(server.url);
      const client = createClient(
        AuthService,
        createGrpcTransport({
          baseUrl: server.url,
          sessionManager,
          sendCompression: compressionGzip,
          compressMinBytes: 0,
        }),
      );
      const error = await refusalOf(client.authToken({ assertion: "x".repeat(64 * limit) }));
      expect(error).toMatchObject({ code: Code.ResourceExhausted, rawMessage: tooLarge.message });
      sessionManager.abort();
    });

    it("of an unknown type, or none, is refused with what is taken", async () => {
      for (const type of ["text/plain", "application/xml", ""]) {
        const answer = await call("ListServiceUsers", '{"org_id":"default"}', { "content-type": type });
        expect(answer).toMatchObject({
          status: 415,
          headers: { "accept-post": "application/json, application/proto" },
        });
        expect(answer.text).not.toMatch(internals);
      }
    });

    it("in binary of garbage is refused", async () => {
      for (const body of [
        Buffer.from([0xff]),
        Buffer.from([0x0a, 0x7f, 0x41]),
        Buffer.from([0x12, 1, 0xff]),
      ]) {
        const answer = await send(`${server.url}${serviceUsers}/ListServiceUsers`, {
          headers: { ...basic(server), "content-type": "application/proto" },
          body,
        });
        expectRefusal(answer, invalid(/./));
      }
    });
  });

  it("numbers that JSON has not are refused in metadata", async () => {
    using open = openTransport(server.url, "Connect binary", "h2c");
    const clients = ownClients(open.transport);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const request = { orgId: "default", body: { metadata: { value } } };
      const error = await refusalOf(
        clients.serviceUsers.createServiceUser(request, { headers: basic(server) }),
      );
      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.message).not.toMatch(internals);
    }
  });

  it("metadata that a list in binary could not be read with is refused", async () => {
    const create = (levels: number) => {
      const metadata = `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
      const body = `{"org_id":"default","body":{"metadata":${metadata}}}`;
      return postJson(server, `${serviceUsers}/CreateServiceUser`, body, basic(server));
    };
    const deepest = (await create(20)).json.serviceuser;
    for (const levels of [21, 50, 20_000]) {
      const field = levels < 60 ? ["body.metadata"] : [];
      expectRefusal(await create(levels), invalid(/levels/, ...field));
    }
    using open = openTransport(server.url, "Connect binary", "h2c");
    const { serviceUsers: client } = ownClients(open.transport);
    const listed = await client.listServiceUsers({ orgId: "default" }, { headers: basic(server) });
    expect(listed.serviceusers.map(({ id }) => id)).toContain(deepest.id);
    await client.deleteServiceUser({ id: deepest.id, orgId: "default" }, { headers: basic(server) });
  });

  describe("headers", () => {
    const withHeader = (bytes: number) =>
      send(`${server.url}/healthz`, { headers: { "x-filler": "x".repeat(bytes) } });
    it("are taken up to 16 KiB and not beyond", async () => {
      expect((await withHeader(15 * 1024)).status).toBe(200);
      const refused = await withHeader(17 * 1024);
      expect(refused.status).toBe(431);
      expect(refused.text).not.toMatch(internals);
    });

    it("cannot choose a request id that would not fit a log", async () => {
      const taken = await send(`${server.url}/healthz`, { headers: { "x-request-id": "abc-123" } });
      expect(taken.headers["x-request-id"]).toBe("abc-123");
      for (const id of ["", "x".repeat(300), "a b", 'a"b', "<script>"]) {
        const answer = await send(`${server.url}/healthz`, { headers: { "x-request-id": id } });
        expect(answer.headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
      }
    });

    it("with a senseless time-out are refused", async () => {
      const answer = await call("ListServiceUsers", { org_id: "default" }, { "connect-timeout-ms": "soon" });
      expectRefusal(answer, invalid("timeout header is not valid"));
    });
  });

  describe("an id", () => {
    it.each([
      ["GetServiceUser", { id: "x" }, ["id"]],
      ["DeleteServiceUser", { id: "" }, ["id"]],
      ["DeleteServiceUser", { id: `${uuid}'--` }, ["id"]],
      ["CreateServiceUserCredential", { id: "../../etc" }, ["id"]],
      ["ListServiceUserCredentials", { id: uuid.slice(1) }, ["id"]],
      ["DeleteServiceUserCredential", { id: uuid, secret_id: "x" }, ["secret_id"]],
      ["DeleteServiceUserCredential", { id: "x", secret_id: "x" }, ["id", "secret_id"]],
    ])("that is none is refused by %s %j", async (method, message, fields) => {
      const answer = await call(method, { org_id: "default", ...message });
      expectRefusal(answer, invalid(/^(?:id|secret_id): .*UUID/, ...fields));
    });

    it("cannot be a name: of two readings of it one would never be found", async () => {
      const organizations = "/vestibule.v1.OrganizationService";
      const create = (method: string, message: object) =>
        postJson(server, `${organizations}/${method}`, message, basic(server));
      const id = "abcdef01-2345-4789-8abc-def012345678";
      const looks = (field: string) => invalid("name must not look like an id", field);
      expectRefusal(await create("CreateOrganization", { body: { name: id } }), looks("body.name"));
      expectRefusal(await create("CreateProject", { org_id: "default", name: id }), looks("name"));
      for (const name of [id.slice(1), `${id}0`, id.replaceAll("-", "_")]) {
        expect((await create("CreateOrganization", { body: { name } })).status).toBe(200);
        expect((await create("CreateProject", { org_id: name, name })).status).toBe(200);
        expect((await create("GetOrganization", { id: name })).json.organization.name).toBe(name);
      }
    });

    it.each([
      ["GetServiceUser", {}],
      ["DeleteServiceUser", {}],
      ["CreateServiceUserCredential", {}],
      ["ListServiceUserCredentials", {}],
      ["DeleteServiceUserCredential", { secret_id: uuid }],
    ])("that nobody has is not found by %s", async (method, message) => {
      expectRefusal(await call(method, { org_id: "default", id: uuid, ...message }), {
        status: 404,
        code: "not_found",
        message: "service user not found",
        reason: "SERVICE_USER_NOT_FOUND",
      });
    });

    it("of another service user's credential is not found and still works", async () => {
      const answer = await call("DeleteServiceUserCredential", {
        org_id: "default",
        id: one.id,
        secret_id: other.clientId,
      });
      expectRefusal(answer, {
        status: 404,
        code: "not_found",
        message: "service user credentials not found",
        reason: "CREDENTIAL_NOT_FOUND",
      });
      expect(await getToken(server, other)).toBeTypeOf("string");
    });

    it("of an organisation that does not exist is refused like one without a role", async () => {
      for (const org_id of ["nowhere", uuid]) {
        expectRefusal(await call("ListServiceUsers", { org_id }, basic(one)), notAuthorized);
        expectRefusal(await call("GetServiceUser", { org_id, id: one.id }), notAuthorized);
      }
    });

    it("of a viewer's reach is not enough to write", async () => {
      for (const [method, message] of [
        ["CreateServiceUser", {}],
        ["DeleteServiceUser", { id: other.id }],
        ["CreateServiceUserCredential", { id: one.id }],
        ["DeleteServiceUserCredential", { id: other.id, secret_id: other.clientId }],
      ] as const) {
        expectRefusal(await call(method, { org_id: "default", ...message }, basic(one)), notAuthorized);
      }
    });
  });

  describe("an expiry", () => {
    const create = (expires_at: string) =>
      call("CreateServiceUserCredential", { org_id: "default", id: one.id, expires_at });
    it("in the past is refused", async () => {
      for (const at of ["1970-01-01T00:00:00Z", new Date().toISOString()]) {
        expectRefusal(await create(at), invalid("expires_at: must be in the future", "expires_at"));
      }
    });

    it("that is no instant is refused", async () => {
      for (const at of ["tomorrow", "2030-13-01T00:00:00Z", "10000-01-01T00:00:00Z", "2030-01-01"]) {
        const message = "expires_at: must be of date-time";
        expectRefusal(await create(at), invalid(message, "expires_at"));
      }
    });

    it("at the very end of the calendar is kept as one", async () => {
      const { secret } = (await create("9999-12-31T23:59:59.999999999Z")).json;
      expect(secret.expiresAt).toBe("9999-12-31T23:59:59.999Z");
      const machine = { org_id: "default", id: one.id };
      for (const method of ["ListServiceUserCredentials", "GetServiceUserUsage"]) {
        expect((await call(method, machine)).status).toBe(200);
      }
      await call("DeleteServiceUserCredential", { ...machine, secret_id: secret.id });
    });

    it("beyond the calendar, which only binary can say, is refused", async () => {
      using open = openTransport(server.url, "gRPC", "h2c");
      for (const seconds of [10n ** 15n, -(10n ** 15n), 253402300800n]) {
        const request = { orgId: "default", id: one.id, expiresAt: { seconds, nanos: 0 } };
        const error = await refusalOf(
          ownClients(open.transport).serviceUsers.createServiceUserCredential(request, {
            headers: basic(server),
          }),
        );
        expect(error.code).toBe(Code.InvalidArgument);
        expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("expires_at");
        expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("INVALID_REQUEST");
      }
    });
  });

  describe("a credential", () => {
    const whoami = (headers: Record<string, string | string[]>) =>
      postJson(server, `${auth}/GetCurrentUser`, {}, headers);
    const encode = (text: string | Buffer) => Buffer.from(text).toString("base64");
    const form = "application/x-www-form-urlencoded";

    /** Posts with several `Authorization` headers; answers the status. */
    async function postRepeated(
      version: string,
      path: string,
      type: string,
      body: string,
      authorization: string[],
    ): Promise<number> {
      const headers = { "content-type": type, authorization } as unknown as OutgoingHttpHeaders;
      if (version === "HTTP/1.1") {
        return (await send(`${server.url}${path}`, { method: "POST", headers, body })).status;
      }
      const lenient = { strictSingleValueFields: false } as ClientSessionOptions;
      const session = connectHttp2(server.url, lenient);
      try {
        const stream = session.request({ ":method": "POST", ":path": path, ...headers });
        stream.end(body);
        const [answer] = await once(stream, "response");
        stream.resume();
        return answer[":status"];
      } finally {
        session.close();
      }
    }

    it.each<[string, string]>([
      ["no scheme", "x"],
      ["an empty one", ""],
      ["a scheme alone", "Basic"],
      ["a bearer alone", "Bearer "],
      ["an unknown scheme", "Digest abc"],
      ["no base64", "Basic *:*"],
      ["no colon", `Basic ${encode("abc")}`],
      ["no UTF-8", `Basic ${encode(Buffer.from([0xff, 0x3a, 0xfe]))}`],
      ["no UUID", `Basic ${encode("admin:admin")}`],
      ["a statement", `Basic ${encode("' or 1=1 --:x")}`],
      ["a NUL", `Basic ${encode(`${uuid}\0:x`)}`],
      ["an unknown id", `Basic ${encode(`${uuid}:vsts_x`)}`],
      ["two at once", `Basic ${encode(`${uuid}:x`)}, Bearer a.b.c`],
      ["a token that is none", "Bearer a.b.c"],
      ["an unknown opaque token", "Bearer vstt_abc"],
      ["a huge token", `Bearer ${"a".repeat(10_000)}.b.c`],
    ])("that is %s is refused", async (_, authorization) => {
      const answer = await whoami({ authorization });
      expectRefusal(answer, unauthenticated);
      expect((await postJson(server, `${auth}/AuthToken`, {}, { authorization })).status).toBe(401);
    });

    it("that is missing is refused", async () => {
      expectRefusal(await whoami({}), unauthenticated);
      expectRefusal(await postJson(server, `${auth}/AuthToken`, {}), unauthenticated);
    });

    it("is refused before its request is judged", async () => {
      expectRefusal(await postJson(server, `${serviceUsers}/GetServiceUser`, { id: "x" }), unauthenticated);
    });

    it("with a wrong secret is refused like an unknown one", async () => {
      const answers = await Promise.all(
        [
          { clientId: one.clientId, clientSecret: other.clientSecret },
          { clientId: one.clientId, clientSecret: `${one.clientSecret}x` },
          { clientId: one.clientId, clientSecret: "" },
          { clientId: one.id, clientSecret: one.clientSecret },
          { clientId: uuid, clientSecret: one.clientSecret },
        ].map((credential) => whoami(basic(credential))),
      );
      for (const answer of answers) expectRefusal(answer, unauthenticated);
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    });

    it("beside one of another principal is refused, and two of one are not", async () => {
      const [tokenOfOne, tokenOfOther] = await Promise.all([getToken(server, one), getToken(server, other)]);
      expectRefusal(await whoami({ ...basic(one), "x-user-token": tokenOfOther }), unauthenticated);
      expectRefusal(await whoami({ ...basic(one), "x-user-token": "a.b.c" }), unauthenticated);
      expectRefusal(await whoami({ ...basic(one), cookie: "sid=x" }), unauthenticated);
      expect((await whoami({ ...basic(one), "x-user-token": tokenOfOne })).status).toBe(200);
    });

    it.each(["HTTP/1.1", "HTTP/2"])(
      "in two headers is refused, though one be good, over %s",
      async (version) => {
        const good = basic(one).authorization;
        for (const authorization of [
          [good, basic(other).authorization],
          [good, "Bearer a.b.c"],
          [good, good],
        ]) {
          const statuses = await Promise.all([
            postRepeated(version, `${auth}/GetCurrentUser`, "application/json", "{}", authorization),
            postRepeated(version, "/oauth2/token", form, "grant_type=client_credentials", authorization),
          ]);
          expect(statuses).toEqual([401, 401]);
        }
        expect(await postRepeated(version, `${auth}/GetCurrentUser`, "application/json", "{}", [good])).toBe(
          200,
        );
      },
    );

    it("of an unknown grant type is refused", async () => {
      const answer = await postJson(
        server,
        `${auth}/AuthToken`,
        { grant_type: "password", client_id: one.clientId, client_secret: one.clientSecret },
        basic(one),
      );
      expectRefusal(answer, {
        status: 400,
        code: "invalid_argument",
        message: "unsupported grant type",
        reason: "UNSUPPORTED_GRANT_TYPE",
      });
    });

    it("bad or not, is overlooked where none is needed", async () => {
      for (const headers of [{ authorization: "Basic" }, { cookie: "sid=x" }]) {
        expect((await postJson(server, `${auth}/GetJWKs`, {}, headers)).status).toBe(200);
      }
    });
  });

  describe("another site", () => {
    const foreign = { origin: "https://evil.example", cookie: "sid=x", authorization: undefined };
    const create = (headers: object) =>
      postJson(server, `${serviceUsers}/CreateServiceUser`, { org_id: "default" }, { ...headers });

    it("cannot use a browser's cookie", async () => {
      const crossOrigin: Refusal = { ...notAuthorized, reason: "CROSS_ORIGIN" };
      for (const headers of [
        { origin: "https://evil.example" },
        { origin: "null" },
        { origin: "https://app.example.com.evil.example" },
        { "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "same-site" },
        { "sec-fetch-site": "none" },
      ]) {
        expectRefusal(await create({ cookie: "sid=x", ...headers }), crossOrigin);
      }
    });

    it("is let through to the check of the cookie when it is ours or allowed, or no site at all", async () => {
      for (const headers of [
        {},
        { origin: `http://localhost:${server.port}` },
        { origin: "https://app.example.com" },
        { "sec-fetch-site": "same-origin" },
      ]) {
        expectRefusal(await create({ cookie: "sid=x", ...headers }), unauthenticated);
      }
    });

    it("is shown nothing by a browser unless it is allowed", async () => {
      const preflight = (origin: string) =>
        send(`${server.url}${auth}/AuthToken`, {
          method: "OPTIONS",
          headers: { origin, "access-control-request-method": "POST" },
        });
      expect((await preflight(foreign.origin)).headers).not.toHaveProperty("access-control-allow-origin");
      expect((await preflight("https://app.example.com")).headers).toMatchObject({
        "access-control-allow-origin": "https://app.example.com",
        "access-control-allow-credentials": "true",
        vary: "Origin",
      });
      const answer = await postJson(server, `${auth}/GetJWKs`, {}, { origin: foreign.origin });
      expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
      expect(answer.headers).toMatchObject({ vary: "Origin" });
    });
  });

  describe("a path or verb", () => {
    it.each([
      ["POST", "/nowhere", 404],
      ["GET", "/../../etc/passwd", 404],
      ["GET", "/%2e%2e/healthz", 404],
      ["DELETE", "/healthz", 405],
      ["GET", `${serviceUsers}/CreateServiceUser`, 405],
      ["PUT", `${serviceUsers}/CreateServiceUser`, 405],
      ["POST", `${serviceUsers}/DropTables`, 501],
      ["POST", `${serviceUsers}/CreateServiceUser/`, 501],
      ["POST", `/${serviceUsers}/CreateServiceUser`, 404],
    ])("%s %s answers %i", async (method, path, status) => {
      const answer = await send(`${server.url}${path}`, {
        method,
        headers: { ...basic(server), "content-type": "application/json" },
        ...(method === "GET" ? {} : { body: "{}" }),
      });
      expect(answer.status).toBe(status);
      expect(answer.text).not.toMatch(internals);
    });
  });
});

describe("a forged access token", () => {
  let server: TestServer;
  let machine: Machine;
  let genuine: { header: Record<string, unknown>; payload: Record<string, unknown> };
  let signer: KeyObject;
  let publicKey: { pem: string; jwk: Record<string, unknown> };

  const toPart = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const es256 = (key: KeyObject) => (data: string) =>
    sign("sha256", Buffer.from(data), { key, dsaEncoding: "ieee-p1363" });
  const foreigner = generateKeyPairSync("ec", { namedCurve: "P-256" });

  beforeAll(async () => {
    server = await startServer();
    machine = await createMachine(server);
    const token = await getToken(server, machine);
    const [header, payload] = token
      .split(".")
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, "base64url").toString()));
    genuine = { header, payload };
    signer = readSigner(server);
    const jwks = await send(`${server.url}/.well-known/jwks.json`);
    const [jwk] = jwks.json.keys;
    const { createPublicKey } = await import("node:crypto");
    const pem = createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
    publicKey = { pem: String(pem), jwk };
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  /** The server's own private key, out of its database: what no attacker has. */
  function readSigner({ state }: TestServer): KeyObject {
    const key = Buffer.from(readFileSync(join(state.dataDir, "encryption.key"), "utf8").trim(), "base64url");
    const database = new Sqlite(join(state.dataDir, "vestibule.db"), { readonly: true });
    const row = database.prepare("select kid, sealed_private_key as sealed from signing_keys").get() as {
      kid: string;
      sealed: string;
    };
    database.close();
    const der = createSealer([key]).open(signingKeyPlace(row.kid), row.sealed);
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  }

  function forge(
    header: Record<string, unknown>,
    payload: Record<string, unknown>,
    toSignature: (data: string) => Uint8Array = es256(signer),
  ): string {
    const data = `${toPart({ ...genuine.header, ...header })}.${toPart({ ...genuine.payload, ...payload })}`;
    return `${data}.${Buffer.from(toSignature(data)).toString("base64url")}`;
  }

  const present = (token: string) =>
    postJson(server, `${auth}/GetCurrentUser`, {}, { authorization: `Bearer ${token}` });
  const now = () => Math.floor(Date.now() / 1000);
  const none = () => Buffer.alloc(0);
  const hmac = (key: string) => (data: string) => createHmac("sha256", key).update(data).digest();

  it("is no straw man: signed with the server's own key, it is good", async () => {
    expect((await present(forge({}, {}))).status).toBe(200);
    expect((await present(forge({}, { exp: now() - 55 }))).status).toBe(200);
    expect((await present(forge({}, { nbf: now() + 55 }))).status).toBe(200);
  });

  it.each<[string, () => string]>([
    ["of alg none", () => forge({ alg: "none" }, {}, none)],
    ["of alg None", () => forge({ alg: "None" }, {}, none)],
    ["without signature", () => forge({}, {}, none)],
    ["of HS256 with the public key as PEM", () => forge({ alg: "HS256" }, {}, hmac(publicKey.pem))],
    [
      "of HS256 with the public key as JWK",
      () => forge({ alg: "HS256" }, {}, hmac(JSON.stringify(publicKey.jwk))),
    ],
    ["of another key under our kid", () => forge({}, {}, es256(foreigner.privateKey))],
    ["of a foreign kid", () => forge({ kid: "foreign" }, {}, es256(foreigner.privateKey))],
    ["of our key under a foreign kid", () => forge({ kid: "foreign" }, {})],
    ["without kid", () => forge({ kid: undefined }, {})],
    ["of a kid that is no text", () => forge({ kid: { $ne: "" } }, {})],
    [
      "that brings its key",
      () => forge({ jwk: foreigner.publicKey.export({ format: "jwk" }) }, {}, es256(foreigner.privateKey)),
    ],
    ["that brings our own key", () => forge({ jwk: publicKey.jwk }, {})],
    ["that names a place of keys", () => forge({ jku: "https://evil.example/jwks.json" }, {})],
    ["with a critical header", () => forge({ crit: ["exp"] }, {})],
    ["of typ JWT", () => forge({ typ: "JWT" }, {})],
    ["of the gate's typ", () => forge({ typ: "vestibule-gate+jwt" }, {})],
    ["without typ", () => forge({ typ: undefined }, {})],
    ["of alg ES384", () => forge({ alg: "ES384" }, {})],
    ["of another audience", () => forge({}, { aud: "https://api.example.com" })],
    ["of two audiences", () => forge({}, { aud: [genuine.payload.aud, "https://api.example.com"] })],
    ["without audience", () => forge({}, { aud: undefined })],
    ["of another issuer", () => forge({}, { iss: "https://evil.example" })],
    ["without issuer", () => forge({}, { iss: undefined })],
    ["of another gen", () => forge({}, { gen: "user" })],
    ["that has expired", () => forge({}, { exp: now() - 61 })],
    ["that never expires", () => forge({}, { exp: undefined })],
    ["that expires in words", () => forge({}, { exp: "2999-01-01" })],
    ["that is not valid yet", () => forge({}, { nbf: now() + 65 })],
    ["of no principal", () => forge({}, { sub: undefined })],
    ["of a kind of principal that there is not", () => forge({}, { sub_type: "app/superuser" })],
    ["of another's credential", () => forge({}, { credential_id: server.clientId })],
    ["with a tail", () => `${forge({}, {})}.x`],
    ["with padding", () => `${forge({}, {})}==`],
  ])("%s is refused", async (_, make) => {
    expectRefusal(await present(make()), unauthenticated);
  });

  it("of a principal that there never was says so", async () => {
    expectRefusal(await present(forge({}, { sub: uuid })), {
      status: 404,
      code: "not_found",
      message: "user doesn't exist",
      reason: "USER_NOT_FOUND",
    });
  });

  it("with one byte of it changed is refused", async () => {
    const token = forge({}, {});
    for (const at of [5, token.indexOf(".") + 8, token.length - 10]) {
      const swapped = `${token.slice(0, at)}${token[at] === "A" ? "B" : "A"}${token.slice(at + 1)}`;
      expectRefusal(await present(swapped), unauthenticated);
    }
  });
});
