/** An edge over stub handlers, on real sockets of both HTTP versions. For tests only. */
import { createServer as createHttp1, request as http1Request } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { registerService } from "../assembly/services.ts";
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { requirePrincipal } from "../principals/context.ts";
import type { Principal } from "../principals/principal.ts";
import type { PrincipalChain } from "./interceptors/interceptors.ts";
import { createHealth, type Health } from "./operations/health.ts";
import { createMetrics, type Metrics } from "./operations/metrics.ts";
import { createEdge, type EdgeOptions, type RequestListener } from "./router.ts";

/** As `npm test -- --by-adapter` asks for it. */
const isByAdapter = process.env.TEST_BY_ADAPTER === "1";

/** One line as it was logged. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A log that keeps its lines. */
export function createMemoryLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ ...fields, level, message });
  const log: Log = {
    debug: at("debug"),
    info: at("info"),
    infoText: (members, message) => at("info")(JSON.parse(`{${members}}`), message),
    warn: at("warn"),
    error: at("error"),
    child: () => log,
  };
  return { log, lines };
}

export const machine: Principal = {
  type: "serviceuser",
  id: "019a0000-0000-7000-8000-000000000001",
  superuser: false,
  authVia: "client_credentials",
  credentialKind: "client_secret",
  orgId: "019a0000-0000-7000-8000-000000000002",
  role: "viewer",
  credentialId: "019a0000-0000-7000-8000-000000000003",
};

/** Lets `Authorization: Bearer good` in as {@link machine}. */
const stubChain: PrincipalChain = {
  authenticate: async (header, policy, { outcome }) => {
    const sent = header.get("authorization");
    if (policy === "grant" || sent === null) return undefined;
    outcome.credentialKind = "access_token";
    if (sent === "Bearer good") return machine;
    if (policy === "open") return undefined;
    throw new DomainError("NOT_AUTHENTICATED", { detail: "unknown token" });
  },
};

/** A `grant_type` that makes the stub of AuthToken fail in the named way. */
const failures = {
  limited: () => new DomainError("UNAVAILABLE", { retryAfterSeconds: 7 }),
  disabled: () => new DomainError("PRINCIPAL_DISABLED", { detail: "disabled yesterday" }),
  broken: () => new Error("the password is hunter2"),
  /** With a header of the handler's beside it. */
  noted: () => new DomainError("PRINCIPAL_DISABLED"),
} as const;

export const stubServices = [
  registerService(AuthService, {
    authToken: async (request, { responseHeader }) => {
      if (request.grantType === "noted") responseHeader.set("x-note", "disabled");
      const failure = failures[request.grantType as keyof typeof failures];
      if (failure !== undefined) throw failure();
      if (request.grantType === "hang") await new Promise(() => {});
      return { accessToken: request.clientSecret, tokenType: "Bearer", expiresIn: 3600 };
    },
    listAuthStrategies: () => ({ strategies: [{ name: "passkey" }] }),
    getCurrentUser: (_, context) => ({ serviceuser: { id: requirePrincipal(context).id, orgId: "default" } }),
  }),
  registerService(ServiceUserService, {
    createServiceUser: ({ body }) => ({ serviceuser: { title: body?.title ?? "" } }),
  }),
];

/** Options of an edge over the stubs. */
export function createOptions(overrides: Partial<EdgeOptions> = {}): EdgeOptions & { lines: LogLine[] } {
  const { log, lines } = createMemoryLog();
  return {
    routes: [],
    prefixRoutes: [],
    services: stubServices,
    frontierMethods: [AuthService.method.authToken, AuthService.method.getCurrentUser].map((method) => ({
      service: "FrontierService",
      method,
    })),
    principals: stubChain,
    health: createHealth(),
    // None waits: how they do is the door's own test.
    admission: { isOpenAt: () => true, enter: ({ begin }) => begin(), noteAnswered: () => {} },
    metrics: createMetrics({ processMetrics: false }),
    log,
    clock: { now: () => new Date("2026-01-01T00:00:00Z") },
    publicOrigin: "https://id.example.com",
    allowedOrigins: ["https://app.example.com"],
    cookieCrossesSites: false,
    strictTransport: false,
    trustedProxies: [],
    limits: { bodyBytes: 1024 * 1024, requestSeconds: 30 },
    directCalls: !isByAdapter,
    ...overrides,
    lines,
  };
}

/** A running edge. */
export interface RunningEdge {
  /** Base URL of the HTTP/1.1 server, `http://127.0.0.1:<port>`. */
  readonly http1: string;
  /** Base URL of the server for HTTP/2 with prior knowledge. */
  readonly http2: string;
  readonly lines: LogLine[];
  readonly health: Health;
  readonly metrics: Metrics;
  close(): Promise<void>;
}

/** Starts an edge on two free ports. */
export async function startEdge(overrides: Partial<EdgeOptions> = {}): Promise<RunningEdge> {
  const options = createOptions(overrides);
  const { handle } = createEdge(options);
  const { url: http1, close: closeHttp1 } = await startHttp1(handle);
  const { url: http2, close: closeHttp2 } = await startHttp2(handle);
  return {
    http1,
    http2,
    lines: options.lines,
    health: options.health,
    metrics: options.metrics,
    close: async () => {
      await Promise.all([closeHttp1(), closeHttp2()]);
    },
  };
}

async function startHttp1(handle: RequestListener) {
  const server = createHttp1({ keepAlive: false, optimizeEmptyRequests: true }, handle);
  // As the listener has it.
  server.on("checkContinue", handle);
  const url = await listen(server);
  const close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  return { url, close };
}

async function startHttp2(handle: RequestListener) {
  const server = createHttp2(handle);
  server.on("checkContinue", handle);
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  const url = await listen(server);
  const close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      for (const session of sessions) session.destroy();
    });
  return { url, close };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What {@link send} got. */
export interface Received {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Sends a request over HTTP/1.1 with its target and headers exactly as given. */
export function send(
  base: string,
  method: string,
  target: string,
  headers: Record<string, string> = {},
  body?: string | Buffer | Iterable<Buffer>,
): Promise<Received> {
  const { hostname, port } = new URL(base);
  // Node's client announces no body of its own accord where a method seldom has one.
  const isWhole = typeof body === "string" || Buffer.isBuffer(body);
  const length = isWhole && body.length > 0 ? { "content-length": String(Buffer.byteLength(body)) } : {};
  return new Promise((resolve, reject) => {
    const request = http1Request(
      { hostname, port, method, path: target, headers: { ...length, ...headers }, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    request.on("error", reject);
    if (body === undefined || typeof body === "string" || Buffer.isBuffer(body)) {
      request.end(body);
    } else {
      for (const chunk of body) request.write(chunk);
      request.end();
    }
  });
}

/** Sends a Connect unary call as JSON. */
export function sendJson(base: string, path: string, message: unknown, headers: Record<string, string> = {}) {
  const body = typeof message === "string" ? message : JSON.stringify(message);
  return send(base, "POST", path, { "content-type": "application/json", ...headers }, body);
}
