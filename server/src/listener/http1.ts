import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Socket } from "node:net";
import type { Log } from "../lib/log.ts";
import type { RequestHandler } from "./handler.ts";
import { guardHandler, hasFragment } from "./handler.ts";
import { checkIntervalMs, type ListenerLimits } from "./limits.ts";
import type { OnRefused } from "./refusal.ts";

/** One protocol of the port: takes connections, winds them down, lets go of its timers. */
export interface ProtocolServer {
  /** Serves a connection whose first bytes are still to be read. */
  serve(socket: Socket): void;
  /** Asks the peer of each connection to go elsewhere, and goes on serving. */
  windDown(): void;
  /** Closes each connection once its answers are out and, after a last look, no request has come. */
  drain(): void;
  /** Releases timers. Call when no connection is left. */
  stop(): void;
}

/** What is known of an open connection. */
interface Connection {
  /** Answers that are not out yet, in the order of their requests. */
  readonly answering: ServerResponse[];
  /** Bytes read when the last answer was out: while that stands, the connection is idle. */
  bytesReadAtAnswer?: number;
  /** The latest request that was answered before it had come whole. */
  answeredEarly?: IncomingMessage;
}

/** How long a connection may still bring a request that was on its way when it was to be closed. */
export const lastLookMs = 100;

/** How long a refused peer may take to read the refusal before the connection is destroyed. */
const lingerMs = 1_000;

/**
 * HTTP/1.1 over connections handed to it (it never listens itself).
 *
 * Malformed, oversize and slow requests are answered 400, 431 and 408 and cut.
 * A client that half-closes its side still gets its answer.
 */
export function createHttp1Server(
  handler: RequestHandler,
  limits: ListenerLimits,
  log: Log,
  onRefused: OnRefused,
): ProtocolServer {
  const connections = new Map<Socket, Connection>();
  let isWindingDown = false;
  let isDraining = false;
  const guarded = guardHandler(handler, log);
  const take = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const connection = connections.get(socket) ?? { answering: [] };
    connection.answering.push(response);
    if (isWindingDown) response.shouldKeepAlive = false;
    response.on("close", () => {
      remove(connection.answering, response);
      if (!request.complete) connection.answeredEarly = request;
      connection.bytesReadAtAnswer = socket.bytesRead;
      if (isDraining) closeIfIdle(socket, connection);
    });
    const fault = findFault(request);
    if (fault === undefined) guarded(request, response);
    else refuseRequest(request, response, fault);
  };
  const server = createServer(serverOptions(limits), take);
  // Node would tell every client to go on with its body, also those that are answered without it.
  server.on("checkContinue", take);

  function refuseRequest(request: IncomingMessage, response: ServerResponse, [status, fault]: Fault): void {
    const { httpVersion, socket } = request;
    onRefused({ httpVersion, status, fault, peer: socket.remoteAddress ?? "" });
    sendRefusal(response, status);
  }

  function refuseSocket(socket: Socket, fault: string): void {
    const status = refusals[fault] ?? "400 Bad Request";
    onRefused({
      httpVersion: "1.1",
      status: Number(status.slice(0, 3)),
      fault,
      peer: socket.remoteAddress ?? "",
    });
    refuse(socket, status);
  }

  // Node would answer or cut these by itself, and nobody would know.
  server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) =>
    refuseRequest(request, response, [417, "UNKNOWN_EXPECTATION"]),
  );
  server.on("connect", (_: IncomingMessage, stream) => refuseSocket(stream as Socket, "METHOD_CONNECT"));

  // The header block is bounded in bytes; by default Node drops, unseen, all headers after the 2000th.
  server.maxHeadersCount = 0;
  server.timeout = limits.idleTimeoutMs;
  // Undocumented in Node, and the only way to answer a client that has sent its FIN.
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;

  server.on("timeout", (socket: Socket) => {
    const { answering = [] } = connections.get(socket) ?? {};
    const waitsForHandler = answering.length > 0 && socket.writableLength === 0 && !socket.readableEnded;
    if (waitsForHandler) socket.setTimeout(limits.idleTimeoutMs);
    else socket.destroy();
  });

  const refused = new WeakSet<Socket>();
  server.on("clientError", (err: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    if (refused.has(socket)) return;
    refused.add(socket);
    const { answering = [], answeredEarly } = connections.get(socket) ?? {};
    const last = answering.at(-1);
    if (last?.req.complete) {
      // The bytes at fault came after a good request, which keeps its answer.
      last.shouldKeepAlive = false;
      last.once("close", () => socket.destroySoon());
    } else if (
      answering.length > 1 ||
      last?.headersSent ||
      !socket.writable ||
      err.code === "ECONNRESET" ||
      // What is wrong is the rest of a request that has had its answer.
      answeredEarly?.complete === false
    ) {
      socket.destroy();
    } else if (last === undefined) {
      refuseSocket(socket, err.code ?? "HPE_ERROR");
    } else {
      // What is in flight is told of when it is over.
      refuse(socket, refusals[err.code ?? ""] ?? "400 Bad Request");
    }
  });

  /** Not Node's closeIdleConnections(): that cuts requests which are not read, and answers which are not sent yet. */
  function closeIfIdle(socket: Socket, connection: Connection): void {
    if (connection.answering.length > 0) return;
    const { bytesRead } = socket;
    // What has begun to come is waited for, and answered.
    if (bytesRead !== connection.bytesReadAtAnswer) return;
    setTimeout(() => {
      if (socket.bytesRead === bytesRead) socket.destroySoon();
    }, lastLookMs);
  }

  // Node starts looking for slow requests when a server listens, which this one never does.
  server.emit("listening");
  return {
    serve(socket) {
      connections.set(socket, { answering: [] });
      socket.once("close", () => connections.delete(socket));
      server.emit("connection", socket);
      socket.resume();
    },
    windDown() {
      isWindingDown = true;
      for (const [socket, { answering }] of connections) {
        // With pipelined requests only the last answer may say that it is the last.
        const last = answering.at(-1);
        if (last !== undefined) last.shouldKeepAlive = false;
        // One that its handler left unread may have brought a request.
        else socket.resume();
      }
    },
    drain() {
      isDraining = true;
      for (const [socket, connection] of connections) closeIfIdle(socket, connection);
    },
    stop() {
      server.close();
    },
  };
}

function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  // Nearly always the only one.
  if (at === 0) list.shift();
  else if (at > 0) list.splice(at, 1);
}

function serverOptions(limits: ListenerLimits) {
  return {
    maxHeaderSize: limits.headerBytes,
    // Told and refused here instead, with whatever else is wrong with hosts.
    requireHostHeader: false,
    headersTimeout: Math.min(limits.headerTimeoutMs, limits.requestTimeoutMs),
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: checkIntervalMs(limits),
    // A request without a body is no stream then: it is over when it comes, and emits nothing.
    optimizeEmptyRequests: true,
  };
}

/** The status for a request, and what is wrong with it. */
type Fault = readonly [status: number, fault: string];

/**
 * What Node's parser lets through and others may read differently: no host but
 * on HTTP/1.0, or more than one (RFC 9112 §3.2), a fragment in the target (§3.2),
 * a coding besides chunks (§6.1), a version that is not 1.x.
 */
function findFault(request: IncomingMessage): Fault | undefined {
  const { httpVersionMajor, httpVersionMinor, headers, rawHeaders } = request;
  if (httpVersionMajor !== 1) return [505, "UNKNOWN_VERSION"];
  if (hasFragment(request)) return [400, "FRAGMENT"];
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && coding.toLowerCase() !== "chunked") return [501, "UNKNOWN_CODING"];
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts += 1;
  }
  if (hosts === 0 && httpVersionMinor > 0) return [400, "NO_HOST"];
  return hosts > 1 ? [400, "TWO_HOSTS"] : undefined;
}

function sendRefusal(response: ServerResponse, status: number): void {
  const text = `${STATUS_CODES[status]?.toLowerCase()}\n`;
  response.writeHead(status, {
    Connection: "close",
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": text.length,
  });
  response.end(text);
}

/** Sends a small answer, then closes once the peer has read it or the linger time is over. */
function refuse(socket: Socket, status: string): void {
  const text = `${status.slice(4).toLowerCase()}\n`;
  const head = [
    `HTTP/1.1 ${status}`,
    "Connection: close",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${text.length}`,
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${text}`);
  // Closing at once would answer unread bytes with a reset, which can overtake the answer.
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("end", () => socket.destroySoon()).once("close", () => clearTimeout(timer));
}

/** Statuses for the errors of Node's parser, and for what is no request of ours; anything else is 400. */
const refusals: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  HPE_CHUNK_EXTENSIONS_OVERFLOW: "413 Content Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
  METHOD_CONNECT: "405 Method Not Allowed",
};
