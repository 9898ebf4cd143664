import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import {
  CreateServiceUserRequestSchema,
  ServiceUserService,
} from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import { registerService } from "../assembly/services.ts";
import { readBody } from "../http/node-http.ts";
import type { PlainRoute } from "../http/plain-route.ts";
import { DomainError } from "../lib/errors.ts";
import { createEdge } from "./router.ts";
import { createOptions, type Received, type RunningEdge, send, sendJson, startEdge } from "./test-support.ts";

const limit = 1024 * 1024;
const authToken = "/vestibule.v1.AuthService/AuthToken";
const getCurrentUser = "/vestibule.v1.AuthService/GetCurrentUser";
const aliasPath = "/raystack.frontier.v1beta1.FrontierService";

const routes: PlainRoute[] = [
  {
    method: "POST",
    path: "/echo",
    handle: ({ body, query, info }) => ({
      status: 200,
      headers: { vary: "Accept", "set-cookie": ["a=1", "b=2"] },
      body: { length: body.byteLength, q: query.get("q"), client: info.clientAddress },
    }),
  },
  { method: "GET", path: "/public", isPublic: true, handle: () => ({ status: 200, body: "keys" }) },
  { method: "GET", path: "/text", handle: () => ({ status: 200, body: "hello" }) },
  { method: "GET", path: "/things/{id}", handle: ({ path }) => ({ status: 200, body: path }) },
  { method: "GET", path: "/things/own", handle: () => ({ status: 200, body: "its own" }) },
  {
    method: "GET",
    path: "/refused",
    handle: () => {
      throw new DomainError("UNAVAILABLE", { retryAfterSeconds: 5, detail: "disk full" });
    },
  },
  {
    method: "GET",
    path: "/broken",
    handle: async () => {
      throw new Error("hunter2");
    },
  },
  {
    method: "POST",
    path: "/raw",
    raw: async (request, response, info) => {
      const body = await readBody(request, limit);
      info.outcome.code = "ok";
      response.end(`raw ${body.byteLength}`);
    },
  },
];

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({ routes, trustedProxies: [] });
});
afterAll(() => edge.close());

/** The access log's line of an answer, which comes a moment after it. */
function lineOf({ headers }: Received) {
  return eventually(() => {
    const id = headers["x-request-id"];
    const line = edge.lines.find((each) => each.message === "request" && each.requestId === id);
    if (line === undefined) throw new Error(`${id} is not logged yet`);
    return line;
  });
}

describe("plain routes", () => {
  it("answers by exact method and path", async () => {
    const answer = await send(edge.http1, "POST", "/echo?q=%zz1", {}, "12345");
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toEqual({ length: 5, q: "%zz1", client: "127.0.0.1" });
    expect(answer.headers).toMatchObject({
      "content-type": "application/json",
      "set-cookie": ["a=1", "b=2"],
      vary: "Origin, Accept",
      "x-content-type-options": "nosniff",
    });
  });

  it("has any last segment where a path ends in an id, and counts them as one", async () => {
    for (const path of ["/things/a", "/things/%2F..", "/things/{id}"]) {
      expect(await send(edge.http1, "GET", path)).toMatchObject({ status: 200, body: path });
    }
    expect(await send(edge.http1, "GET", "/things/own")).toMatchObject({ body: "its own" });
    for (const path of ["/things/", "/things", "/things/a/b", "/other/a"]) {
      expect(await send(edge.http1, "GET", path)).toMatchObject({ status: 404 });
    }
    expect(await send(edge.http1, "POST", "/things/a")).toMatchObject({
      status: 405,
      headers: { allow: "GET, HEAD" },
    });
    const { body } = await send(edge.http1, "GET", "/metrics");
    expect(body).toContain('route="/things/{id}"');
    expect(body).not.toContain("/things/a");
  });

  it("answers HEAD as GET without the body", async () => {
    const answer = await send(edge.http1, "HEAD", "/text");
    expect(answer).toMatchObject({ status: 200, body: "", headers: { "content-length": "5" } });
  });

  it("refuses other methods and names those that are allowed", async () => {
    expect(await send(edge.http1, "DELETE", "/text")).toMatchObject({
      status: 405,
      headers: { allow: "GET, HEAD" },
    });
    expect(await send(edge.http1, "HEAD", "/echo")).toMatchObject({
      status: 405,
      headers: { allow: "POST" },
    });
    expect(await send(edge.http1, "OPTIONS", "/echo")).toMatchObject({ status: 405 });
  });

  it("takes a body of the limit and refuses a byte more, announced or not", async () => {
    const whole = Buffer.alloc(limit);
    for (const path of ["/echo", "/raw"]) {
      expect((await send(edge.http1, "POST", path, {}, whole)).status).toBe(200);
      const announced = await send(edge.http1, "POST", path, {}, Buffer.alloc(limit + 1));
      expect(announced.status).toBe(413);
      expect(JSON.parse(announced.body)).toEqual({
        code: "resource_exhausted",
        message: "request is larger than 1048576 bytes",
      });
      expect((await send(edge.http1, "POST", path, {}, [whole, Buffer.alloc(1)])).status).toBe(413);
    }
  });

  it("tells refusals and hides what breaks", async () => {
    const refused = await send(edge.http1, "GET", "/refused");
    expect(refused).toMatchObject({ status: 503, headers: { "retry-after": "5" } });
    expect(refused.body).toBe('{"code":"unavailable","message":"temporarily unavailable, try again"}');
    expect(await lineOf(refused)).toMatchObject({
      code: "unavailable",
      reason: "UNAVAILABLE",
      detail: "disk full",
    });
    const broken = await send(edge.http1, "GET", "/broken");
    expect(broken).toMatchObject({
      status: 500,
      body: '{"code":"internal","message":"internal server error"}',
    });
  });

  it("hands raw routes the request itself", async () => {
    expect(await send(edge.http1, "POST", "/raw", {}, "1234")).toMatchObject({ status: 200, body: "raw 4" });
  });

  it("refuses two routes of one name at start", () => {
    const route: PlainRoute = { method: "GET", path: "/healthz", handle: () => ({ status: 200 }) };
    expect(() => createEdge(createOptions({ routes: [route] }))).toThrow("GET /healthz");
  });

  it("serves health and metrics", async () => {
    edge.health.setServing(true);
    expect(await send(edge.http1, "GET", "/healthz")).toMatchObject({
      status: 200,
      body: '{"status":"SERVING"}',
    });
    expect(await send(edge.http1, "GET", "/ping")).toMatchObject({
      status: 200,
      body: '{"status":"SERVING"}',
    });
    expect((await send(edge.http1, "GET", "/metrics")).body).toContain('route="/healthz"');
  });
});

describe("paths", () => {
  it.each([
    "/",
    "/nothing",
    "//healthz",
    "/healthz/",
    "/%68ealthz",
    "/x/../healthz",
    "/%",
    "/%ff%fe",
    "/\\",
    "*",
    "http://",
    "http://a b/",
    "/vestibule.v1.AuthService",
  ])("does not know %j", async (target) => {
    const answer = await send(edge.http1, "GET", encodeURI(target).replaceAll("%25", "%"));
    expect(answer).toMatchObject({ status: 404, body: '{"code":"not_found","message":"not found"}' });
  });

  it.each([
    ["a browser", { "sec-fetch-mode": "navigate", accept: "text/html" }, 299],
    ["an old browser", { accept: "text/html,application/xhtml+xml,*/*;q=0.8" }, 299],
    ["a script", { "sec-fetch-mode": "cors", accept: "text/html" }, 404],
    ["a program", { accept: "*/*" }, 404],
    ["a program that also takes HTML", { accept: "application/json, text/html" }, 404],
  ])("tells %s in its own way", async (_, headers, status) => {
    const shown = await startEdge({ lost: ({ path }) => ({ status: 299, body: `nothing at ${path}` }) });
    onTestFinished(() => shown.close());
    expect((await send(shown.http1, "GET", "/nothing", headers)).status).toBe(status);
    expect((await send(shown.http1, "POST", "/nothing", headers)).status).toBe(404);
    expect((await send(shown.http1, "GET", "/metrics", headers)).status).toBe(200);
  });

  it("takes the absolute form, whatever host it names", async () => {
    const healthz = await send(edge.http1, "GET", "http://elsewhere.example/healthz?x");
    expect(healthz.status).toBe(200);
    const body = '{"clientSecret":"s"}';
    const headers = { "content-type": "application/json", host: "::not a host::" };
    const rpc = await send(
      edge.http1,
      "POST",
      `http://elsewhere.example:99999999${authToken}`,
      headers,
      body,
    );
    expect(rpc.status).toBe(200);
  });

  it("answers HTTP/1.0 without a host", async () => {
    const head = [`POST ${authToken} HTTP/1.0`, "content-type: application/json", "content-length: 2"];
    const answer = await exchange(`${head.join("\r\n")}\r\n\r\n{}`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it.each([
    ["the empty body of a message in bytes", `POST ${authToken}`, "application/proto", 200],
    ["no JSON", `POST ${authToken}`, "application/json", 400],
    ["no JSON for the adapter", `POST ${authToken}`, "application/json; charset=latin1", 415],
    ["no envelope", `POST ${authToken}`, "application/grpc-web+proto", 200],
    ["nothing for nobody", "POST /nothing", "text/plain", 404],
    ["nothing for a method that a path has not", "DELETE /healthz", "text/plain", 405],
  ])("answers a request that says nothing of a body: %s", async (_, line, type, status) => {
    const head = [`${line} HTTP/1.1`, "host: a", `content-type: ${type}`, "connection: close"];
    const answer = await exchange(`${head.join("\r\n")}\r\n\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });
});

describe("request id", () => {
  it.each([
    ["/healthz", "a.b_c-1"],
    ["/nothing", "x".repeat(128)],
    [authToken, "42"],
  ])("is taken on %s when well-formed", async (path, id) => {
    const answer = await send(edge.http1, "GET", path, { "x-request-id": id });
    expect(answer.headers["x-request-id"]).toBe(id);
    expect(await lineOf(answer)).toMatchObject({ path, requestId: id });
  });

  it.each(["", "a b", "x".repeat(129), "é", "a,b"])("is made anew instead of %j", async (id) => {
    const answer = await send(edge.http1, "GET", "/healthz", {
      "x-request-id": Buffer.from(id).toString("latin1"),
    });
    expect(answer.headers["x-request-id"]).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });
});

describe("what the RPC library refuses", () => {
  const watch = "/grpc.health.v1.Health/Watch";
  const secret = "vsts_canary";
  const json = { "content-type": "application/json" };
  const binary = { "content-type": "application/proto" };

  it.each([
    ["a syntax error", json, `{"clientSecret":"${secret}",}`, 400, /^request body is not valid JSON$/],
    ["an empty body", json, "", 400, /^request body is not valid JSON$/],
    ["an array", json, `["${secret}"]`, 400, "request body is not valid JSON for this method"],
    [
      "a repeated key",
      json,
      `{"clientSecret":"${secret}","clientSecret":""}`,
      400,
      /^clientSecret: is given more than once$/,
    ],
    ["a number for a text", json, '{"clientSecret":5}', 400, /^client_secret: must be of string$/],
    ["deep nesting", json, "[".repeat(100_000), 400, /^request body is nested deeper than 64 levels$/],
    ["junk for Protobuf", binary, `\u00ff${secret}`, 400, "request body is not a valid Protobuf message"],
    [
      "unknown compression",
      { ...json, "content-encoding": "zstd" },
      "{}",
      501,
      /^unknown compression: supported/,
    ],
    ["false gzip", { ...json, "content-encoding": "gzip" }, secret, 400, "request body cannot be read"],
    ["a bad timeout", { ...json, "connect-timeout-ms": "soon" }, "{}", 400, "timeout header is not valid"],
  ])("says %s in fixed words", async (_, headers, body, status, message) => {
    const answer = await send(edge.http1, "POST", authToken, headers, body);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body).message).toMatch(message);
    expect(answer.body).not.toContain(secret);
    expect(answer.body).toContain("google.rpc.ErrorInfo");
    expect(JSON.stringify(edge.lines)).not.toContain(secret);
  });

  it("names the field in the details", async () => {
    const { body } = await sendJson(edge.http1, authToken, { clientSecret: {} });
    const details = JSON.parse(body).details.map(({ debug }: { debug: unknown }) => debug);
    expect(details).toContainEqual({
      fieldViolations: [expect.objectContaining({ field: "client_secret" })],
    });
  });

  it("refuses what is too large: announced, in chunks, and once unpacked", async () => {
    const large = `{"assertion":"${"x".repeat(limit)}"}`;
    const message = `request is larger than ${limit} bytes`;
    for (const body of [Buffer.from(large), [Buffer.from(large)]]) {
      const answer = await send(edge.http1, "POST", authToken, json, body);
      expect(answer.status).toBe(413);
      expect(JSON.parse(answer.body)).toMatchObject({ code: "resource_exhausted", message });
    }
    const bomb = gzipSync(Buffer.alloc(100 * limit, "x"));
    expect(bomb.byteLength).toBeLessThan(limit);
    const answer = await send(edge.http1, "POST", authToken, { ...json, "content-encoding": "gzip" }, bomb);
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "resource_exhausted", message });
  });

  it("unpacks gzip", async () => {
    const body = gzipSync('{"clientSecret":"packed"}');
    const answer = await send(edge.http1, "POST", authToken, { ...json, "content-encoding": "gzip" }, body);
    expect(JSON.parse(answer.body)).toMatchObject({ accessToken: "packed" });
  });

  it("says of gzip that ends too early that it cannot be read", async () => {
    const packed = gzipSync('{"clientSecret":"packed"}');
    for (const end of [-1, -8, 20, 5]) {
      const headers = { ...json, "content-encoding": "gzip" };
      const answer = await send(edge.http1, "POST", authToken, headers, packed.subarray(0, end));
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body).message).toBe("request body cannot be read");
    }
  });

  it("calls a message internal that is packed in no way that a header names, and logs no fault of ours", async () => {
    const before = edge.lines.length;
    const packed = Buffer.from([1, 0, 0, 0, 1, 0]);
    for (const type of ["application/grpc-web", "application/grpc-web+json", "application/connect+json"]) {
      const path = type.startsWith("application/grpc") ? authToken : watch;
      const answer = await send(edge.http1, "POST", path, { "content-type": type }, packed);
      expect(answer.body).toMatch(/grpc-status: 13\r\n|"code":"internal"/);
      expect(decodeURIComponent(answer.body)).toContain("a message is compressed and no header says how");
    }
    expect(edge.lines.slice(before).filter(({ level }) => level === "error")).toEqual([]);
  });

  it.each([
    ["application/json", authToken, "content-encoding", "accept-encoding"],
    ["application/connect+json", watch, "connect-content-encoding", "connect-accept-encoding"],
    ["application/grpc-web", authToken, "grpc-encoding", "grpc-accept-encoding"],
    ["application/grpc", authToken, "grpc-encoding", "grpc-accept-encoding"],
  ])("says in %s which compressions it takes", async (type, path, encoding, accepted) => {
    const headers = { "content-type": type, [encoding]: "br", te: "trailers" };
    const answer = await send(edge.http1, "POST", path, headers, Buffer.alloc(5));
    expect(answer.headers).toMatchObject({ [accepted]: "gzip" });
  });

  it.each([
    ["base64=1&message=%25%25%25", 400, "the parameter message is not valid base64url"],
    ["base64=1&message=a", 400, "the parameter message is not valid base64url"],
    ["base64=1&message=e30", 200, undefined],
    ["message=%7B", 400, "request body is not valid JSON"],
    ["message=%7B%7D", 200, undefined],
    ["", 400, "request body is not valid JSON"],
  ])("reads the message of a GET (%s), or says what is wrong with it", async (query, status, message) => {
    const path = `${getCurrentUser}?connect=v1&encoding=json&${query}`;
    const answer = await send(edge.http1, "GET", path, { authorization: "Bearer good" });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body).message).toBe(message);
    if (status !== 200) expect(answer.body).toContain('"reason":"INVALID_REQUEST"');
  });

  it("lets nobody keep what a GET is answered with, good or refused", async () => {
    const path = `${getCurrentUser}?connect=v1&encoding=json&message=%7B%7D`;
    for (const [credential, status] of [
      ["Bearer good", 200],
      ["Bearer bad", 401],
    ] as const) {
      expect(await send(edge.http1, "GET", path, { authorization: credential })).toMatchObject({
        status,
        headers: { "cache-control": "no-store", "x-content-type-options": "nosniff" },
      });
    }
  });

  it("says which methods and types it takes", async () => {
    expect(await send(edge.http1, "GET", authToken)).toMatchObject({
      status: 405,
      headers: { allow: "POST" },
    });
    const put = await send(edge.http1, "PUT", getCurrentUser);
    expect(put).toMatchObject({ status: 405, headers: { allow: "POST, GET" } });
    const text = await send(edge.http1, "POST", authToken, { "content-type": "text/plain" }, "{}");
    expect(text).toMatchObject({
      status: 415,
      headers: { "accept-post": "application/json, application/proto" },
    });
    // No protocol's error: a client goes by the status.
    expect(text.headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(text.body).toBe("the body's media type is not supported: send Content-Type: application/json\n");
    expect(await lineOf(text)).toMatchObject({ code: "client_error", status: 415 });
  });
});

describe("errors over plain JSON", () => {
  it("are Frontier's", async () => {
    const refused = await sendJson(edge.http1, getCurrentUser, {});
    expect(refused.status).toBe(401);
    expect(JSON.parse(refused.body)).toMatchObject({ code: "unauthenticated", message: "not authenticated" });
    const disabled = await sendJson(edge.http1, authToken, { grantType: "disabled" });
    expect(disabled.status).toBe(403);
    expect(JSON.parse(disabled.body)).toMatchObject({ code: "permission_denied", message: "not authorized" });
    expect(await lineOf(disabled)).toMatchObject({
      reason: "PRINCIPAL_DISABLED",
      detail: "disabled yesterday",
    });
    expect(disabled.body).not.toContain("yesterday");
  });
});

describe("Frontier's alias", () => {
  it("takes both spellings and answers in snake_case, without unset fields", async () => {
    for (const request of [{ client_secret: "s" }, { clientSecret: "s" }]) {
      const answer = await sendJson(edge.http1, `${aliasPath}/AuthToken`, request);
      expect(JSON.parse(answer.body)).toEqual({ access_token: "s", token_type: "Bearer", expires_in: 3600 });
    }
    const empty = await sendJson(edge.http1, `${aliasPath}/AuthToken`, {});
    expect(JSON.parse(empty.body)).toEqual({ token_type: "Bearer", expires_in: 3600 });
    const own = await sendJson(edge.http1, authToken, {});
    expect(JSON.parse(own.body)).toEqual({ tokenType: "Bearer", expiresIn: 3600 });
  });

  it("asks for the same credentials", async () => {
    const path = `${aliasPath}/GetCurrentUser`;
    expect((await sendJson(edge.http1, path, {})).status).toBe(401);
    expect((await sendJson(edge.http1, path, {}, { authorization: "Bearer good" })).status).toBe(200);
  });
});

describe("methods that do not exist", () => {
  const paths = ["/vestibule.v1.AuthService/Nothing", `${aliasPath}/ListPolicies`];

  it.each(paths)("%s is unimplemented in Connect", async (path) => {
    const answer = await sendJson(edge.http1, path, {});
    expect(answer).toMatchObject({ status: 501, headers: { "content-type": "application/json" } });
    expect(JSON.parse(answer.body)).toMatchObject({ code: "unimplemented", message: "unimplemented" });
    expect(await lineOf(answer)).toMatchObject({ code: "unimplemented" });
  });

  it("are unimplemented and not there in Connect, of services that do not exist either", async () => {
    const answer = await sendJson(
      edge.http1,
      "/nobody.Here/Nothing",
      {},
      { "connect-protocol-version": "1" },
    );
    expect(answer).toMatchObject({ status: 404, headers: { "content-type": "application/json" } });
    expect(JSON.parse(answer.body)).toEqual({ code: "unimplemented", message: "unimplemented" });
    expect(await lineOf(answer)).toMatchObject({ code: "unimplemented" });
  });

  it.each(["application/grpc", "application/grpc+proto", "application/grpc-web+proto"])(
    "are unimplemented in %s, of unknown services too",
    async (type) => {
      for (const path of [...paths, "/nobody.Here/Nothing"]) {
        const answer = await send(edge.http1, "POST", path, { "content-type": type, te: "trailers" }, "");
        expect(answer).toMatchObject({
          status: 200,
          body: "",
          headers: { "content-type": type, "grpc-status": "12", "grpc-message": "unimplemented" },
        });
      }
    },
  );

  it("are unimplemented at the end of a Connect stream", async () => {
    const headers = { "content-type": "application/connect+json" };
    const answer = await send(edge.http1, "POST", paths[0] ?? "", headers, "");
    expect(answer.status).toBe(200);
    expect(answer.body.charCodeAt(0)).toBe(2);
    expect(JSON.parse(answer.body.slice(5))).toMatchObject({ error: { code: "unimplemented" } });
  });
});

describe("gRPC over HTTP/1.1", () => {
  it("answers with trailers", async () => {
    const frame = Buffer.from([0, 0, 0, 0, 3, 0x1a, 1, 0x73]);
    const headers = { "content-type": "application/grpc+proto", te: "trailers" };
    const answer = await send(edge.http1, "POST", authToken, headers, frame);
    expect(answer.status).toBe(200);
    expect(answer.headers["transfer-encoding"]).toBe("chunked");
    expect(answer.body.slice(5)).toContain("Bearer");
  });

  it("refuses bidirectional streams, which it cannot carry", async () => {
    const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const answer = await send(edge.http1, "POST", path, { "content-type": "application/grpc" }, "");
    expect(answer).toMatchObject({ status: 505, headers: { connection: "close" } });
  });
});

describe("other origins", () => {
  const preflight = { "access-control-request-method": "POST" };

  it("lets an allowed origin in, with credentials", async () => {
    const origin = "https://app.example.com";
    const asked = await send(edge.http1, "OPTIONS", authToken, { origin, ...preflight });
    expect(asked).toMatchObject({
      status: 204,
      headers: {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
        vary: "Origin",
      },
    });
    expect(asked.headers["access-control-allow-headers"]).toMatch(
      /Connect-Protocol-Version.*Authorization.*X-Project/,
    );
    const called = await sendJson(edge.http1, authToken, {}, { origin });
    expect(called.headers).toMatchObject({ "access-control-allow-origin": origin, vary: "Origin" });
    expect(called.headers["access-control-expose-headers"]).toMatch(/Grpc-Status.*X-Request-Id/i);
    const refused = await sendJson(edge.http1, getCurrentUser, {}, { origin });
    expect(refused.headers["access-control-allow-origin"]).toBe(origin);
  });

  it.each([
    [undefined, "*"],
    ["https://evil.example", "*"],
    ["https://app.example.com", "https://app.example.com"],
  ])("lets every origin read what is public: %s", async (from, allowed) => {
    const origin = from === undefined ? {} : { origin: from };
    const asked = await send(edge.http1, "OPTIONS", "/public", { origin: "null", ...origin, ...preflight });
    for (const { headers } of [await send(edge.http1, "GET", "/public", origin), asked]) {
      expect(headers).toMatchObject({ "access-control-allow-origin": allowed, vary: "Origin" });
      expect(headers["access-control-allow-credentials"]).toBe(allowed === "*" ? undefined : "true");
    }
  });

  it.each([
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com.evil.example",
    "https://app.example.com:8443",
    "HTTPS://APP.EXAMPLE.COM",
    "null",
    "*",
  ])("gives %s nothing", async (origin) => {
    for (const answer of [
      await send(edge.http1, "OPTIONS", authToken, { origin, ...preflight }),
      await sendJson(edge.http1, authToken, {}, { origin }),
    ]) {
      expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
      expect(answer.headers.vary).toBe("Origin");
    }
  });
});

describe("access log", () => {
  it("says what happened in one line, without secrets", async () => {
    const headers = {
      authorization: "Bearer good",
      cookie: "sid=canary1",
      "content-type": "application/json",
      "connect-protocol-version": "1",
      "x-request-id": "log-1",
    };
    const path = `${getCurrentUser}?token=canary2`;
    await lineOf(await send(edge.http1, "POST", path, headers, '{"x":"canary3"}'));
    const lines = edge.lines.filter((line) => line.requestId === "log-1");
    expect(lines).toEqual([
      expect.objectContaining({
        level: "info",
        message: "request",
        method: "POST",
        path: getCurrentUser,
        http: "1.1",
        status: 200,
        code: "ok",
        client: "127.0.0.1",
        principal: "serviceuser:019a0000-0000-7000-8000-000000000001",
        credentialKind: "client_secret",
        ms: expect.any(Number),
      }),
    ]);
    expect(JSON.stringify(edge.lines)).not.toMatch(/canary\d/);
  });

  it("tells of a refused credential", async () => {
    const answer = await sendJson(edge.http1, getCurrentUser, {}, { authorization: "Bearer bad" });
    expect(await lineOf(answer)).toMatchObject({
      code: "unauthenticated",
      reason: "NOT_AUTHENTICATED",
      detail: "unknown token",
      credentialKind: "access_token",
    });
  });
});

describe("metrics", () => {
  it("put every unknown path under one label", async () => {
    for (const path of ["/a1", "/a2", "/vestibule.v1.AuthService/A3"]) {
      await lineOf(await send(edge.http1, "GET", path));
    }
    const { body } = await send(edge.http1, "GET", "/metrics");
    expect(body).toContain('route="other"');
    expect(body).not.toMatch(/\/a1|A3/);
    expect(body).toMatch(
      /vestibule_requests_total\{route="\/vestibule\.v1\.AuthService\/GetCurrentUser",code="ok",credential="client_secret"\} \d+/,
    );
    expect(body).toMatch(/vestibule_requests_in_flight 1\n/);
  });
});

describe("time", () => {
  it("limits unary calls, and the reading of their bodies", async () => {
    const brief = await startEdge({ limits: { bodyBytes: limit, requestSeconds: 0.1 } });
    try {
      const answer = await sendJson(brief.http1, authToken, { grantType: "hang" });
      expect(answer.status).toBe(504);
      expect(JSON.parse(answer.body)).toEqual({ code: "deadline_exceeded", message: "deadline exceeded" });
      const headers = { "content-type": "application/json" };
      const stalled = await stall(brief.http2, { ":method": "POST", ":path": authToken, ...headers });
      expect(stalled).toMatchObject({ status: 504, body: expect.stringContaining("deadline_exceeded") });
    } finally {
      await brief.close();
    }
  });

  it("notes callers that went away", async () => {
    const client = connectHttp2(edge.http2);
    const headers = { ":method": "POST", ":path": authToken, "content-type": "application/json" };
    const stream = client.request({ ...headers, "x-request-id": "gone-1" });
    stream.end('{"grantType":"hang"}', () => stream.close(8));
    await eventually(() =>
      expect(edge.lines.find(({ requestId }) => requestId === "gone-1")).toMatchObject({
        code: "canceled",
        status: 0,
      }),
    );
    client.destroy();
  });
});

describe("a body that its sender cuts", () => {
  const served: string[] = [];
  const createServiceUser = "/vestibule.v1.ServiceUserService/CreateServiceUser";
  const note = (what: string) => {
    served.push(what);
    return { status: 200 };
  };
  const noting: PlainRoute[] = [
    { method: "POST", path: "/form", handle: ({ body }) => note(`form ${body.byteLength}`) },
    {
      method: "POST",
      path: "/raw-form",
      raw: async (request, response) => {
        note(`raw ${(await readBody(request, limit)).byteLength}`);
        response.end();
      },
    },
  ];
  const part = create(CreateServiceUserRequestSchema, { body: { title: "a part" } });
  const message = toBinary(CreateServiceUserRequestSchema, part);
  const targets: { to: string; path: string; type: string; body: string | Uint8Array; more?: object }[] = [
    { to: "Connect binary", path: createServiceUser, type: "application/proto", body: message },
    {
      to: "Connect binary, by the adapter",
      path: createServiceUser,
      type: "application/proto",
      body: message,
      more: { "content-encoding": "identity" },
    },
    { to: "Connect JSON", path: createServiceUser, type: "application/json", body: '{"body":{}}' },
    { to: "a plain route", path: "/form", type: "application/x-www-form-urlencoded", body: "a=1" },
    { to: "a raw route", path: "/raw-form", type: "application/x-www-form-urlencoded", body: "a=1" },
  ];
  const cases = targets.flatMap((target) => [
    { ...target, by: "a reset on HTTP/2", cut: cutByReset },
    { ...target, by: "hanging up on HTTP/1.1", cut: cutByHangUp },
  ]);

  it.each(cases)(
    "to $to, by $by, is one line and no failure of ours, and served by nobody as if it were whole",
    async ({ cut, path, type, body, more }) => {
      served.length = 0;
      const serviceUsers = registerService(ServiceUserService, {
        createServiceUser: () => {
          note("call");
          return {};
        },
      });
      const other = await startEdge({ routes: noting, services: [serviceUsers], frontierMethods: [] });
      const head = { "content-type": type, "x-request-id": "cut", authorization: "Bearer good", ...more };
      const socket = cut(other, path, head, Buffer.from(body));
      await eventually(() => expect(other.lines).not.toEqual([]));
      socket.destroy();
      await other.close();
      expect(other.lines).toMatchObject([
        { level: "info", message: "request", requestId: "cut", code: "canceled", status: 0 },
      ]);
      expect(served).toEqual([]);
    },
  );
});

describe("a stream", () => {
  it.each([
    ["gRPC", () => createGrpcTransport({ baseUrl: edge.http2 })],
    ["Connect over HTTP/2", () => createConnectTransport({ baseUrl: edge.http2, httpVersion: "2" })],
    ["Connect over HTTP/1.1", () => createConnectTransport({ baseUrl: edge.http1, httpVersion: "1.1" })],
  ])("by %s that its caller leaves is canceled, in one line", async (name, open) => {
    const leaving = new AbortController();
    const requestId = `left-${name.replaceAll(/[ /]/g, "-")}`;
    const options = { signal: leaving.signal, headers: { "x-request-id": requestId } };
    const stream = (async () => {
      for await (const _ of createClient(Health, open()).watch({}, options)) leaving.abort();
    })();
    await expect(stream).rejects.toMatchObject({ code: Code.Canceled });
    const lines = () => edge.lines.filter((line) => line.requestId === requestId);
    await eventually(() => expect(lines()).toMatchObject([{ message: "request", code: "canceled" }]));
  });
});

describe("shutdown", () => {
  it("ends calls and streams that are still running", async () => {
    const shutdown = new AbortController();
    const ending = await startEdge({ shutdownSignal: shutdown.signal });
    try {
      const call = sendJson(ending.http1, authToken, { grantType: "hang" });
      const transport = createGrpcTransport({ baseUrl: ending.http2 });
      const stream = (async () => {
        for await (const _ of createClient(Health, transport).watch({ service: "nobody.Here" }))
          shutdown.abort();
      })();
      await expect(stream).rejects.toMatchObject({ code: Code.Unavailable });
      const answer = await call;
      expect(answer.status).toBe(503);
      expect(JSON.parse(answer.body)).toMatchObject({ code: "unavailable" });
    } finally {
      await ending.close();
    }
  });
});

/** Sends bytes over HTTP/1 and answers all that comes until the server closes. */
function exchange(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTcp(Number(new URL(edge.http1).port), "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("close", () => resolve(text));
    socket.write(bytes);
  });
}

type Cut = (edge: RunningEdge, path: string, headers: Record<string, string>, body: Buffer) => Socket;

/** Posts a part of a body over HTTP/2, by hand: Node's own client ends a body before it resets its stream. */
const cutByReset: Cut = ({ http2 }, path, headers, body) => {
  const socket = connectTcp(Number(new URL(http2).port), "127.0.0.1");
  const pseudo = { ":method": "POST", ":path": path, ":scheme": "http", ":authority": "a" };
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(toFrame("settings", 0, Buffer.alloc(0)));
  socket.write(toFrame("headers", 1, toHeaderBlock({ ...pseudo, ...headers })));
  socket.write(toFrame("data", 1, body));
  socket.write(toFrame("reset", 1, Buffer.from([0, 0, 0, 8])));
  return socket;
};

/** The same over HTTP/1.1, whose connection ends where the rest should come. */
const cutByHangUp: Cut = ({ http1 }, path, headers, body) => {
  const socket = connectTcp(Number(new URL(http1).port), "127.0.0.1");
  const all = { host: "a", "content-length": String(body.length + 1), ...headers };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`POST ${path} HTTP/1.1\r\n${head.join("")}\r\n`);
  socket.write(body, () => socket.destroy());
  return socket;
};

/** A frame of HTTP/2 (RFC 9113 §4.1); a header block is whole in one. */
function toFrame(kind: "data" | "headers" | "reset" | "settings", stream: number, payload: Buffer): Buffer {
  const [type, flags] = { data: [0, 0], headers: [1, 4], reset: [3, 0], settings: [4, 0] }[kind] ?? [];
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type ?? 0, 3);
  head.writeUInt8(flags ?? 0, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literal fields without indexing and Huffman's code (RFC 7541 §6.2.2); all are short. */
function toHeaderBlock(headers: Readonly<Record<string, string>>): Buffer {
  const fields = Object.entries(headers).map(([name, value]) =>
    Buffer.concat([
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]),
  );
  return Buffer.concat(fields);
}

/** Sends a head over HTTP/2 and never the body. */
function stall(base: string, headers: Record<string, string>): Promise<{ status: unknown; body: string }> {
  return new Promise((resolve, reject) => {
    const client = connectHttp2(base);
    const stream = client.request(headers);
    let status: unknown;
    let body = "";
    stream.on("response", (head) => {
      status = head[":status"];
    });
    stream.on("data", (chunk) => {
      body += chunk;
    });
    stream.on("error", reject);
    stream.on("end", () => {
      client.destroy();
      resolve({ status, body });
    });
    stream.write('{"grant');
  });
}

describe("browsers", () => {
  const paths = ["/healthz", "/nowhere", "/vestibule.v1.AuthService/ListAuthStrategies", "/frontdoor/x"];
  const policyAt = async (running: RunningEdge, path: string) =>
    (await fetch(running.http1 + path)).headers.get("strict-transport-security");

  it("are told to come by https alone", async () => {
    const strict = await startEdge({ strictTransport: true });
    try {
      for (const path of paths) expect(await policyAt(strict, path), path).toBe("max-age=31536000");
    } finally {
      await strict.close();
    }
  });

  it("are told nothing of the kind where they do not come by https", async () => {
    const plain = await startEdge();
    try {
      for (const path of paths) expect(await policyAt(plain, path), path).toBeNull();
    } finally {
      await plain.close();
    }
  });
});
