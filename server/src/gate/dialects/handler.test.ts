/** Envoy's `Check`: what it sends becomes the same ask as by HTTP, and every answer says both of Envoy's old and new words. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import type { HeaderValueOption } from "@vestibule/proto/envoy/config/core/v3/base_pb";
import { Authorization, CheckRequestSchema } from "@vestibule/proto/envoy/service/auth/v3/external_auth_pb";
import { beforeEach, describe, expect, it } from "vitest";
import { createRenderPage } from "../../html/frame.ts";
import { silentLog } from "../../lib/log.ts";
import type { GateAsk } from "../asks/ask.ts";
import type { GateDecision } from "../decisions/decision.ts";
import { frontdoorId } from "../test-support.ts";
import { type AskingOptions, createAsking } from "./answer-ask.ts";
import { createAnswerVisitor } from "./denial.ts";
import { createEnvoyHttp } from "./envoy-http.ts";
import { createCheckMethods } from "./handler.ts";

type CheckInit = MessageInitShape<typeof CheckRequestSchema>;

const allowed: GateDecision = {
  isAllowed: true,
  reason: "IDENTIFIED",
  identity: [
    ["X-Vestibule-Subject", "p1:ann"],
    ["X-Vestibule-Email", ""],
  ],
  consumed: "authorization",
  keyHeaders: ["x-api-key"],
  cookie: "theme=dark",
};

let asked: GateAsk[];
let decision: GateDecision;
beforeEach(() => {
  asked = [];
  decision = allowed;
});

const askingOptions: AskingOptions = {
  isProxyToken: (id, token) => id === frontdoorId && token === "vstp_good",
  decide: (ask) => {
    asked.push(ask);
    return decision;
  },
  noteDenied: () => {},
  trustedProxies: [],
  tellsReasons: true,
  log: silentLog,
};
const dialect = createEnvoyHttp(createAnswerVisitor(createRenderPage("Vestibule")));

function createCheckClient(options: AskingOptions) {
  const transport = createRouterTransport(({ service }) => {
    service(Authorization, createCheckMethods(createAsking(options), dialect));
  });
  return createClient(Authorization, transport);
}
const client = createCheckClient(askingOptions);

const http = {
  method: "GET",
  path: "/app?x=1",
  host: "app.example.com",
  scheme: "https",
  headers: {
    ":path": "/other",
    ":authority": "other.test",
    accept: "application/json",
    authorization: "Bearer x",
    "user-agent": "curl",
  },
};

function toRequest(
  request: object | undefined = http,
  extensions: Record<string, string> = { frontdoor_id: frontdoorId },
) {
  const source = { address: { address: { case: "socketAddress", value: { address: "203.0.113.7" } } } };
  const attributes = { source, request: request && { http: request }, contextExtensions: extensions };
  return create(CheckRequestSchema, { attributes } as CheckInit);
}

const check = (
  request = toRequest(),
  headers: Record<string, string> = { "x-vestibule-proxy-token": "vstp_good" },
) => client.check(request, { headers });

/** Headers as Envoy would set them, from either of its two words. */
function toSet(options: readonly HeaderValueOption[]) {
  return options.map(({ header, append, appendAction }) => [
    header?.key,
    header?.value,
    append,
    appendAction,
  ]);
}

describe("an ask", () => {
  it("is what the attributes say, and not what the pseudo-headers among them do", async () => {
    await check();
    expect(asked).toMatchObject([
      {
        frontdoorId,
        host: "app.example.com",
        method: "GET",
        target: "/app?x=1",
        path: "/app",
        clientAddress: "203.0.113.7",
        userAgent: "curl",
      },
    ]);
    expect(asked[0]?.headers).not.toContain("/other");
  });

  it("has each line by itself where Envoy sends them raw", async () => {
    const rawValue = Buffer.from("a=\xe9", "latin1");
    const headerMap = {
      headers: [
        { key: "Cookie", rawValue },
        { key: "cookie", value: "b=2" },
        { key: "host", value: "other.test" },
      ],
    };
    await check(toRequest({ ...http, headers: {}, headerMap }));
    expect(asked[0]?.headers).toEqual(["host", "app.example.com", "cookie", "a=\xe9", "cookie", "b=2"]);
  });

  it("has the proxy's token from the call alone", async () => {
    const headers = { ...http.headers, "x-vestibule-proxy-token": "vstp_good" };
    const { httpResponse } = await check(toRequest({ ...http, headers }), {});
    expect(httpResponse.case).toBe("deniedResponse");
    expect(asked).toEqual([]);
    const { status } = await check(
      toRequest({ ...http, headers: { ...headers, "x-vestibule-proxy-token": "evil" } }),
    );
    expect(status?.code).toBe(0);
  });
});

describe("a denial", () => {
  it.each<[string, Parameters<typeof toRequest>]>([
    ["no request", [{}]],
    ["no path", [{ ...http, path: "" }]],
    ["no method", [{ ...http, method: "" }]],
    ["no host", [{ ...http, host: "" }]],
    ["a path that is none", [{ ...http, path: "*" }]],
    ["a fragment", [{ ...http, path: "/public#/app" }]],
    ["a forged identity", [{ ...http, headers: { x_vestibule_subject: "evil" } }]],
    ["an upgrade to h2c", [{ ...http, headers: { upgrade: "h2c" } }]],
    ["no frontdoor", [http, {}]],
    ["another frontdoor", [http, { frontdoor_id: "019a0000-0000-7000-8000-000000000000" }]],
    ["a frontdoor that is no id", [http, { frontdoor_id: "../x" }]],
  ])("answers what has %s", async (_, args) => {
    const { status, httpResponse } = await check(toRequest(...args));
    expect(status?.code).toBe(7);
    expect(httpResponse).toMatchObject({ case: "deniedResponse", value: { status: { code: 403 } } });
    expect(asked).toEqual([]);
  });

  it("answers what has no attributes at all", async () => {
    const { httpResponse } = await client.check({}, { headers: { "x-vestibule-proxy-token": "vstp_good" } });
    expect(httpResponse.case).toBe("deniedResponse");
  });

  it("has the challenges, each as a line, and the body for who asks", async () => {
    decision = { isAllowed: false, reason: "NO_CREDENTIAL", challenges: ["Bearer", 'Basic realm="x"'] };
    const { status, httpResponse } = await check();
    expect(status?.code).toBe(16);
    if (httpResponse.case !== "deniedResponse") throw new Error(`it is ${httpResponse.case}`);
    const { value } = httpResponse;
    expect(value.status?.code).toBe(401);
    expect(JSON.parse(value.body)).toMatchObject({ code: "unauthenticated" });
    expect(toSet(value.headers)).toEqual(
      expect.arrayContaining([
        ["www-authenticate", "Bearer", false, 2],
        ["www-authenticate", 'Basic realm="x"', true, 0],
        ["cache-control", "no-store", false, 2],
      ]),
    );
  });

  it("is an error where nothing can be told, and says when to come again", async () => {
    decision = { isAllowed: false, reason: "UNAVAILABLE", retryAfterSeconds: 3 };
    const { status, httpResponse } = await check();
    expect(status?.code).toBe(14);
    if (httpResponse.case !== "errorResponse") throw new Error(`it is ${httpResponse.case}`);
    expect(httpResponse.value.status?.code).toBe(503);
    expect(toSet(httpResponse.value.headers)).toContainEqual(["retry-after", "3", false, 2]);
  });
});

it("lets through with what is set and what is taken away, in the words of old and new Envoys", async () => {
  const { status, httpResponse } = await check();
  expect(status?.code).toBe(0);
  if (httpResponse.case !== "okResponse") throw new Error(`it is ${httpResponse.case}`);
  expect(toSet(httpResponse.value.headers)).toEqual([
    ["x-vestibule-subject", "p1:ann", false, 2],
    ["cookie", "theme=dark", false, 2],
  ]);
  expect(httpResponse.value.headersToRemove).toEqual([
    "x-vestibule-proxy-token",
    "x-vestibule-email",
    "authorization",
  ]);
});

it("answers alike as long as a decision is the same, and by their own cookies those who bring ours", async () => {
  const { cookie: _, ...plain } = allowed;
  const plainClient = createCheckClient({ ...askingOptions, tellsReasons: false });
  const cookiesAfter = async (made: GateDecision) => {
    decision = made;
    const headers = { "x-vestibule-proxy-token": "vstp_good" };
    const { httpResponse } = await plainClient.check(toRequest(), { headers });
    if (httpResponse.case !== "okResponse") return "denied";
    const set = httpResponse.value.headers.map(({ header }) => [header?.key, header?.value]);
    expect(set).toContainEqual(["x-vestibule-subject", "p1:ann"]);
    return set.filter(([key]) => key === "cookie");
  };
  expect(await cookiesAfter(plain)).toEqual([]);
  expect(await cookiesAfter({ ...plain, cookie: "a=1" })).toEqual([["cookie", "a=1"]]);
  expect(await cookiesAfter({ ...plain, cookie: "b=2" })).toEqual([["cookie", "b=2"]]);
  expect(await cookiesAfter(plain)).toEqual([]);
  expect(await cookiesAfter({ isAllowed: false, reason: "BAD_CREDENTIAL" })).toBe("denied");
});
