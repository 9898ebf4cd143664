import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { connect as connectTls } from "node:tls";
import { describe, expect, it, vi } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import { silentLog } from "../lib/log.ts";
import { listen } from "./listener.ts";
import { begin, exchange, openHttp2, openRaw, recordLog, startListener, tls } from "./test-support.ts";

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const emptySettings = "\0\0\0\x04\0\0\0\0\0";
/** What the server says first on HTTP/2: a SETTINGS frame. */
const settingsFrameType = 4;

const versionHandler = (request: { httpVersion: string }, response: { end(text: string): unknown }) => {
  response.end(`over ${request.httpVersion}`);
};

function get(options: object, secure = false): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)({ host: "127.0.0.1", ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
    request.end();
  });
}

describe("clear text", () => {
  it("speaks HTTP/1.1 and, with prior knowledge, HTTP/2 on one port", async () => {
    const { port } = await startListener({ handler: versionHandler });
    expect(await get({ port })).toEqual({ status: 200, text: "over 1.1" });
    expect(await exchange(openHttp2(port))).toMatchObject({ status: 200, text: "over 2.0" });
  });

  it("keeps an HTTP/1.1 connection for the next request", async () => {
    const { port, connections } = await startListener();
    const agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 3; i++) expect(await get({ port, agent })).toMatchObject({ text: "hello" });
    expect(connections()).toBe(1);
    agent.destroy();
  });

  it("answers an offer to upgrade to h2c as HTTP/1.1", async () => {
    const { port } = await startListener({ handler: versionHandler });
    const headers = { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "AAMAAABk" };
    expect(await get({ port, headers })).toEqual({ status: 200, text: "over 1.1" });
  });

  it("tells nobody by itself to go on with a body", async () => {
    const { port } = await startListener();
    const raw = await openRaw(port);
    raw.socket.write("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    await raw.until("hello");
    expect(raw.received()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    const stream = openHttp2(port).request({ ":method": "POST", expect: "100-continue" });
    const statuses: unknown[] = [];
    stream.on("headers", (head) => statuses.push(head[":status"]));
    stream.on("response", (head) => statuses.push(head[":status"]));
    await new Promise((resolve) => stream.resume().on("end", resolve));
    expect(statuses).toEqual([200]);
  });

  it("recognises a preface that comes byte by byte", async () => {
    const { port } = await startListener();
    const raw = await openRaw(port);
    raw.socket.setNoDelay(true);
    for (const byte of preface + emptySettings) {
      await new Promise((resolve) => raw.socket.write(byte, "latin1", resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => expect(raw.received().charCodeAt(3)).toBe(settingsFrameType));
  });

  it("recognises an HTTP/1.1 request that begins like the preface, byte by byte", async () => {
    const { port } = await startListener();
    const raw = await openRaw(port);
    raw.socket.setNoDelay(true);
    for (const byte of "PROPFIND / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
      await new Promise((resolve) => raw.socket.write(byte, resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await raw.closed).toMatch(/^HTTP\/1\.1 200 [\s\S]*hello$/);
  });

  it("takes a whole body that came with the first bytes and after them", async () => {
    const { port } = await startListener({
      handler: async (request, response) => {
        let bytes = 0;
        for await (const chunk of request) bytes += chunk.length;
        response.end(`${bytes}`);
      },
    });
    const raw = await openRaw(port);
    raw.socket.write(
      `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n${"x".repeat(1000)}`,
    );
    raw.socket.write("y".repeat(299_000));
    expect(await raw.closed).toMatch(/\r\n300000\b/);
    expect(await exchange(openHttp2(port), {}, "z".repeat(300_000))).toMatchObject({ text: "300000" });
  });
});

describe("TLS", () => {
  it("speaks what ALPN settles: h2 or http/1.1", async () => {
    const { port } = await startListener({ tls, handler: versionHandler });
    const session = openHttp2(port, { ca: tls.cert }, "https");
    expect(await exchange(session)).toMatchObject({ status: 200, text: "over 2.0" });
    expect(session.alpnProtocol).toBe("h2");
    const agent = new HttpsAgent({ ca: tls.cert, ALPNProtocols: ["http/1.1"] });
    expect(await get({ port, agent }, true)).toEqual({ status: 200, text: "over 1.1" });
  });

  it("speaks HTTP/1.1 to a client without ALPN", async () => {
    const { port } = await startListener({ tls, handler: versionHandler });
    const socket = connectTls({ port, host: "127.0.0.1", ca: tls.cert });
    socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let text = "";
    for await (const chunk of socket) text += chunk;
    expect(text).toMatch(/over 1\.1/);
  });

  it("refuses TLS 1.1, and a client in clear text, without harm to others", async () => {
    const { port, connections } = await startListener({ tls });
    const old = connectTls({
      port,
      host: "127.0.0.1",
      ca: tls.cert,
      minVersion: "TLSv1.1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT:@SECLEVEL=0",
    });
    const refusal = await new Promise<NodeJS.ErrnoException>((resolve) => old.once("error", resolve));
    expect(refusal.code).toMatch(/PROTOCOL_VERSION/);
    const clear = await openRaw(port);
    clear.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(await clear.closed).not.toMatch(/HTTP/);
    await eventually(() => expect(connections()).toBe(0));
    expect(await exchange(openHttp2(port, { ca: tls.cert }, "https"))).toMatchObject({ status: 200 });
  });

  it("cuts a handshake that does not come", async () => {
    const { port } = await startListener({ tls, limits: { headerTimeoutMs: 100 } });
    const raw = await openRaw(port);
    expect(await raw.closed).toBe("");
  });

  it("says at start that a certificate is unusable", async () => {
    const broken = { cert: Buffer.from("not a certificate"), key: tls.key };
    const options = { host: "127.0.0.1", port: 0, tls: broken, handler: () => {}, log: silentLog };
    await expect(listen(options)).rejects.toThrow(/^listen 127\.0\.0\.1:0: /);
  });
});

describe("the address", () => {
  it.each([
    ["127.0.0.1", "127.0.0.1"],
    ["::1", "[::1]"],
  ])("in use on %s is named in the error", async (host, shown) => {
    const { port } = await startListener({ host });
    const again = listen({ host, port, handler: () => {}, log: silentLog });
    await expect(again).rejects.toThrow(`listen ${shown}:${port}: address already in use`);
  });
});

describe("a failing handler", () => {
  const failures = {
    throws: () => {
      throw new Error("sensitive");
    },
    rejects: async () => {
      throw new Error("sensitive");
    },
  };
  it.each(Object.entries(failures))(
    "that %s is answered 500 with a fixed text and logged",
    async (_name, fail) => {
      const { log, lines } = recordLog("error");
      const { port, connections } = await startListener({
        log,
        handler: (request, response) => {
          if (request.url === "/good") return void response.end("good");
          response.setHeader("Set-Cookie", "sid=1");
          return fail();
        },
      });
      const agent = new HttpAgent({ keepAlive: true, maxSockets: 1 });
      const path = "/bad?code=secret";
      expect(await get({ port, agent, path })).toEqual({ status: 500, text: "internal server error\n" });
      expect(await get({ port, agent, path: "/good" })).toEqual({ status: 200, text: "good" });
      const session = openHttp2(port);
      const answer = await exchange(session, { ":path": path });
      expect(answer).toMatchObject({ status: 500, text: "internal server error\n" });
      expect(answer.headers["set-cookie"]).toBeUndefined();
      expect(await exchange(session, { ":path": "/good" })).toMatchObject({ status: 200 });
      expect(connections()).toBe(2);
      expect(lines.map((line) => line.fields)).toMatchObject([
        { method: "GET", path: "/bad" },
        { method: "GET", path: "/bad" },
      ]);
      agent.destroy();
    },
  );

  it("after the answer began breaks it off, so that it does not look whole", async () => {
    const { port } = await startListener({
      handler: async (_request, response) => {
        await new Promise<void>(
          (resolve) => void (response.write as (s: string, cb: () => void) => void)("half", resolve),
        );
        throw new Error("late");
      },
    });
    await expect(get({ port })).rejects.toThrow();
    await expect(exchange(openHttp2(port))).rejects.toThrow(/INTERNAL_ERROR/);
  });
});

describe("connections", () => {
  it("beyond the bound are closed, those within it served", async () => {
    const { port, connections } = await startListener({ limits: { maxConnections: 1 } });
    const first = await openRaw(port);
    await eventually(() => expect(connections()).toBe(1));
    const second = await openRaw(port);
    expect(await second.closed).toBe("");
    first.socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect(await first.closed).toMatch(/hello/);
  });

  it("opened and dropped by the thousand leave none behind", async () => {
    const { port, connections } = await startListener();
    const openings = ["", "PRI * HTT", "GET / HTTP/1.1\r\nHo", `${preface}${emptySettings}`];
    for (let batch = 0; batch < 10; batch++) {
      const opened = await Promise.all(Array.from({ length: 100 }, () => openRaw(port)));
      opened.forEach(({ socket }, i) => {
        const opening = openings[i % openings.length] ?? "";
        if (opening) socket.write(opening, "latin1");
        if (i % 8 < 4) socket.resetAndDestroy();
        else socket.destroy();
      });
    }
    await vi.waitFor(() => expect(connections()).toBe(0), { timeout: 5_000 });
    expect(await get({ port })).toMatchObject({ status: 200 });
  });

  it("reset in the middle of a request or an answer harm nobody", async () => {
    const { port, connections } = await startListener({
      handler: async (request, response) => {
        begin(response, "begun");
        for await (const _ of request);
        response.end("done");
      },
    });
    const raw = await openRaw(port);
    raw.socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    await raw.until("begun");
    raw.socket.resetAndDestroy();
    const session = openHttp2(port);
    const stream = session.request({ ":method": "POST" }, { endStream: false });
    stream.on("error", () => {});
    await new Promise((resolve) => stream.once("response", resolve));
    session.destroy();
    await eventually(() => expect(connections()).toBe(0));
    expect(await get({ port })).toMatchObject({ status: 200 });
  });
});
