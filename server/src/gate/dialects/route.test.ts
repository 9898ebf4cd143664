/** The gate's routes on real sockets of both HTTP versions: what is common to all dialects. */
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RunningEdge, send, startEdge } from "../../edge/test-support.ts";
import { createRenderPage } from "../../html/frame.ts";
import { DomainError } from "../../lib/errors.ts";
import { silentLog } from "../../lib/log.ts";
import type { GateAsk } from "../asks/ask.ts";
import type { GateDecision } from "../decisions/decision.ts";
import type { Asker } from "../decisions/record.ts";
import { frontdoorId } from "../test-support.ts";
import { createAsking } from "./answer-ask.ts";
import { listDialects } from "./assemble.ts";
import { createGateRoute } from "./route.ts";

const allowed: GateDecision = {
  isAllowed: true,
  reason: "IDENTIFIED",
  identity: [["X-Vestibule-Subject", "ann"]],
  consumed: "authorization",
  keyHeaders: [],
};

let asked: GateAsk[] = [];
let denied: (Asker & { reason: string })[] = [];
let decision: GateDecision | Promise<GateDecision> = allowed;
let judgeToken = (id: string, token: string): boolean | Promise<boolean> =>
  id === frontdoorId && token === "vstp_good";
let isOverloaded = false;

const asking = createAsking({
  isProxyToken: (id, token) => judgeToken(id, token),
  decide: (ask) => {
    asked.push(ask);
    return decision;
  },
  noteDenied: (asker, { reason }) => void denied.push({ ...asker, reason }),
  trustedProxies: [],
  tellsReasons: true,
  log: silentLog,
});

let edge: RunningEdge;
beforeAll(async () => {
  const jwks = { path: "/jwks.json", handle: () => ({ status: 200, headers: { etag: '"1"' }, body: "{}" }) };
  edge = await startEdge({
    strictTransport: true,
    prefixRoutes: [createGateRoute(asking, listDialects(createRenderPage("Vestibule")), [jwks])],
    admission: {
      isOpenAt: () => !isOverloaded,
      enter: ({ begin, refuse }) => (isOverloaded ? refuse() : begin()),
      noteAnswered: () => {},
    },
  });
});
beforeEach(() => {
  asked = [];
  denied = [];
  decision = allowed;
  judgeToken = (id, token) => id === frontdoorId && token === "vstp_good";
  isOverloaded = false;
});
afterAll(() => edge.close());

const gate = `/frontdoor/${frontdoorId}/gate`;
const proxy = { "x-vestibule-proxy-token": "vstp_good" };
const original = { ...proxy, "x-original-url": "https://app.test/a", "x-original-method": "GET" };
const forwarded = {
  ...proxy,
  "x-forwarded-method": "GET",
  "x-forwarded-proto": "https",
  "x-forwarded-host": "app.test",
  "x-forwarded-uri": "/a",
};
const dialects = [
  ["/nginx", original, 200],
  ["/nginx/refusal", original, 503],
  ["/forward-auth", forwarded, 200],
  ["/envoy/a", { ...proxy, host: "app.test" }, 200],
] as const;

describe.each(dialects)("%s", (path, headers, status) => {
  it.each(["GET", "HEAD", "POST", "OPTIONS", "PROPFIND"])("is asked by %s alike", async (method) => {
    expect((await send(edge.http1, method, gate + path, headers)).status).toBe(status);
    expect(asked.at(-1)).toMatchObject({ host: "app.test", path: "/a", clientAddress: "127.0.0.1" });
  });

  it("is nobody else's business: no sharing across origins, no strict transport, nothing stored", async () => {
    const preflight = {
      ...headers,
      origin: "https://app.example.com",
      "access-control-request-method": "PUT",
    };
    const { headers: answered } = await send(edge.http1, "OPTIONS", gate + path, preflight);
    expect(
      Object.keys(answered).filter((name) => /^(access-control|strict|set-cookie|vary)/.test(name)),
    ).toEqual([]);
    expect(answered["cache-control"]).toBe("no-store");
  });

  it("proves the proxy before it reads anything", async () => {
    for (const token of [undefined, "", "vstp_bad", "vstp_good, vstp_good"]) {
      const { "x-vestibule-proxy-token": _, ...others } = headers;
      const unproven = token === undefined ? others : { ...others, "x-vestibule-proxy-token": token };
      const answer = await send(edge.http1, "GET", gate + path, {
        ...unproven,
        "x-forwarded-for": "6.6.6.6",
      });
      expect(answer).toMatchObject({ status: 403, headers: { "x-vestibule-reason": "PROXY_UNPROVEN" } });
    }
    expect(asked).toEqual([]);
    // What an unproven proxy says of its visitor is not believed.
    expect(new Set(denied.map(({ clientAddress }) => clientAddress))).toEqual(new Set(["127.0.0.1"]));
  });

  it("denies while it cannot be told who the proxy is", async () => {
    judgeToken = () => Promise.reject(new DomainError("UNAVAILABLE"));
    expect(await send(edge.http1, "GET", gate + path, headers)).toMatchObject({
      status: 503,
      headers: { "retry-after": "1", "x-vestibule-reason": "UNAVAILABLE" },
    });
    judgeToken = () => Promise.reject(new Error("a defect"));
    expect((await send(edge.http1, "GET", gate + path, headers)).status).toBe(503);
    expect(asked).toEqual([]);
  });

  it("waits for a proof and a decision that are not in memory", async () => {
    judgeToken = async () => true;
    decision = Promise.resolve({ isAllowed: false, reason: "UNKNOWN_HOST" });
    expect((await send(edge.http1, "GET", gate + path, headers)).status).toBe(403);
  });

  it("denies in its own words while there is too much to do", async () => {
    isOverloaded = true;
    const answer = await send(edge.http1, "GET", gate + path, headers);
    expect(answer).toMatchObject({
      status: 503,
      headers: { "retry-after": "1", "cache-control": "no-store" },
    });
    expect(asked).toEqual([]);
  });

  it("is answered without the body of an ask, whose connection ends", async () => {
    const lines = Object.entries({ host: "vestibule", ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    );
    const head = [`POST ${gate}${path} HTTP/1.1`, ...lines, "Content-Length: 40", "Expect: 100-continue"];
    const answer = await sendRaw(`${head.join("\r\n")}\r\n\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*connection: close`, "i"));
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  it("keeps the connection of an ask without a body", async () => {
    const lines = Object.entries({ host: "vestibule", ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    );
    const ask = `${[`GET ${gate}${path} HTTP/1.1`, ...lines, "Content-Length: 0"].join("\r\n")}\r\n\r\n`;
    const answers = await sendRaw(ask + ask.replace("Content-Length: 0", "Connection: close"));
    expect(answers.match(/HTTP\/1\.1/g)).toHaveLength(2);
  });

  it("is asked by HTTP/2 alike, with a body that never ends too", async () => {
    const { host, ...others } = { host: "vestibule", ...headers };
    const target = { ":path": gate + path, ":authority": host, ...others };
    expect((await exchangeHttp2({ ":method": "GET", ...target }, true))[":status"]).toBe(status);
    expect((await exchangeHttp2({ ":method": "POST", ...target }, false))[":status"]).toBe(status);
    expect((await exchangeHttp2({ ":method": "HEAD", ...target }, true))[":status"]).toBe(status);
    expect(asked).toHaveLength(3);
    decision = { isAllowed: false, reason: "UNKNOWN_HOST" };
    expect((await exchangeHttp2({ ":method": "HEAD", ...target }, true))[":status"]).toBe(403);
  });
});

it("reads frontdoor and dialect from the path alone", async () => {
  expect(
    (
      await send(
        edge.http1,
        "GET",
        `${gate.toUpperCase().replace("/FRONTDOOR", "/frontdoor").replace("/GATE", "/gate")}/nginx?x=/gate/envoy`,
        original,
      )
    ).status,
  ).toBe(200);
  expect(asked[0]?.frontdoorId).toBe(frontdoorId);
  const other = "/frontdoor/019a0000-0000-7000-8000-00000000000e/gate";
  for (const path of [
    `${other}/nginx`,
    "/frontdoor/x/gate/nginx",
    "/frontdoor//gate/nginx",
    "/frontdoor/%2e%2e/gate/nginx",
  ]) {
    const answer = await send(edge.http1, "GET", path, { ...original, "x-frontdoor-id": frontdoorId });
    expect(answer.headers["x-vestibule-reason"], path).toBe("PROXY_UNPROVEN");
  }
});

it("has nothing to say where there is no dialect, and leaves other paths alone", async () => {
  for (const path of [
    "",
    "/",
    "/nginx/",
    "/nginxx",
    "/NGINX",
    "/nginx/refusal/x",
    "/browser",
    "/browser/x",
    "/browser/../nginx",
    "/envoyx/a",
    "/../gate/nginx",
  ]) {
    const answer = await send(edge.http1, "GET", gate + path, original);
    expect(answer, path).toMatchObject({ status: 404, headers: { "cache-control": "no-store" } });
  }
  for (const path of [
    `/frontdoor/${frontdoorId}/gates/nginx`,
    `/frontdoor/${frontdoorId}?x=/gate/nginx`,
    "/frontdoor/gate",
    `/x${gate}/nginx`,
  ]) {
    const answer = await send(edge.http1, "GET", path, original);
    expect(answer.headers, path).toHaveProperty("strict-transport-security");
  }
  expect(asked).toEqual([]);
});

it("believes a proven proxy who its visitor is, by the rightmost hop", async () => {
  await send(edge.http1, "GET", `${gate}/nginx`, {
    ...original,
    "x-forwarded-for": "6.6.6.6, 198.51.100.7",
    forwarded: "for=6.6.6.6",
    "x-real-ip": "6.6.6.6",
  });
  await send(edge.http1, "GET", `${gate}/nginx`, { ...original, forwarded: "for=6.6.6.6" });
  expect(asked.map(({ clientAddress }) => clientAddress)).toEqual(["198.51.100.7", "127.0.0.1"]);
});

it("is logged and counted by its dialect, with the reason", async () => {
  edge.lines.length = 0;
  decision = { isAllowed: false, reason: "BAD_CREDENTIAL", detail: "it has expired" };
  await send(edge.http1, "GET", `${gate}/envoy/secret?token=1`, {
    ...proxy,
    host: "app.test",
    "x-request-id": "r-7",
  });
  expect(edge.lines[0]).toMatchObject({
    route: "/frontdoor/{id}/gate/envoy",
    status: 401,
    code: "unauthenticated",
    reason: "BAD_CREDENTIAL",
    detail: "it has expired",
    requestId: "r-7",
  });
  expect(JSON.stringify(edge.lines)).not.toMatch(/token=1|vstp_good/);
  const metrics = await edge.metrics.registry.metrics();
  expect(metrics).toContain('route="/frontdoor/{id}/gate/envoy",code="unauthenticated"');
});

describe("the keys for verifying assertions", () => {
  const path = `${gate}/browser/jwks.json`;

  it("are told by way of a proven proxy, to whoever asks", async () => {
    expect(
      await send(edge.http1, "GET", path, { ...proxy, origin: "https://app.example.com" }),
    ).toMatchObject({
      status: 200,
      body: "{}",
      headers: { etag: '"1"' },
    });
    expect((await send(edge.http1, "HEAD", path, proxy)).body).toBe("");
    expect((await send(edge.http1, "GET", path)).status).toBe(403);
    for (const method of ["POST", "OPTIONS"]) {
      expect(await send(edge.http1, method, path, proxy)).toMatchObject({
        status: 405,
        headers: { allow: "GET, HEAD" },
      });
    }
  });

  it("are not shared across origins, and not told while it cannot be known who asks", async () => {
    const { headers } = await send(edge.http1, "GET", path, { ...proxy, origin: "https://app.example.com" });
    expect(headers).not.toHaveProperty("access-control-allow-origin");
    judgeToken = () => Promise.reject(new DomainError("UNAVAILABLE"));
    expect((await send(edge.http1, "GET", path, proxy)).status).toBe(503);
  });
});

/** Sends bytes, and answers all that comes until the server ends the connection. */
function sendRaw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(edge.http1).port), "127.0.0.1");
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.on("error", reject);
    socket.on("end", () => {
      socket.destroy();
      resolve(received);
    });
    socket.write(text);
  });
}

function exchangeHttp2(headers: Record<string, string>, endStream: boolean): Promise<IncomingHttpHeaders> {
  return new Promise((resolve, reject) => {
    const client = connectHttp2(edge.http2);
    const stream = client.request(headers, { endStream });
    if (!endStream) stream.write("begun");
    let head: IncomingHttpHeaders = {};
    stream.on("response", (answered) => {
      head = answered;
    });
    stream.on("error", reject);
    // Closed by the server, also where the body has not ended.
    stream.resume().on("close", () => {
      client.destroy();
      resolve(head);
    });
  });
}
