import { request as http1Request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { PrefixAnswerer } from "../http/plain-route.ts";
import { DomainError } from "../lib/errors.ts";
import { type RunningEdge, send, startEdge } from "./test-support.ts";

/** What the route was asked, in a word each. */
let asked: string[] = [];
/** What it does instead of answering. */
let failure: (() => void | Promise<void>) | undefined;
let isOverloaded = false;

const answerer: PrefixAnswerer = {
  label: "/space/{rest}",
  answer(request, response) {
    asked.push(`${request.method} ${request.url}`);
    if (failure !== undefined) return failure();
    response.end("ok");
  },
  refuse(_request, response, _info, { reason }) {
    response.statusCode = 503;
    response.end(reason);
  },
};

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge({
    strictTransport: true,
    routes: [{ method: "GET", path: "/space/plain", handle: () => ({ status: 200, body: "plain" }) }],
    prefixRoutes: [
      { prefix: "/space/", find: (target) => (target.startsWith("/space/others") ? undefined : answerer) },
    ],
    admission: {
      isOpenAt: () => !isOverloaded,
      enter: ({ begin, refuse }) => (isOverloaded ? refuse() : begin()),
      noteAnswered: () => {},
    },
  });
});
beforeEach(() => {
  asked = [];
  failure = undefined;
  isOverloaded = false;
});
afterAll(() => edge.close());

it.each(["GET", "HEAD", "POST", "OPTIONS", "PURGE", "TRACE"])(
  "has %s to itself, its target as sent",
  async (method) => {
    const target = "/space//a/%2e%2e/b?c=%64";
    expect((await send(edge.http1, method, target)).status).toBe(200);
    expect(asked).toEqual([`${method} ${target}`]);
  },
);

it("comes before a plain route of the same path, and the absolute form leads there too", async () => {
  expect((await send(edge.http1, "GET", "/space/plain")).body).toBe("ok");
  expect((await send(edge.http1, "GET", "http://elsewhere.example/space/plain")).body).toBe("ok");
});

it("leaves to others what it does not want, and what only looks alike", async () => {
  for (const path of ["/space/others", "/space", "/Space/x", "//space/x", "/%73pace/x"])
    expect((await send(edge.http1, "GET", path)).status, path).toBe(404);
  expect(asked).toEqual([]);
});

it("has no preflight answered and no header set for it", async () => {
  const answer = await send(edge.http1, "OPTIONS", "/space/x", {
    origin: "https://app.example.com",
    "access-control-request-method": "PUT",
  });
  expect(answer.status).toBe(200);
  expect(Object.keys(answer.headers).sort()).toEqual(["connection", "content-length", "date"]);
});

it("is counted and logged under its label", async () => {
  edge.lines.length = 0;
  await send(edge.http1, "GET", "/space/x?secret=1");
  const [line] = edge.lines;
  expect(line).toMatchObject({ path: "/space/x", route: "/space/{rest}", status: 200, code: "ok" });
  expect(await edge.metrics.registry.metrics()).toContain('route="/space/{rest}",code="ok"');
});

it("refuses in its own words what is not begun", async () => {
  isOverloaded = true;
  expect(await send(edge.http1, "POST", "/space/x", {}, "body")).toMatchObject({
    status: 503,
    body: "OVERLOADED",
  });
  expect(asked).toEqual([]);
});

it.each([
  [
    "throws",
    () => {
      throw new DomainError("UNAVAILABLE");
    },
    "UNAVAILABLE",
  ],
  ["rejects", () => Promise.reject(new Error("secret")), "INTERNAL"],
])("refuses in its own words when it %s", async (_, fails, body) => {
  failure = fails;
  edge.lines.length = 0;
  expect(await send(edge.http1, "GET", "/space/x")).toMatchObject({ status: 503, body });
  expect(edge.lines[0]).toMatchObject({ level: "error", message: "request failed" });
});

it("tells nobody to go on with a body, and others do", async () => {
  expect(await sendExpecting("/space/x")).toEqual(["200"]);
  expect(await sendExpecting("/vestibule.v1.AuthService/ListAuthStrategies")).toEqual(["100", "200"]);
  expect(await sendExpectingByHttp2("/space/x")).toEqual(["200"]);
  expect(await sendExpectingByHttp2("/vestibule.v1.AuthService/ListAuthStrategies")).toEqual(["100", "200"]);
});

const expecting = { expect: "100-continue", "content-type": "application/json" };

/** The statuses that come, for a client that sends its body once it is told to. */
function sendExpecting(path: string): Promise<string[]> {
  const statuses: string[] = [];
  const { hostname, port } = new URL(edge.http1);
  return new Promise((resolve, reject) => {
    const headers = { ...expecting, "content-length": "2" };
    const request = http1Request({ hostname, port, path, method: "POST", headers, agent: false });
    request.on("continue", () => {
      statuses.push("100");
      request.end("{}");
    });
    request.on("response", (response) => {
      statuses.push(String(response.statusCode));
      response.resume().on("end", () => {
        request.destroy();
        resolve(statuses);
      });
    });
    request.on("error", reject);
    request.flushHeaders();
  });
}

function sendExpectingByHttp2(path: string): Promise<string[]> {
  const statuses: string[] = [];
  return new Promise((resolve, reject) => {
    const client = connectHttp2(edge.http2);
    const stream = client.request({ ":method": "POST", ":path": path, ...expecting }, { endStream: false });
    stream.on("continue", () => {
      statuses.push("100");
      stream.end("{}");
    });
    stream.on("response", (head) => statuses.push(String(head[":status"])));
    stream.on("error", reject);
    stream.resume().on("end", () => {
      client.destroy();
      resolve(statuses);
    });
  });
}
