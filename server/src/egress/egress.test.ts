import type { RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { gzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { parseCidr } from "../http/cidr.ts";
import { silentLog } from "../lib/log.ts";
import { tls } from "../listener/test-support.ts";
import type { Egress, EgressRequest } from "./egress.ts";
import { EgressError } from "./egress-error.ts";
import { createTestEgress, type LocalServer, startLocalServer } from "./test-support.ts";

const servers: LocalServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serve(answer: RequestListener): Promise<LocalServer> {
  const server = await startLocalServer(answer);
  servers.push(server);
  return server;
}

const serveJson = (body: unknown) => serve((_, response) => response.end(JSON.stringify(body)));

/** The reason a fetch fails with. */
async function reasonOf(egress: Egress, url: string, request?: EgressRequest): Promise<string> {
  const error = await egress.fetch(url, request).then(
    () => new Error("was fetched"),
    (cause: unknown) => cause,
  );
  return error instanceof EgressError ? error.reason : String(error);
}

test("fetches from an allowed network, naming itself and asking for plain JSON", async () => {
  const server = await serve((request, response) => response.end(JSON.stringify(request.headers)));
  const answer = await createTestEgress().fetch(`${server.origin}/a?b=c`);
  expect(answer.status).toBe(200);
  expect(server.seen).toEqual(["GET /a?b=c"]);
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    accept: "application/json",
    "accept-encoding": "identity",
    "user-agent": expect.stringMatching(/^vestibule\//),
    host: `127.0.0.1:${server.port}`,
  });
});

test("sends a body and answers any status", async () => {
  const server = await serve((request, response) => {
    response.writeHead(401);
    request.pipe(response);
  });
  const answer = await createTestEgress().fetch(server.origin, { method: "POST", body: "a=ü" });
  expect([answer.status, answer.body.toString()]).toEqual([401, "a=ü"]);
});

test.each([
  ["loopback by name", "https://inside.test/", ["127.0.0.1"]],
  ["one internal address among public ones", "https://inside.test/", ["8.8.8.8", "10.0.0.1"]],
  ["an IPv6 form of an internal address", "https://inside.test/", ["::ffff:10.0.0.1"]],
  ["metadata", "https://inside.test/", ["169.254.169.254"]],
  ["decimal", "https://2130706433/", []],
  ["hex", "https://0x7f000001/", []],
  ["octal", "https://0177.0.0.1/", []],
  ["short", "https://127.1/", []],
  ["mixed", "https://0x7f.1/", []],
  ["full-width digits", "https://１２７.0.0.1/", []],
  ["unspecified", "https://0/", []],
  ["IPv6 loopback", "https://[::1]/", []],
  ["IPv4-mapped", "https://[::ffff:127.0.0.1]/", []],
  ["IPv4-mapped, in hex", "https://[::ffff:7f00:1]/", []],
  ["IPv4-compatible", "https://[::127.0.0.1]/", []],
  ["NAT64", "https://[64:ff9b::7f00:1]/", []],
  ["6to4", "https://[2002:7f00:1::]/", []],
  ["Teredo", "https://[2001:0:7f00:1::]/", []],
  ["unique local", "https://[fd00::1]/", []],
])("refuses %s", async (_, url, addresses) => {
  const egress = createTestEgress({ "inside.test": addresses }, { allowCidrs: [] });
  expect(await reasonOf(egress, url)).toBe("blocked");
});

test("says the same of a name inside and of one that there is not", async () => {
  const names = { inside: ["10.0.0.1"], cloud: ["169.254.169.254"], mixed: ["8.8.8.8", "::1"], empty: [] };
  const egress = createTestEgress(names, { allowCidrs: [parseCidr("10.1.0.0/16")] });
  for (const scheme of ["https", "http"]) {
    for (const host of [...Object.keys(names), "unknown"]) {
      await expect(egress.vet(`${scheme}://${host}:8443/`)).rejects.toThrow(
        `${host}:8443: the name is unknown, or has an internal address: check its spelling, or have an operator allow its network under egress.allow_cidrs`,
      );
    }
  }
  // An address tells nothing that its author did not know; a name of an allowed network is there for all.
  await expect(egress.vet("https://10.0.0.1/")).rejects.toThrow("10.0.0.1: this is an internal address");
  const allowed = createTestEgress({ inside: ["10.1.0.1"] }, { allowCidrs: [parseCidr("10.1.0.0/16")] });
  expect((await allowed.vet("http://inside/")).addresses).toEqual(["10.1.0.1"]);
});

test.each([
  ["no URL", "idp", "url"],
  ["another scheme", "file:///etc/passwd", "url"],
  ["a user name", "https://a@public.test/", "url"],
  ["a password", "https://:b@public.test/", "url"],
  ["plain http to the public", "http://public.test/", "url"],
  ["another service's port", "https://public.test:22/", "url"],
  ["the last port below 1024", "https://public.test:1023/", "url"],
  ["an unknown name", "https://unknown.test/", "dns"],
  ["a name without addresses", "https://empty.test/", "dns"],
])("refuses %s", async (_, url, reason) => {
  const egress = createTestEgress({ "public.test": ["8.8.8.8"], "empty.test": [] });
  expect(await reasonOf(egress, url)).toBe(reason);
});

test.each(["https://public.test/", "https://public.test:1024/", "https://PUBLIC.test:8443/x"])(
  "lets %s pass, and connects to nothing to say so",
  async (url) => {
    const egress = createTestEgress({ "public.test": ["8.8.8.8", "2606:4700::1"] });
    expect((await egress.vet(url)).addresses).toEqual(["8.8.8.8", "2606:4700::1"]);
  },
);

test("an origin the operator configured may be inside; its other ports may not", async () => {
  const server = await serveJson({});
  const origin = `http://idp.internal:${server.port}`;
  const names = { "idp.internal": ["127.0.0.1"], "cloud.internal": ["169.254.169.254"] };
  const egress = createTestEgress(names, {
    allowCidrs: [],
    allowedOrigins: [origin, "http://cloud.internal"],
  });
  expect((await egress.fetch(origin)).status).toBe(200);
  expect(await reasonOf(egress, "http://idp.internal:1/")).toBe("blocked");
  expect(await reasonOf(egress, `https://idp.internal:${server.port}/`)).toBe("blocked");
  expect(await reasonOf(egress, "http://cloud.internal/")).toBe("blocked");
});

test("what hands out a cloud's credentials is out of reach even in an allowed network", async () => {
  const egress = createTestEgress({}, { allowCidrs: [parseCidr("0.0.0.0/0")] });
  expect(await reasonOf(egress, "http://169.254.169.254/")).toBe("blocked");
});

test("the error names the host, neither path nor query nor the address; the log has the address", async () => {
  const lines: object[] = [];
  const log = { ...silentLog, warn: (fields: object) => lines.push(fields), child: () => log };
  const egress = createTestEgress({ "inside.test": ["10.1.2.3"] }, { log });
  const failed = egress.fetch("https://inside.test/path?canary=1");
  await expect(failed).rejects.toThrow(/^inside\.test: .*egress\.allow_cidrs$/);
  await expect(failed).rejects.not.toThrow(/canary|path|10\.1/);
  expect(lines).toEqual([{ host: "inside.test", address: "10.1.2.3" }]);
});

test("a name that turns inside after it was judged is reached where it was judged", async () => {
  const server = await serveJson({ good: true });
  const answers = [["127.0.0.1"], ["127.0.0.2"]];
  let asked = 0;
  const lookup = async () => answers[Math.min(asked++, 1)] ?? [];
  const egress = createTestEgress({}, { lookup });
  const url = `http://turning.test:${server.port}/`;
  expect(JSON.parse((await egress.fetch(url)).body.toString())).toEqual({ good: true });
  expect(asked).toBe(1);
  expect(await reasonOf(egress, url)).toBe("blocked");
});

test("each redirect is judged anew", async () => {
  const inside = await serveJson({ secret: true });
  const outside = await serve((_, response) => {
    response.writeHead(302, { location: `http://inside.test:${inside.port}/` }).end();
  });
  const egress = createTestEgress({ "inside.test": ["127.0.0.2"] });
  expect(await reasonOf(egress, outside.origin)).toBe("blocked");
  expect(inside.seen).toEqual([]);
});

test("a redirect to a name that turned inside in between is refused", async () => {
  let asked = 0;
  const server = await serve((_, response) => response.writeHead(302, { location: "/again" }).end());
  const lookup = async () => (asked++ === 0 ? ["127.0.0.1"] : ["127.0.0.2"]);
  expect(await reasonOf(createTestEgress({}, { lookup }), `http://turning.test:${server.port}/`)).toBe(
    "blocked",
  );
  expect(server.seen).toEqual(["GET /"]);
});

test.each([
  [3, "fetched"],
  [4, "redirect"],
])("%d redirects: %s", async (count, outcome) => {
  const server = await serve((request, response) => {
    const left = Number(request.url?.slice(1));
    if (left === 0) response.end("{}");
    else response.writeHead(307, { location: `/${left - 1}` }).end();
  });
  const egress = createTestEgress();
  if (outcome === "redirect") expect(await reasonOf(egress, `${server.origin}/${count}`)).toBe("redirect");
  else expect((await egress.fetch(`${server.origin}/${count}`)).url).toBe(`${server.origin}/0`);
});

test.each(["javascript:alert(1)", "file:///etc/passwd", "http://", "gopher://127.0.0.1/"])(
  "refuses a redirect to %s",
  async (location) => {
    const server = await serve((_, response) => response.writeHead(302, { location }).end());
    expect(await reasonOf(createTestEgress(), server.origin)).toMatch(/^(url|redirect)$/);
  },
);

test("credentials stay with their origin", async () => {
  const other = await serve((request, response) => response.end(JSON.stringify(request.headers)));
  const server = await serve((request, response) => {
    if (request.url === "/same") response.end(JSON.stringify(request.headers));
    else response.writeHead(302, { location: request.url === "/" ? "/same" : other.origin }).end();
  });
  const headers = {
    Authorization: "Bearer canary",
    Cookie: "canary",
    "X-Api-Key": "canary",
    Accept: "text/a",
  };
  const egress = createTestEgress();
  const same = await egress.fetch(`${server.origin}/`, { headers });
  expect(JSON.parse(same.body.toString())).toMatchObject({
    authorization: "Bearer canary",
    "x-api-key": "canary",
  });
  const moved = await egress.fetch(`${server.origin}/other`, { headers });
  expect(moved.body.toString()).not.toContain("canary");
  expect(JSON.parse(moved.body.toString()).accept).toBe("text/a");
});

test("a body goes nowhere but to its address", async () => {
  const server = await serve((_, response) => response.writeHead(307, { location: "/other" }).end());
  const request = { method: "POST", body: "client_secret=canary" } as const;
  expect(await reasonOf(createTestEgress(), server.origin, request)).toBe("redirect");
  expect(server.seen).toEqual(["POST /"]);
  const returned = await createTestEgress().fetch(server.origin, { ...request, redirects: "return" });
  expect([returned.status, returned.headers.get("location")]).toEqual([307, "/other"]);
});

test.each([
  ["as announced", { "content-length": "101" }],
  ["unannounced", {}],
])("refuses a body beyond the limit, %s", async (_, headers) => {
  const server = await serve((request, response) => {
    const length = Number(request.url?.slice(1));
    response.writeHead(200, headers);
    response.end(Buffer.alloc(length));
  });
  expect(await reasonOf(createTestEgress(), `${server.origin}/101`, { maxBytes: 100 })).toBe("too_large");
});

test("takes a body of exactly the limit", async () => {
  const server = await serve((_, response) => response.end(Buffer.alloc(100)));
  expect((await createTestEgress().fetch(server.origin, { maxBytes: 100 })).body).toHaveLength(100);
});

test("an endless body ends at the limit", async () => {
  const server = await serve((_, response) => {
    const chunk = Buffer.alloc(65_536);
    const more = () => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  });
  expect(await reasonOf(createTestEgress(), server.origin)).toBe("too_large");
});

test("a small answer that inflates to a huge one is refused", async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  expect(bomb.length).toBeLessThan(100_000);
  const server = await serve((_, response) =>
    response.writeHead(200, { "content-encoding": "gzip" }).end(bomb),
  );
  expect(await reasonOf(createTestEgress(), server.origin)).toBe("too_large");
});

test.each([
  ["gzip", gzipSync("{}"), "{}"],
  ["identity", Buffer.from("{}"), "{}"],
])("reads a body in %s", async (encoding, body, text) => {
  const server = await serve((_, response) =>
    response.writeHead(200, { "content-encoding": encoding }).end(body),
  );
  expect((await createTestEgress().fetch(server.origin)).body.toString()).toBe(text);
});

test.each([
  ["gzip that is none", "gzip", Buffer.from("nonsense")],
  ["gzip cut short", "gzip", gzipSync("{}".repeat(100)).subarray(0, 20)],
  ["an unknown encoding", "zstd", Buffer.from("{}")],
  ["two encodings", "gzip, gzip", gzipSync(gzipSync("{}"))],
])("refuses %s", async (_, encoding, body) => {
  const server = await serve((__, response) =>
    response.writeHead(200, { "content-encoding": encoding }).end(body),
  );
  expect(await reasonOf(createTestEgress(), server.origin)).toBe("content");
});

test.each([
  ["says nothing", () => {}],
  ["never ends", ((_, response) => void response.write("{")) satisfies RequestListener],
])("gives up on a server that %s", async (_, answer) => {
  const server = await serve(answer);
  expect(await reasonOf(createTestEgress(), server.origin, { timeoutMs: 100 })).toBe("timeout");
});

test("gives up on a resolver that says nothing", async () => {
  const egress = createTestEgress({}, { lookup: () => new Promise(() => {}) });
  expect(await reasonOf(egress, "https://slow.test/", { timeoutMs: 50 })).toBe("timeout");
});

test("one limit holds for all redirects together", async () => {
  const server = await serve((_, response) => {
    setTimeout(() => response.writeHead(302, { location: "/" }).end(), 60);
  });
  expect(await reasonOf(createTestEgress(), server.origin, { timeoutMs: 150 })).toBe("timeout");
});

test("stops when nobody wants the answer any more", async () => {
  const server = await serve(() => {});
  const stop = new AbortController();
  const reason = reasonOf(createTestEgress(), server.origin, { signal: stop.signal });
  stop.abort();
  expect(await reason).toBe("aborted");
});

test("a server that cannot be reached or breaks off is a failed connection", async () => {
  const server = await serve((request) => request.socket.destroy());
  expect(await reasonOf(createTestEgress(), server.origin)).toBe("connection");
  await server.close();
  expect(await reasonOf(createTestEgress(), server.origin)).toBe("connection");
});

test("an answer that breaks off in the middle is none", async () => {
  const server = await serve((request, response) => {
    response.writeHead(200, { "content-length": "10" });
    response.write("{}", () => request.socket.destroy());
  });
  expect(await reasonOf(createTestEgress(), server.origin)).toBe("connection");
});

test("TLS is checked against the name in the URL, whatever the address", async () => {
  const secure = createTlsServer(tls);
  const server = await startLocalServer((_, response) => response.end("{}"), secure);
  servers.push(server);
  const names = { localhost: ["127.0.0.1"], "other.test": ["127.0.0.1"] };
  const trusting = createTestEgress(names, { trustedCa: tls.cert.toString() });
  expect((await trusting.fetch(`https://localhost:${server.port}/`)).status).toBe(200);
  expect(await reasonOf(trusting, `https://other.test:${server.port}/`)).toBe("tls");
  expect(await reasonOf(createTestEgress(names), `https://localhost:${server.port}/`)).toBe("tls");
});

test("no redirect leads from https to http", async () => {
  const plain = await serveJson({});
  const secure = createTlsServer(tls);
  const server = await startLocalServer(
    (_, response) => response.writeHead(302, { location: plain.origin }).end(),
    secure,
  );
  servers.push(server);
  const egress = createTestEgress({ localhost: ["127.0.0.1"] }, { trustedCa: tls.cert.toString() });
  expect(await reasonOf(egress, `https://localhost:${server.port}/`)).toBe("redirect");
  expect(plain.seen).toEqual([]);
});
