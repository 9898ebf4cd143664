/** The gate asked byte for byte: what a proxy would not send by itself, and what comes behind it on the same connection. */
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { send } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const hostname = "app.example.com";
let server: TestServer;
let here: TestFrontdoor;
let there: TestFrontdoor;
beforeAll(async () => {
  server = await startServer({ config: { gate: { reason_header: true } } });
  here = await createFrontdoor(server, { hostname, scheme: "https" });
  there = await createFrontdoor(server, { hostname, scheme: "https" });
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** Sends bytes and, unless there is more to come, the end; answers all that comes until the other side ends it too. */
function exchange(bytes: string, isAll = true): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(server.port, "127.0.0.1", () => {
      if (isAll) socket.end(bytes);
      else socket.write(bytes);
    });
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
  });
}

const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status);

interface Ask {
  readonly at?: TestFrontdoor;
  readonly proxyToken?: string;
  readonly path?: string;
  readonly lines?: readonly string[];
}

const toBytes = ({ at = here, proxyToken = at.proxyToken, path = "/forward-auth", lines = [] }: Ask) =>
  [
    `GET /frontdoor/${at.id}/gate${path} HTTP/1.1`,
    "Host: gate",
    `X-Vestibule-Proxy-Token: ${proxyToken}`,
    ...["X-Forwarded-Method: GET", "X-Forwarded-Proto: https"],
    ...[`X-Forwarded-Host: ${hostname}`, "X-Forwarded-Uri: /app"],
    ...[`X-Original-URL: https://${hostname}/app`, "X-Original-Method: GET"],
    ...lines,
    "",
    "",
  ].join("\r\n");

const last = ["Connection: close"];

it("gives one answer, the last, to an ask that waits to send a body, and reads nothing of it", async () => {
  const credential = `Authorization: Bearer ${await here.signToken()}`;
  for (const [lines, status] of [
    [[credential], "200"],
    [[], "401"],
  ] as const) {
    const waiting = [...lines, "Expect: 100-continue", "Content-Length: 1000000"];
    const text = await exchange(toBytes({ lines: waiting }), false);
    expect(statusesOf(text)).toEqual([status]);
    expect(text).toMatch(/^connection: close/im);
  }
});

it("switches to no protocol, and what is sent behind an offer proves itself anew", async () => {
  const offer = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
  const credential = `Authorization: Bearer ${await here.signToken()}`;
  const behind = toBytes({ proxyToken: "", lines: [credential, ...last] });
  const text = await exchange(toBytes({ lines: [credential, ...offer] }) + behind);
  expect(statusesOf(text)[0]).toBe("200");
  expect(
    statusesOf(text)
      .slice(1)
      .every((status) => status === "403"),
  ).toBe(true);
});

it("answers each ask of a packet, also those that are told while an earlier one waits", async () => {
  const text = await exchange(toBytes({ lines: [] }) + toBytes({ at: there }) + toBytes({ proxyToken: "x" }));
  expect(statusesOf(text)).toEqual(["401", "401", "403"]);
});

it.each(["/forward-auth", "/nginx", "/nginx/refusal", "/envoy/app", "/browser/jwks.json"])(
  "takes a proxy of another frontdoor for nobody, also on a connection that has proven itself: %s",
  async (path) => {
    const lines = [`Authorization: Bearer ${await there.signToken()}`];
    const { proxyToken } = here;
    const own = toBytes({ path: "/forward-auth", lines });
    const foreign = toBytes({ at: there, proxyToken, path, lines });
    const [first, second] = statusesOf(await exchange(own + foreign));
    // The key is another frontdoor's provider's.
    expect([first, second]).toEqual(["401", "403"]);
    const proven = toBytes({ at: there, path: "/forward-auth", lines });
    expect(statusesOf(await exchange(proven + foreign))).toEqual(["200", "403"]);
  },
);

it("takes a proxy's token, or an API key of another frontdoor, for nothing else", async () => {
  for (const token of [here.proxyToken, there.proxyToken, there.apiKey, here.apiKey]) {
    for (const line of [`Authorization: Bearer ${token}`, `Cookie: __Host-vestibule=${token}`])
      expect([line, statusesOf(await exchange(toBytes({ lines: [line, ...last] })))]).toEqual([
        line,
        ["401"],
      ]);
    const bearer = { authorization: `Bearer ${token}` };
    expect((await send(`${server.url}/frontdoor/${here.id}`, { headers: bearer })).status).toBe(401);
  }
  for (const key of [there.apiKey, here.proxyToken]) {
    const lines = [`X-API-Key: ${key}`, ...last];
    expect(statusesOf(await exchange(toBytes({ lines })))).toEqual(["401"]);
  }
  const lines = [`X-API-Key: ${here.apiKey}`, ...last];
  expect(statusesOf(await exchange(toBytes({ lines })))).toEqual(["200"]);
});

it.each([
  ["a space between", (token: string) => `Authorization : Bearer ${token}`],
  ["a fold", (token: string) => `Authorization:\r\n Bearer ${token}`],
  ["a tab in the name", (token: string) => `Authorization\t: Bearer ${token}`],
  ["a NUL", (token: string) => `Authorization: Bearer ${token}\0`],
  [
    "a bare line feed and an identity",
    (token: string) => `Authorization: Bearer ${token}\nX-Vestibule-Subject: evil`,
  ],
  ["a bare carriage return", (token: string) => `A: b\rAuthorization: Bearer ${token}`],
  [
    "another length too",
    (token: string) => `Authorization: Bearer ${token}\r\nContent-Length: 0\r\nTransfer-Encoding: chunked`,
  ],
])("lets nobody in by a header with %s", async (_, toLine) => {
  const text = await exchange(toBytes({ lines: [toLine(await here.signToken()), ...last] }));
  for (const status of statusesOf(text)) expect(["400", "401", "403"]).toContain(status);
});

it("tells spellings of one credential apart by nothing but what they are", async () => {
  const token = await here.signToken();
  for (const value of [`Bearer ${token}`, `bearer ${token}`, `BEARER   ${token}`, `  Bearer ${token}\t`])
    expect(statusesOf(await exchange(toBytes({ lines: [`Authorization: ${value}`, ...last] })))).toEqual([
      "200",
    ]);
  for (const value of [
    `Bearer${token}`,
    `Bearer\t${token}`,
    `Bearer ${token}.`,
    `Bearer ${token},`,
    `Bearer "${token}"`,
  ])
    expect([
      value,
      statusesOf(await exchange(toBytes({ lines: [`Authorization: ${value}`, ...last] }))),
    ]).toEqual([value, ["401"]]);
});

it("knows each of many hosts, however it is written, and no other", async () => {
  const { call, id, jwtProviderId } = here;
  const names = Array.from({ length: 150 }, (_, index) => `h${index}.many.example.com`);
  for (const name of names) {
    const policy = { publicPaths: [`/of-${name}`] };
    await call("POST", `/frontdoor/${id}/custom-frontends`, {
      hostname: name,
      authProviderIds: [jwtProviderId],
      policy,
    });
  }
  const statusAt = async (host: string, path: string) => {
    const bytes = toBytes({ lines: last });
    const at = bytes.replace(`-Host: ${hostname}`, `-Host: ${host}`).replace("-Uri: /app", `-Uri: ${path}`);
    return statusesOf(await exchange(at))[0];
  };
  for (const [index, name] of names.entries()) {
    const other = names[(index + 1) % names.length];
    for (const host of [name, name.toUpperCase(), `${name.replace("h", "H")}:443`])
      expect([host, await statusAt(host, `/of-${name}`), await statusAt(host, `/of-${other}`)]).toEqual([
        host,
        "200",
        "401",
      ]);
  }
  for (const host of [
    "h150.many.example.com",
    "h1.many.example.com.",
    "H1.MANY.EXAMPLE.COM:80",
    "many.example.com",
  ])
    expect([host, await statusAt(host, "/of-h1.many.example.com")]).toEqual([host, "403"]);
}, 60_000);
