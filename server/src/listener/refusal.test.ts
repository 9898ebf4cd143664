import { expect, it } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import type { Refusal } from "./refusal.ts";
import { exchange, openHttp2, openRaw, recordLog, startListener } from "./test-support.ts";

/** A listener, and what it told of refusals, handled requests and otherwise. */
async function start() {
  const refused: Omit<Refusal, "peer">[] = [];
  const served: string[] = [];
  const { log, lines } = recordLog("debug");
  const { port } = await startListener({
    log,
    limits: { headerTimeoutMs: 100, requestTimeoutMs: 100 },
    handler: (request, response) => {
      served.push(request.url ?? "");
      response.end("hello");
    },
    onRefused: ({ peer, ...refusal }) => {
      expect(peer).toBe("127.0.0.1");
      refused.push(refusal);
    },
  });
  return { port, refused, served, lines };
}

const secret = "Authorization: Bearer hunter2\r\n";

it.each([
  ["garbage", `\0\x01${secret}\r\n`, 400, "HPE_INVALID_METHOD", "1.1"],
  ["an unknown method", `BREW / HTTP/1.1\r\nHost: a\r\n${secret}\r\n`, 400, "HPE_INVALID_METHOD", "1.1"],
  ["a bad header", `GET / HTTP/1.1\r\nHost : a\r\n${secret}\r\n`, 400, "HPE_INVALID_HEADER_TOKEN", "1.1"],
  ["a header that does not end", "GET / HTTP/1.1\r\nHost: a\r\n", 408, "ERR_HTTP_REQUEST_TIMEOUT", "1.1"],
  ["no host", `GET / HTTP/1.1\r\n${secret}\r\n`, 400, "NO_HOST", "1.1"],
  ["a fragment", `GET /a?b#c HTTP/1.1\r\nHost: a\r\n${secret}\r\n`, 400, "FRAGMENT", "1.1"],
  ["a whole address with one", "GET http://a/#c HTTP/1.1\r\nHost: a\r\n\r\n", 400, "FRAGMENT", "1.1"],
  ["two hosts", `GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`, 400, "TWO_HOSTS", "1.1"],
  [
    "an unknown coding",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    501,
    "UNKNOWN_CODING",
    "1.1",
  ],
  ["another version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "UNKNOWN_VERSION", "2.0"],
  [
    "an unknown expectation",
    "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
    417,
    "UNKNOWN_EXPECTATION",
    "1.1",
  ],
  ["a tunnel", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "METHOD_CONNECT", "1.1"],
])("tells of %s once, and repeats nothing of it", async (_, bytes, status, fault, httpVersion) => {
  const { port, refused, served, lines } = await start();
  const raw = await openRaw(port);
  raw.socket.write(bytes, "latin1");
  expect(await raw.closed).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(refused).toEqual([{ httpVersion, status, fault }]);
  expect(served).toEqual([]);
  // A parser's error carries what it read.
  expect(JSON.stringify(lines)).not.toContain("hunter2");
  expect(JSON.stringify(lines)).not.toContain([...Buffer.from("hunter2")].join(","));
});

it.each([
  ["an unknown expectation", { expect: "x" }, 417, "UNKNOWN_EXPECTATION"],
  ["a tunnel", { ":method": "CONNECT", ":authority": "a:1" }, 405, "METHOD_CONNECT"],
  ["a fragment", { ":path": "/a?b#c" }, 400, "FRAGMENT"],
])("tells of %s on HTTP/2", async (_, headers, status, fault) => {
  const { port, refused, served } = await start();
  const session = openHttp2(port);
  const stream = session.request(headers);
  const answered = await new Promise((resolve) => stream.on("response", resolve));
  expect(answered).toMatchObject({ ":status": status });
  expect(refused).toEqual([{ httpVersion: "2.0", status, fault }]);
  expect(served).toEqual([]);
  expect(await exchange(session)).toMatchObject({ status: 200 });
});

it("tells nothing of what is handled: good requests, and one that was answered before it was whole", async () => {
  const { port, refused, served } = await start();
  const good = await openRaw(port);
  good.socket.write("GET /good HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  await good.closed;
  const early = await openRaw(port);
  early.socket.write("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
  await early.until("hello");
  early.socket.end();
  await early.closed;
  const old = await openRaw(port);
  old.socket.write("GET /old HTTP/1.0\r\n\r\n");
  await old.closed;
  await eventually(() => expect(served).toEqual(["/good", "/early", "/old"]));
  expect(refused).toEqual([]);
});
