import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { describe, expect, it } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import { begin, exchange, gate, openHttp2, openRaw, startListener, tls } from "./test-support.ts";

const graceMs = 10_000;

/** A handler that tells when it was entered and answers when let. */
function heldHandler() {
  const held = gate();
  const entered = gate();
  const handler = async (_request: unknown, response: { end(text: string): unknown }) => {
    entered.open();
    await held.opened;
    response.end("finished");
  };
  return { handler, entered: entered.opened, release: held.open };
}

describe("closing", () => {
  it("lets a request in flight finish on HTTP/1.1, then the port is closed", async () => {
    const { handler, entered, release } = heldHandler();
    const listener = await startListener({ handler });
    const raw = await openRaw(listener.port);
    raw.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await entered;
    const closed = listener.close(graceMs);
    await expect(connectionTo(listener.port)).rejects.toThrow(/ECONNREFUSED/);
    release();
    expect(await raw.closed).toMatch(/Connection: close[\s\S]*finished/);
    await closed;
    expect(listener.connections()).toBe(0);
  });

  it("lets an answer that has begun finish, and then closes its connection", async () => {
    const held = gate();
    const listener = await startListener({
      handler: async (_request, response) => {
        begin(response, "begun ");
        await held.opened;
        response.end("finished");
      },
    });
    const raw = await openRaw(listener.port);
    raw.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await raw.until("begun");
    const closed = listener.close(graceMs);
    held.open();
    expect(await raw.closed).toMatch(/finished/);
    await closed;
  });

  it("does not cut an answer that is ended but not yet taken", async () => {
    const size = 30_000_000;
    const listener = await startListener({
      handler: (_request, response) => void response.end(Buffer.alloc(size, "x")),
    });
    const raw = await openRaw(listener.port);
    raw.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await raw.until("xxx");
    raw.socket.pause();
    const closed = listener.close(graceMs);
    raw.socket.resume();
    expect((await raw.closed).length).toBeGreaterThan(size);
    await closed;
  });

  it.each(["http", "https"])(
    "lets a request in flight finish on HTTP/2 (%s) and refuses new ones",
    async (scheme) => {
      const { handler, entered, release } = heldHandler();
      const listener = await startListener({ handler, ...(scheme === "https" ? { tls } : {}) });
      const session = openHttp2(listener.port, { ca: tls.cert }, scheme);
      const answer = exchange(session);
      await entered;
      const goaway = new Promise((resolve) => session.once("goaway", resolve));
      const closed = listener.close(graceMs);
      await goaway;
      await expect(connectionTo(listener.port)).rejects.toThrow(/ECONNREFUSED/);
      await expect(exchange(session)).rejects.toThrow();
      release();
      expect(await answer).toMatchObject({ text: "finished" });
      await closed;
      expect(listener.connections()).toBe(0);
    },
  );

  it(
    "closes idle and silent connections at once, on either protocol and under TLS",
    async () => {
      const clear = await startListener();
      const idle = await openRaw(clear.port);
      idle.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      await idle.until("hello");
      const silent = await openRaw(clear.port);
      await exchange(openHttp2(clear.port));

      const secure = await startListener({ tls });
      const noHandshake = await openRaw(secure.port);
      const noRequest = connectTls({ port: secure.port, host: "127.0.0.1", ca: tls.cert });
      noRequest.on("error", () => {});
      await new Promise((resolve) => noRequest.once("secureConnect", resolve));
      noRequest.resume();
      await eventually(() => expect([clear.connections(), secure.connections()]).toEqual([3, 2]));

      await Promise.all([clear.close(graceMs), secure.close(graceMs)]);
      await Promise.all([idle.closed, silent.closed, noHandshake.closed]);
      expect([clear.connections(), secure.connections()]).toEqual([0, 0]);
    },
    graceMs / 2,
  );

  it("cuts what is left when the grace is over", async () => {
    const listener = await startListener({ handler: () => {} });
    const raw = await openRaw(listener.port);
    raw.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const stuck = exchange(openHttp2(listener.port));
    const cut = expect(stuck).rejects.toThrow();
    await eventually(() => expect(listener.connections()).toBe(2));
    expect(await listener.close(100)).toBe(2);
    await cut;
    expect(await raw.closed).toBe("");
    expect(listener.connections()).toBe(0);
  });

  it("twice is closing once", async () => {
    const listener = await startListener();
    const first = listener.close(graceMs);
    expect(listener.close(0)).toBe(first);
    await first;
    await listener.close(0);
  });
});

const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

describe("a request on its way", () => {
  it("on an idle connection is answered although the connection was to be closed", async () => {
    const listener = await startListener();
    const raw = await openRaw(listener.port);
    raw.socket.write(request);
    await raw.until("hello");
    // Sent before, and read after: nothing else happens in this turn.
    raw.socket.write(request);
    const closed = listener.close(graceMs);
    expect((await raw.closed).match(/hello/g)).toHaveLength(2);
    await closed;
  });

  it("is answered on a connection that had been promised to go on", async () => {
    const held = gate();
    const listener = await startListener({
      handler: async ({ url }, response) => {
        if (url === "/held") begin(response, "begun ");
        if (url === "/held") await held.opened;
        response.end("finished");
      },
    });
    const raw = await openRaw(listener.port);
    raw.socket.write("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    await raw.until("begun");
    expect(raw.received()).toContain("keep-alive");
    const closed = listener.close(graceMs);
    await expect(connectionTo(listener.port)).rejects.toThrow(/ECONNREFUSED/);
    held.open();
    await raw.until("finished");
    raw.socket.write(request);
    expect((await raw.closed).match(/finished/g)).toHaveLength(2);
    await closed;
  });

  it("on a connection that was not accepted yet is answered, or nobody takes the connection", async () => {
    const listener = await startListener();
    const clients = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket = connect(listener.port, "127.0.0.1");
        const ended = new Promise((resolve) => socket.once("close", resolve));
        let received = "";
        let fault = "";
        socket.on("data", (chunk) => (received += chunk)).on("error", ({ message }) => (fault = message));
        socket.write(request);
        return { ended, outcome: () => (received.includes("hello") ? "answered" : fault) };
      }),
    );
    // Node connects in the first: the kernel makes them all, and the process has had no turn to accept them.
    await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)));
    await listener.close(graceMs);
    await Promise.all(clients.map(({ ended }) => ended));
    const outcomes = clients.map(({ outcome }) => outcome().replace(/.*ECONNREFUSED.*/, "refused"));
    expect(outcomes.filter((outcome) => outcome !== "answered" && outcome !== "refused")).toEqual([]);
    expect(outcomes).toContain("answered");
  });
});

describe("winding down", () => {
  it("goes on accepting, and each answer is the last of its connection on HTTP/1.1", async () => {
    const listener = await startListener();
    const raw = await openRaw(listener.port);
    raw.socket.write(request);
    await raw.until("hello");
    listener.windDown();
    raw.socket.write(request);
    expect(await raw.closed).toMatch(/keep-alive[\s\S]*hello[\s\S]*Connection: close[\s\S]*hello/);
    const later = await openRaw(listener.port);
    later.socket.write(request);
    expect(await later.closed).toMatch(/Connection: close[\s\S]*hello/);
  });

  it.each(["http", "https"])(
    "says GOAWAY on HTTP/2 (%s) twice: first for nothing that may come, then for what comes no more",
    async (scheme) => {
      const { handler, entered, release } = heldHandler();
      const listener = await startListener({ handler, ...(scheme === "https" ? { tls } : {}) });
      const session = openHttp2(listener.port, { ca: tls.cert }, scheme);
      const answer = exchange(session);
      await entered;
      const told: number[] = [];
      session.on("goaway", (_code, lastStream) => told.push(lastStream));
      listener.windDown();
      await eventually(() => expect(new Set(told)).toEqual(new Set([2 ** 31 - 1, 1])));
      expect(told[0]).toBe(2 ** 31 - 1);
      release();
      expect(await answer).toMatchObject({ text: "finished" });
      // On a connection that is made later as well.
      const later = openHttp2(listener.port, { ca: tls.cert }, scheme);
      const ended = once(later, "close");
      expect(await exchange(later)).toMatchObject({ text: "finished" });
      await ended;
    },
  );

  it.each(["http", "https"])("reads again what the handler left unread (%s)", async (scheme) => {
    const listener = await startListener({
      ...(scheme === "https" ? { tls } : {}),
      handler: (request, response) => {
        response.on("close", () => request.socket.pause());
        response.end("hello");
      },
    });
    const socket = openSocket(listener.port, scheme);
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const [first] = await once(socket, "data");
    expect(String(first)).toMatch(/hello$/);
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const early = gate();
    socket.once("data", early.open);
    // Another's whole exchange comes later, and is over before.
    const other = openSocket(listener.port, scheme);
    other.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await once(other, "data");
    other.destroy();
    expect(await Promise.race([early.opened, "nothing"])).toBe("nothing");
    listener.windDown();
    const [second] = await once(socket, "data");
    expect(String(second)).toMatch(/Connection: close[\s\S]*hello$/);
    socket.destroy();
  });

  it("answers what an HTTP/2 client asked before it knew", async () => {
    const listener = await startListener();
    const session = openHttp2(listener.port);
    await exchange(session);
    listener.windDown();
    // In the turn in which the server said so.
    expect(await exchange(session, {}, "a body")).toMatchObject({ text: "hello" });
  });
});

function openSocket(port: number, scheme: string): Socket {
  const address = { port, host: "127.0.0.1" };
  return scheme === "https"
    ? connectTls({ ...address, ca: tls.cert, servername: "localhost" })
    : connect(address);
}

async function connectionTo(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}
