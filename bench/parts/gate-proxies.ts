/** Real proxies with the files that are shipped, in front of an app: asking our gate, and asking a bare 200. */
import { writeProxyFiles } from "../../server/src/gate/proxy-files/proxy-files.ts";
import { type ProxyName, proxyNames, startProxy } from "../../test/parts/proxies.ts";
import { compare, type Result } from "./compare.ts";
import { type BenchGate, makeToken, target } from "./gate.ts";
import { type LoadProcess, pinnedTo } from "./processes.ts";
import { findFreePort } from "./servers.ts";

/** What is no part of the files, and a load generator needs: connections that last. */
const prefaces: Partial<Record<ProxyName, string>> = { nginx: "keepalive_requests 1000000000;\n" };

/** What each proxy manages by our gate, and by the bare one; all of it on one core but for load and app. */
export async function compareThroughProxies(
  load: LoadProcess,
  gate: BenchGate,
  barePort: number,
): Promise<ReadonlyMap<ProxyName, readonly Result[]>> {
  const appPort = await findFreePort();
  await load.prepare({ kind: "app", name: "app", port: appPort });
  const found = new Map<ProxyName, readonly Result[]>();
  for (const name of proxyNames) {
    await using proxies = new AsyncDisposableStack();
    for (const [side, gatePort] of [
      ["ours", gate.server.port],
      ["bare", barePort],
    ] as const) {
      const port = await findFreePort();
      const hostname = `localhost:${port}`;
      await gate.addFrontend(hostname, "http");
      const [config, ...files] = writeProxyFiles(name, {
        frontdoorId: gate.frontdoorId,
        hostname,
        scheme: "http",
        keyHeaders: ["X-API-Key"],
        gate: `127.0.0.1:${gatePort}`,
        upstream: `127.0.0.1:${appPort}`,
        listen: `127.0.0.1:${port}`,
        proxyToken: gate.proxyToken,
      });
      const others = Object.fromEntries(files.map((file) => [file.name, file.text]));
      const text = `${prefaces[name] ?? ""}${config?.text ?? ""}`;
      proxies.use(await startProxy(name, text, port, others, pinnedTo(0)));
      const headers = {
        host: hostname,
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
        Accept: "application/json",
        "Accept-Encoding": "gzip, deflate, br",
        Cookie: "theme=dark; lang=en",
        Authorization: `Bearer ${makeToken(gate.issuer)}`,
      };
      await load.prepare({
        kind: "http1",
        name: `${name} ${side}`,
        load: { port, method: "GET", path: target, headers, body: "", connections: 32 },
      });
    }
    found.set(name, await compare(load, [`${name} ours`, `${name} bare`]));
    for (const side of ["ours", "bare"]) await load.closeLoad(`${name} ${side}`);
  }
  return found;
}
