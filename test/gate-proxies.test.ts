/**
 * Real proxies in front of an app, set up by exactly the files that `vestibule
 * gate config` prints: who comes in and who does not, whatever is sent.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GatedApp, type Reached, startGatedApp } from "./parts/gate.ts";
import { holdInvariants, replayCorpus } from "./parts/gate-corpus.ts";
import { proxyNames } from "./parts/proxies.ts";

function findHeader({ rawHeaders }: Reached, name: string): string | undefined {
  const at = rawHeaders.findIndex((each, index) => index % 2 === 0 && each.toLowerCase() === name);
  return at < 0 ? undefined : rawHeaders[at + 1];
}

describe.each(proxyNames)("an app behind %s", (name) => {
  let app: GatedApp;
  beforeAll(async () => {
    app = await startGatedApp(name);
  }, 90_000);
  afterAll(() => app?.[Symbol.asyncDispose]());

  const get = (target: string, lines: readonly string[] = []) =>
    app.send(
      [`GET ${target} HTTP/1.1`, `Host: ${app.host}`, ...lines, "Connection: close", "", ""].join("\r\n"),
    );
  const bearer = async () => `Authorization: Bearer ${await app.frontdoor.signToken()}`;

  it("holds what must hold for everything that visitors send", async () => {
    const failures: string[] = [];
    await replayCorpus(app, async (what, run) => {
      await run().catch((error: Error) => failures.push(`${what}: ${error.message}`));
    });
    expect(failures).toEqual([]);
  }, 300_000);

  it("tells the app who comes, and keeps the credential", async () => {
    app.upstream.take();
    const { status, text } = await get("/app?x=%2F", [await bearer(), "Cookie: app=1"]);
    expect([status, text]).toEqual([200, expect.stringContaining("the app")]);
    const [reached] = app.upstream.take();
    expect(reached?.target).toBe("/app?x=%2F");
    expect(findHeader(reached as Reached, "x-vestibule-subject")).toBe(`${app.frontdoor.jwtProviderId}:ada`);
    expect(findHeader(reached as Reached, "x-vestibule-email")).toBe("ada@example.com");
    expect(findHeader(reached as Reached, "x-vestibule-assertion")).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(findHeader(reached as Reached, "authorization") ?? "").toBe("");
    expect(findHeader(reached as Reached, "cookie")).toBe("app=1");
  });

  it("lets a machine in by its key, and keeps that too", async () => {
    app.upstream.take();
    const { status } = await get("/app", [`X-API-Key: ${app.frontdoor.apiKey}`]);
    expect(status).toBe(200);
    const [reached] = app.upstream.take();
    expect(findHeader(reached as Reached, "x-api-key") ?? "").toBe("");
    expect(findHeader(reached as Reached, "x-vestibule-provider")).toBe(app.frontdoor.keyProviderId);
  });

  it("answers a program with JSON and a challenge, sends a browser to sign in, shows it what is bad", async () => {
    const program = await get("/app");
    expect(program.status).toBe(401);
    expect(program.text).toMatch(/^www-authenticate: Bearer/im);
    expect(program.text).toMatch(/^content-type: application\/json/im);
    const navigation = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    const stranger = await get("/app?x=1", navigation);
    expect(stranger.status).toBe(302);
    expect(stranger.text).toMatch(/^location: http:\/\/[^/]+\/\.vestibule\/start\?rt=%2Fapp%3Fx%3D1\r?$/im);
    const browser = await get("/app", [...navigation, "Authorization: Bearer nobody's"]);
    expect(browser.status).toBe(401);
    expect(browser.text).toMatch(/^content-type: text\/html/im);
    expect(browser.text).toContain("</html>");
  });

  it("leaves the app's own refusals to the app", async () => {
    for (const status of [401, 403, 500]) {
      const seen = await get(`/status/${status}`, [await bearer()]);
      expect([seen.status, seen.text]).toEqual([status, expect.stringContaining("the app")]);
    }
  });

  it("passes a WebSocket on, and no other upgrade", async () => {
    const upgrade = (protocol: string, lines: string) =>
      app.send(
        `GET /socket HTTP/1.1\r\nHost: ${app.host}\r\n${lines}Connection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      );
    const good = `${await bearer()}\r\n`;
    const opened = await upgrade("websocket", good);
    expect([opened.status, opened.text]).toEqual([101, expect.stringContaining("the app by WebSocket")]);
    app.upstream.take();
    const refused = await upgrade("websocket", "");
    expect(refused.status).toBe(401);
    expect(app.upstream.take()).toEqual([]);
    const other = await upgrade("h2c", good);
    expect(other.status).not.toBe(101);
    for (const reached of app.upstream.take()) expect(findHeader(reached, "upgrade")).toBeUndefined();
  });

  it.each([
    ["h2c, websocket"],
    ["websocket, h2c"],
    ["websocket,h2c"],
    ["h2c", "websocket"],
    ["websocket", "h2c"],
    ["WebSocket/13"],
  ])("tells the app of no upgrade that is offered beside WebSocket: %s", async (...protocols) => {
    app.upstream.take();
    const lines = protocols.map((protocol) => `Upgrade: ${protocol}\r\n`).join("");
    await app.send(
      `GET /health HTTP/1.1\r\nHost: ${app.host}\r\n${lines}Connection: Upgrade, HTTP2-Settings, X-Vestibule-Subject\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    for (const { rawHeaders } of app.upstream.take()) {
      const values = (name: string) =>
        rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
      expect(["", "websocket"]).toContain(values("upgrade").join("|").toLowerCase());
      expect(["", "close", "keep-alive", "upgrade"]).toContain(values("connection").join("|").toLowerCase());
    }
  });

  it("passes an upload of 3 MB on, once its sender has come in", async () => {
    const body = Buffer.alloc(3_000_000, "x");
    const upload = (lines: string) =>
      app.send(
        Buffer.concat([
          Buffer.from(
            `POST /upload HTTP/1.1\r\nHost: ${app.host}\r\n${lines}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`,
          ),
          body,
        ]),
      );
    app.upstream.take();
    const { status } = await upload(`${await bearer()}\r\n`);
    expect(status).toBe(200);
    expect(app.upstream.take()).toMatchObject([{ method: "POST", bodyBytes: 3_000_000 }]);
    expect((await upload("")).status).toBe(401);
    expect(app.upstream.take()).toEqual([]);
  });

  it("asks about each request of a connection, of a pair in one packet too", async () => {
    app.upstream.take();
    const first = `GET /app?1 HTTP/1.1\r\nHost: ${app.host}\r\n${await bearer()}\r\n\r\n`;
    const second = `GET /app?2 HTTP/1.1\r\nHost: ${app.host}\r\nConnection: close\r\n\r\n`;
    await app.send(first + second);
    expect(app.upstream.take().map(({ target }) => target)).toEqual(["/app?1"]);
  });

  it("does not read the next visitor's question as a body", async () => {
    const short = `POST /app HTTP/1.1\r\nHost: ${app.host}\r\nContent-Length: 40\r\n\r\n`;
    const held = Promise.all(Array.from({ length: 4 }, () => app.send(short, 1_000)));
    const seen = await get("/app", [await bearer()]);
    expect(seen.status).toBe(200);
    await held;
  }, 60_000);

  it("judges a path as the app gets it, byte for byte", async () => {
    const { call, id, frontendId, hostname, jwtProviderId } = app.frontdoor;
    const frontend = `/frontdoor/${id}/custom-frontends/${frontendId}`;
    const stored = await call("GET", frontend);
    await call("PUT", frontend, { hostname, scheme: "http", authProviderIds: [jwtProviderId] });
    const line = await bearer();
    const paths = [
      "/a%20b",
      "/a%2Fb",
      "/a%2eb",
      "/a%252eb",
      "/a//b",
      "/a/./b",
      "/a/../b",
      "/a;b",
      "/a%5cb",
      "/a%3Fb",
      "/a%23b",
      "/a%C3%BCb",
      "/a?",
      "/a?b=%2F",
    ];
    for (const path of paths) {
      app.upstream.take();
      expect([path, (await get(path, [line])).status]).toEqual([path, 200]);
      expect(app.upstream.take()).toMatchObject([{ target: path }]);
    }
    await call("PUT", frontend, stored);
  });

  it("lets nobody in by what was good a moment ago", async () => {
    const { call, id, jwtProviderId } = app.frontdoor;
    const line = await bearer();
    expect((await get("/app", [line])).status).toBe(200);
    const provider = `/frontdoor/${id}/auth-providers/${jwtProviderId}`;
    await call("PATCH", provider, { enabled: false });
    app.upstream.take();
    expect((await get("/app", [line])).status).toBe(401);
    expect(app.upstream.take()).toEqual([]);
    await call("PATCH", provider, { enabled: true });
    expect((await get("/app", [line])).status).toBe(200);
  });

  it("lets nobody in while the gate is away, or does not answer", async () => {
    const line = await bearer();
    expect((await get("/app", [line])).status).toBe(200);
    app.upstream.take();
    process.kill(app.server.pid, "SIGSTOP");
    const request = `GET /app HTTP/1.1\r\nHost: ${app.host}\r\n${line}\r\nConnection: close\r\n\r\n`;
    expect((await app.send(request, 1_500)).status).toBe(0);
    await app.server.kill();
    for (const target of ["/app", "/health"])
      expect((await get(target, [line])).status).toBeGreaterThanOrEqual(500);
    expect(app.upstream.take()).toEqual([]);
  });
});

describe.each(proxyNames)("an app behind %s, by https", (name) => {
  let app: GatedApp;
  beforeAll(async () => {
    app = await startGatedApp(name, "https");
  }, 90_000);
  afterAll(() => app?.[Symbol.asyncDispose]());

  it("holds what must hold by HTTP/2 too", async () => {
    const token = await app.frontdoor.signToken();
    const forged = { "x-vestibule-subject": "evil", "x-vestibule_groups": "evil", x_vestibule_email: "evil" };
    const paths = [
      "/app",
      "/health",
      "/public/../app",
      "/public#/app",
      "/public/%2e%2e/app",
      "public/x",
      "*",
      "/a%2Fb",
    ];
    for (const path of paths) {
      for (const credential of [{}, { authorization: `Bearer ${token}` }]) {
        for (const extra of [{}, forged]) {
          app.upstream.take();
          const fields = { ":method": "GET", ":path": path, ":authority": app.host, ...credential, ...extra };
          const seen = await app.send2(fields);
          const isGood = "authorization" in credential;
          const reached = app.upstream.take();
          holdInvariants(app, { target: path, lines: Object.values(credential), isGood }, seen, reached);
        }
      }
    }
    const good = await app.send2({
      ":method": "GET",
      ":path": "/a%20b?x",
      ":authority": app.host,
      authorization: `Bearer ${token}`,
    });
    expect(good.status).toBe(200);
    expect(app.upstream.take()).toMatchObject([{ target: "/a%20b?x" }]);
  }, 120_000);

  it("takes two lines of Cookie for one", async () => {
    const token = await app.frontdoor.signToken();
    app.upstream.take();
    await app.send2({
      ":method": "GET",
      ":path": "/app",
      ":authority": app.host,
      authorization: `Bearer ${token}`,
      cookie: ["a=1", "b=2"],
    });
    const [reached] = app.upstream.take();
    expect(findHeader(reached as Reached, "cookie")).toMatch(/^a=1; ?b=2$/);
  });
});
