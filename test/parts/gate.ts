/**
 * An app behind the gate: a server with a frontdoor, a real proxy set up by
 * exactly the files that `vestibule gate config` prints, and an upstream that
 * remembers what reached it. Requests go in byte for byte.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { SignJWT } from "jose";
import { writeProxyFiles } from "../../server/src/gate/proxy-files/proxy-files.ts";
import type { ProxyFileValues } from "../../server/src/gate/proxy-files/values.ts";
import { basic, send, tlsCertificate, tlsKey } from "./http.ts";
import { type ProxyName, startProxy, type TestProxy } from "./proxies.ts";
import { findFreePort, startServer, type TestServer } from "./server.ts";

/** A request as the upstream got it. */
export interface Reached {
  readonly method: string;
  readonly target: string;
  /** Names as they came and values by turns. */
  readonly rawHeaders: readonly string[];
  readonly bodyBytes: number;
}

/** An answer as the visitor got it. */
export interface Seen {
  /** 0 when the connection ended without one. */
  readonly status: number;
  /** Head and body as they came; of HTTP/2 written alike. */
  readonly text: string;
}

/** An app that remembers who came; `/status/401` answers so, and an offer of WebSocket is taken. */
export interface Upstream extends AsyncDisposable {
  readonly address: string;
  /** The requests since it was last called. */
  take(): readonly Reached[];
}

/** A frontdoor at a server, with one provider of each kind that judges without a browser. */
export interface TestFrontdoor {
  readonly id: string;
  readonly jwtProviderId: string;
  readonly keyProviderId: string;
  readonly vestibuleProviderId: string;
  readonly frontendId: string;
  readonly hostname: string;
  readonly proxyToken: string;
  readonly apiKey: string;
  /** Calls REST as the bootstrap superuser. @throws Error for what is no 2xx */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  call(method: string, path: string, body?: object): Promise<any>;
  /** A token of the `JWT` provider's issuer. */
  signToken(claims?: Readonly<Record<string, unknown>>, key?: KeyObject): Promise<string>;
}

const issuer = "https://issuer.example.com";
const audience = "https://app.example.com";

/** Starts the upstream. */
export async function startUpstream(): Promise<Upstream> {
  let reached: Reached[] = [];
  const note = ({ method = "", url = "", rawHeaders }: IncomingMessage, bodyBytes: number) =>
    reached.push({ method, target: url, rawHeaders, bodyBytes });
  const server = createServer((request, response) => {
    let bodyBytes = 0;
    request.on("data", (chunk: Buffer) => (bodyBytes += chunk.length));
    request.on("end", () => {
      note(request, bodyBytes);
      response.setHeader("x-upstream", "here");
      response.statusCode = Number(/^\/status\/(\d{3})$/.exec(request.url ?? "")?.[1] ?? 200);
      response.end("the app");
    });
  });
  /** They are no connections of the server's any more, and would keep it from closing. */
  const upgraded = new Set<Duplex>();
  server.on("upgrade", (request, socket) => {
    note(request, 0);
    upgraded.add(socket);
    socket.on("close", () => upgraded.delete(socket));
    socket.resume();
    socket.on("error", () => {});
    // RFC 6455 §4.2.2.
    const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash("sha1").update(key).digest("base64");
    const accepted = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Upstream: here\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
    // A text, and a close (§5.2).
    const text = "the app by WebSocket";
    socket.end(Buffer.concat([Buffer.from(accepted), toFrame(0x1, text), toFrame(0x8, "")]));
  });
  await listenLocally(server);
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = reached;
      reached = [];
      return taken;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      for (const socket of upgraded) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function toFrame(opcode: number, text: string): Buffer {
  return Buffer.concat([Buffer.from([0x80 | opcode, text.length]), Buffer.from(text)]);
}

async function listenLocally(server: Server): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
}

/** What a test wants of its frontend, beside the defaults. */
export interface FrontdoorOptions {
  readonly hostname: string;
  readonly scheme: "http" | "https";
  readonly policy?: object;
  readonly frontend?: object;
}

/** Makes a frontdoor with its providers, a key, a frontend and a proxy token. */
export async function createFrontdoor(
  server: Pick<TestServer, "url" | "clientId" | "clientSecret">,
  { hostname, scheme, policy = { publicPaths: ["/health", "/public/*"] }, frontend = {} }: FrontdoorOptions,
): Promise<TestFrontdoor> {
  const call: TestFrontdoor["call"] = async (method, path, body) => {
    const headers = { ...basic(server), "content-type": "application/json" };
    const answer = await send(`${server.url}${path}`, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.json;
  };
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "test", alg: "ES256", use: "sig" };
  const { id } = await call("POST", "/frontdoor", { organizationId: "default", name: "test" });
  const addProvider = (type: string, data: object) =>
    call("POST", `/frontdoor/${id}/auth-providers`, {
      name: type.toLowerCase().replace("_", "-"),
      type,
      data,
    });
  const jwt = await addProvider("JWT", { issuer, audiences: [audience], jwks: { keys: [jwk] } });
  const keys = await addProvider("API_KEY", {});
  const own = await addProvider("VESTIBULE", {});
  const { key } = await call("POST", `/frontdoor/${id}/auth-providers/${keys.id}/api-keys`, {
    title: "test",
  });
  const { id: frontendId } = await call("POST", `/frontdoor/${id}/custom-frontends`, {
    hostname,
    scheme,
    authProviderIds: [jwt.id, keys.id, own.id],
    policy,
    ...frontend,
  });
  const { token } = await call("POST", `/frontdoor/${id}/proxy-tokens`, { title: "test" });
  return {
    id,
    jwtProviderId: jwt.id,
    keyProviderId: keys.id,
    vestibuleProviderId: own.id,
    frontendId,
    hostname,
    proxyToken: token,
    apiKey: key,
    call,
    signToken: (claims = {}, signingKey = privateKey) =>
      new SignJWT({ jti: randomUUID(), email: "ada@example.com", email_verified: true, ...claims })
        .setProtectedHeader({ alg: "ES256", kid: "test" })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject("ada")
        .setIssuedAt()
        .setExpirationTime(typeof claims.exp === "number" ? claims.exp : "10m")
        .sign(signingKey),
  };
}

/**
 * What the gate of a frontdoor tells the app of a visitor whom it lets in, in a header of its answer.
 *
 * @param visitor headers that the visitor sent.
 */
export async function getAssertion(
  server: Pick<TestServer, "url">,
  { id, hostname, proxyToken }: Pick<TestFrontdoor, "id" | "hostname" | "proxyToken">,
  visitor: Readonly<Record<string, string>>,
  { path = "/", header = "x-vestibule-assertion" }: { path?: string; header?: string } = {},
): Promise<string> {
  const answer = await send(`${server.url}/frontdoor/${id}/gate/forward-auth`, {
    headers: {
      "x-vestibule-proxy-token": proxyToken,
      "x-forwarded-proto": "https",
      "x-forwarded-host": hostname,
      "x-forwarded-uri": path,
      "x-forwarded-method": "GET",
      ...visitor,
    },
  });
  if (answer.status !== 200) throw new Error(`the gate answers ${answer.status}: ${answer.text}`);
  return String(answer.headers[header]);
}

/** The whole row: visitor, proxy, gate, upstream. */
export interface GatedApp extends AsyncDisposable {
  readonly server: TestServer;
  readonly frontdoor: TestFrontdoor;
  readonly upstream: Upstream;
  readonly proxy: TestProxy;
  /** As visitors write it in \`Host\`. */
  readonly host: string;
  /** Sends a request as it is and answers what comes until the connection ends or is silent. HTTP/1.1, or 1.0 if it says so. */
  send(bytes: string | Buffer, longestMs?: number): Promise<Seen>;
  /** Sends a request by HTTP/2, with header fields as they are. Only where the scheme is https. */
  send2(fields: Readonly<Record<string, string | string[]>>, body?: Buffer): Promise<Seen>;
}

/** What a test wants of the whole row. */
interface GatedAppOptions {
  /** Of this machine, without a port: default `localhost`, whose cookies the server's own pages share. */
  readonly name?: string;
  /** Settings of the server. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Starts all of it. @param scheme by which visitors come; https has HTTP/2 as well. */
export async function startGatedApp(
  proxyName: ProxyName,
  scheme: "http" | "https" = "http",
  options: Pick<FrontdoorOptions, "policy" | "frontend"> & GatedAppOptions = {},
): Promise<GatedApp> {
  const { name: hostname = "localhost", config: settings = {} } = options;
  const port = await findFreePort();
  const host = `${hostname}:${port}`;
  await using parts = new AsyncDisposableStack();
  const server = parts.use(await startServer({ config: { gate: { reason_header: true }, ...settings } }));
  const { policy, frontend } = options;
  const frontdoor = await createFrontdoor(server, {
    hostname: host,
    scheme,
    ...(policy && { policy }),
    ...(frontend && { frontend }),
  });
  const upstream = parts.use(await startUpstream());
  const { config, files } = prepareFiles(proxyName, {
    frontdoorId: frontdoor.id,
    hostname: host,
    scheme,
    keyHeaders: ["X-API-Key"],
    gate: `127.0.0.1:${server.port}`,
    upstream: upstream.address,
    listen: `127.0.0.1:${port}`,
    proxyToken: frontdoor.proxyToken,
  });
  const proxy = parts.use(await startProxy(proxyName, config, port, files));
  const held = parts.move();
  return {
    server,
    frontdoor,
    upstream,
    proxy,
    host,
    send: (bytes, longestMs) => sendRaw(port, scheme, bytes, longestMs),
    send2: (fields, body) => sendHttp2(port, fields, body),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** The files as printed; where they name a certificate, this suite's is put. */
function prepareFiles(name: ProxyName, values: ProxyFileValues) {
  const [main, ...others] = writeProxyFiles(name, values);
  const files = Object.fromEntries(others.map((file) => [file.name, file.text]));
  const certificate = tlsCertificate.toString("utf8");
  const key = tlsKey.toString("utf8");
  let config = main?.text ?? "";
  if (name === "nginx") {
    config = config
      .replaceAll(" ssl;", " ssl http2;")
      .replace(" ssl default_server;", " ssl http2 default_server;");
    Object.assign(files, { "tls/fullchain.pem": certificate, "tls/privkey.pem": key });
  }
  if (name === "haproxy") files["tls.pem"] = `${certificate}\n${key}`;
  if (name === "caddy" && values.scheme === "https") {
    // Without a public name Caddy gets none by itself.
    config = config.replace(
      `${values.hostname} {`,
      `${values.hostname} {\n\ttls /etc/caddy/tls.crt /etc/caddy/tls.key`,
    );
    Object.assign(files, { "tls.crt": certificate, "tls.key": key });
  }
  return { config, files };
}

/** How long a proxy may be silent before its answer is taken as whole, and how long it may take to begin. */
const silenceMs = 300;
const longestMs = 20_000;

function sendRaw(
  port: number,
  scheme: "http" | "https",
  bytes: string | Buffer,
  mostMs = longestMs,
): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const socket =
      scheme === "https"
        ? connectTls({
            port,
            host: "127.0.0.1",
            servername: "localhost",
            ca: tlsCertificate,
            ALPNProtocols: ["http/1.1"],
          })
        : connect(port, "127.0.0.1");
    let text = "";
    let timer = setTimeout(() => end(), mostMs);
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), text });
    };
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      clearTimeout(timer);
      if (isWhole(text)) end();
      else timer = setTimeout(end, silenceMs);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (text !== "" || error.code === "ECONNRESET" || error.code === "EPIPE") end();
      else reject(error);
    });
    socket.on("close", end);
    socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  });
}

/** Whether an answer with a known length has come whole. */
function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  const length = /^content-length: *(\d+)/im.exec(text.slice(0, end))?.[1];
  return end >= 0 && length !== undefined && text.length >= end + 4 + Number(length);
}

async function sendHttp2(
  port: number,
  fields: Readonly<Record<string, string | string[]>>,
  body?: Buffer,
): Promise<Seen> {
  const session = connectHttp2(`https://localhost:${port}`, { ca: tlsCertificate });
  try {
    return await new Promise((resolve) => {
      let text = "";
      let status = 0;
      const end = () => resolve({ status, text });
      session.on("error", end);
      const stream = session.request(fields, { endStream: body === undefined });
      stream.on("response", (headers) => {
        status = headers[":status"] ?? 0;
        text += Object.entries(headers)
          .map(([name, value]) => `${name}: ${value}\r\n`)
          .join("");
      });
      stream.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
      stream.on("error", end);
      stream.on("close", end);
      stream.setTimeout(longestMs, end);
      if (body !== undefined) stream.end(body);
    });
  } finally {
    session.destroy();
  }
}
