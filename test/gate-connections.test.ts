/** How proxies with the shipped files reach the gate: over connections that last, however many visitors come at once. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { writeProxyFiles } from "../server/src/gate/proxy-files/proxy-files.ts";
import { proxyNames, startProxy } from "./parts/proxies.ts";
import { findFreePort } from "./parts/server.ts";

/** Visitors at once; more than a proxy keeps connections for by itself. */
const visitors = 40;
const rounds = 5;

describe.each(proxyNames)("a gate behind %s", (name) => {
  it("is asked about visitors who come at once over the connections that it was asked over before", async () => {
    await using stack = new AsyncDisposableStack();
    let connections = 0;
    let asking: ServerResponse[] = [];
    // Refuses all, and only once all have been asked about: each of a round takes a connection.
    const gate = createServer((_, response) => {
      asking.push(response);
      if (asking.length < visitors) return;
      for (const each of asking) each.writeHead(403, { "Content-Length": "0" }).end();
      asking = [];
    }).on("connection", () => (connections += 1));
    stack.defer(() => gate.closeAllConnections());
    stack.defer(() => void gate.close());
    gate.listen(0, "127.0.0.1");
    await once(gate, "listening");
    const port = await findFreePort();
    const hostname = `localhost:${port}`;
    const [config, ...files] = writeProxyFiles(name, {
      frontdoorId: "01900000-0000-7000-8000-000000000001",
      hostname,
      scheme: "http",
      keyHeaders: [],
      gate: `127.0.0.1:${(gate.address() as AddressInfo).port}`,
      upstream: `127.0.0.1:${await findFreePort()}`,
      listen: `127.0.0.1:${port}`,
      proxyToken: "vstp_none",
    });
    const others = Object.fromEntries(files.map((file) => [file.name, file.text]));
    stack.use(await startProxy(name, config?.text ?? "", port, others));
    for (let round = 0; round < rounds; round += 1) {
      const seen = await Promise.all(
        Array.from({ length: visitors }, async () => (await fetch(`http://${hostname}/app`)).status),
      );
      expect(new Set(seen)).toEqual(new Set([403]));
    }
    // Some may end just when they are wanted.
    expect(connections).toBeLessThan(1.5 * visitors);
  }, 60_000);
});
