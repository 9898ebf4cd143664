import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { sendText, toHeadText } from "./head-text.ts";

let server: Server | undefined;
afterEach(() => server?.close());

type Before = (response: ServerResponse, request: IncomingMessage) => void;

/** Starts a server that answers by `sendText`, and by Node where that does not. Answers its port, and what `sendText` said. */
async function start(before: Before = () => {}): Promise<{ port: number; sent: boolean[] }> {
  const sent: boolean[] = [];
  server = createServer((request, response) => {
    before(response, request);
    const isSent = sendText(response, toHeadText(["Cache-Control", "no-store", "X-A", "b"]));
    sent.push(isSent);
    if (!isSent) response.writeHead(200, ["X-By", "node", "Content-Length", "0"]).end();
  }).listen(0, "127.0.0.1");
  server.on("checkContinue", (request, response) => server?.emit("request", request, response));
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, sent };
}

/** All that comes back for these bytes. */
async function send(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  socket.end(bytes);
  await once(socket, "close");
  return text;
}

async function exchange(bytes: string, before?: Before): Promise<{ text: string; sent: boolean[] }> {
  const { port, sent } = await start(before);
  return { text: await send(port, bytes), sent };
}

const ask = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const answer =
  /^HTTP\/1\.1 200 OK\r\nCache-Control: no-store\r\nX-A: b\r\nContent-Length: 0\r\nDate: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n\r\n$/;

test("sends the lines with length and date, and nothing else", async () => {
  const { text, sent } = await exchange(ask);
  expect(text).toMatch(answer);
  expect(sent).toEqual([true]);
});

test("answers one request after another on a connection, pipelined ones too", async () => {
  const { text, sent } = await exchange(ask.repeat(3));
  const answers = text.split(/(?=HTTP)/);
  expect(answers).toHaveLength(3);
  for (const each of answers) expect(each).toMatch(answer);
  expect(sent).toEqual([true, true, true]);
});

test.each([
  ["ASCII", "a body", 6],
  ["UTF-8", "é€", 5],
  ["bytes", Buffer.from([0xff, 0x00, 0x61]), 3],
])("sends a body of %s whole, with its length, in one turn with others", async (_, body, bytes) => {
  server = createServer((_request, response) => {
    sendText(response, toHeadText(["X-A", "b"]), body, bytes);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.end(ask.repeat(3));
  await once(socket, "close");
  const wire = Buffer.concat(chunks)
    .toString("latin1")
    .replaceAll(/Date: [^\r]*/g, "Date");
  const said = Buffer.from(body as string).toString("latin1");
  expect(wire).toBe(`HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: ${bytes}\r\nDate\r\n\r\n${said}`.repeat(3));
});

test("leaves an answer to HEAD that would have a body to Node", async () => {
  const said: boolean[] = [];
  server = createServer((_request, response) => {
    said.push(sendText(response, "", "a body"));
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  await send((server.address() as AddressInfo).port, ask.replace("GET", "HEAD"));
  expect(said).toEqual([false]);
});

test("says of itself what Node says: the status, and that the head is out", async () => {
  let response: ServerResponse | undefined;
  await exchange(ask, (each) => (response = each));
  expect(response).toMatchObject({ headersSent: true, statusCode: 200, writableFinished: true });
});

test("answers HEAD alike", async () => {
  expect((await exchange(ask.replace("GET", "HEAD"))).text).toMatch(answer);
});

test.each([
  ["an older version", ask.replace("1.1", "1.0"), () => {}],
  ["a connection that the client ends", ask.replace("Host", "Connection: close\r\nHost"), () => {}],
  [
    "a connection that ends with this answer",
    ask,
    (response: ServerResponse) => (response.shouldKeepAlive = false),
  ],
  ["who waits to be told to go on", ask.replace("Host", "Expect: 100-continue\r\nHost"), () => {}],
  ["headers that are set", ask, (response: ServerResponse) => void response.setHeader("X-Set", "1")],
])("leaves to Node %s", async (_, bytes, before) => {
  const { text, sent } = await exchange(bytes, before);
  expect(sent).toEqual([false]);
  expect(text).toContain("X-By: node\r\n");
});

test("leaves alone an answer that has begun", async () => {
  const { text, sent } = await exchange(ask, (response) => {
    response.writeHead(204).end();
    response.writeHead = () => response;
  });
  expect(sent).toEqual([false]);
  expect(text).toMatch(/^HTTP\/1\.1 204 No Content\r\n/);
});

test.each([
  ["a line's end", ["X-A", "b\r\nX-B: c"]],
  ["a null byte", ["X-A", "b\0"]],
  ["what is not of one byte", ["X-A", "ł"]],
  ["a name with a space", ["X A", "b"]],
  ["a name with a colon", ["X-A:", "b"]],
  ["no name", ["", "b"]],
])("makes no text of %s", (_, lines) => {
  expect(() => toHeadText(lines)).toThrow(TypeError);
});

test("takes empty values, tabs and bytes beyond ASCII as Node does", () => {
  expect(toHeadText(["X-A", "", "X-B", "a\tb", "X-C", "\xe9"])).toBe("X-A: \r\nX-B: a\tb\r\nX-C: \xe9\r\n");
});

test("answers all that comes at once, each connection in its order", async () => {
  const { port } = await start();
  const texts = await Promise.all(Array.from({ length: 50 }, () => send(port, ask.repeat(4))));
  for (const text of texts) {
    const answers = text.split(/(?=HTTP)/);
    expect(answers).toHaveLength(4);
    for (const each of answers) expect(each).toMatch(answer);
  }
});

test("goes on when somebody has gone whose answer waits", async () => {
  const { port } = await start(({ req }) => {
    if (req.url === "/gone") req.socket.destroy();
  });
  const gone = ask.replace("/a", "/gone");
  const texts = await Promise.all([gone, ask, gone, ask].map((bytes) => send(port, bytes)));
  expect(texts[0]).toBe("");
  expect(texts[1]).toMatch(answer);
  expect(texts[3]).toMatch(answer);
});
