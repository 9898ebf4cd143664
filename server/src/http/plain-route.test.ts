import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { NodeResponse } from "./node-http.ts";
import { sendPlain } from "./plain-route.ts";

let server: Server | undefined;
afterEach(() => server?.close());

/** All that comes back for requests that come together. */
async function exchange(handle: (response: NodeResponse) => void, count: number) {
  server = createServer((_, response) => handle(response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  socket.end("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count));
  await once(socket, "close");
  return text.split(/(?=HTTP)/);
}

function set(response: NodeResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

describe.each<[string, Record<string, string>]>([
  ["without headers that are set", {}],
  ["beside headers that are set", { "x-set": "1" }],
])("an answer %s", (_, headers) => {
  it("is the only one, also while it waits to be sent with others", async () => {
    const heads: boolean[] = [];
    const again: unknown[] = [];
    const answers = await exchange((response) => {
      set(response, headers);
      sendPlain(response, { status: 403, body: "no" });
      heads.push(response.headersSent);
      try {
        sendPlain(response, { status: 200, body: "yes indeed", headers: { "x-second": "1" } });
      } catch (error) {
        again.push(error);
      }
    }, 20);
    expect(heads).toEqual(Array.from({ length: 20 }, () => true));
    expect(again).toEqual(heads.map(() => expect.objectContaining({ code: "ERR_HTTP_HEADERS_SENT" })));
    for (const each of answers) expect(each).toMatch(/^HTTP\/1\.1 403 (?:(?!x-second).)*\r\n\r\nno$/is);
    expect(answers).toHaveLength(20);
  });

  it.each([204, 304])("of status %i has no body and no length", async (status) => {
    const answers = await exchange((response) => {
      set(response, headers);
      sendPlain(response, { status });
    }, 3);
    expect(answers).toHaveLength(3);
    for (const each of answers) expect(each).not.toMatch(/content-length|transfer-encoding|\r\n\r\n./i);
  });
});
