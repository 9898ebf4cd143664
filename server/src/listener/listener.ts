/**
 * The one port.
 *
 * Speaks HTTP/1.1 and HTTP/2 on one address: in clear text they are told apart
 * by a connection's first bytes (prior knowledge, RFC 9113 §3.3), under TLS by
 * ALPN. It owns the limits of a connection (header size, header, request and
 * idle time, streams, floods) and the drain. It knows no route, reads no body
 * and believes no header; `Upgrade: h2c` is not taken up.
 */
import { createServer as createNetServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { Log } from "../lib/log.ts";
import type { RequestHandler } from "./handler.ts";
import { createHttp1Server, lastLookMs, type ProtocolServer } from "./http1.ts";
import { createHttp2Server } from "./http2.ts";
import { defaultLimits, type ListenerLimits } from "./limits.ts";
import type { OnRefused } from "./refusal.ts";
import { stopAccepting } from "./stop-accepting.ts";

/** A protocol that the port speaks, by its ALPN name; without TLS, "h2" stands for prior knowledge. */
type Protocol = "h2" | "http/1.1";

/** Where the port is opened, for which handler, within which limits. */
export interface ListenOptions {
  /** Name or address to bind, IPv6 without brackets. */
  readonly host: string;
  /** 0 takes a free port; the listener says which. */
  readonly port: number;
  /** PEM certificate chain and key; absent means clear text. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  readonly handler: RequestHandler;
  /** Replaces single values of {@link defaultLimits}. */
  readonly limits?: Partial<ListenerLimits>;
  readonly log: Log;
  /** Hears of each connection as it is accepted. */
  readonly onConnection?: () => void;
  /** Hears of requests that no handler sees, so that each request can be told of once. */
  readonly onRefused?: OnRefused;
}

/** The port cannot be opened as configured. */
class ListenError extends Error {
  override readonly name = "ListenError";
}

/** An open port. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  /**
   * Asks every peer to go elsewhere, and goes on accepting and answering: on
   * HTTP/1.1 each answer is its connection's last (RFC 9112 §9.6), on HTTP/2
   * each connection is told GOAWAY (RFC 9113 §6.8).
   */
  windDown(): void;
  /**
   * Drains: winds down, accepts no more, closes idle connections after a last
   * look for a request on its way, lets those in flight finish, and after
   * `graceMs` destroys what is left. Resolves when no connection is open, with
   * how many were destroyed; later calls return the first one's promise.
   */
  close(graceMs: number): Promise<number>;
  /** Open connections, of either protocol and those that have not shown theirs. */
  connections(): number;
}

/**
 * How many connections the kernel may have made that are not accepted yet; `net.core.somaxconn` may allow fewer. Who comes
 * when there are more hears nothing, and tries again a second later.
 */
const backlog = 4_096;

/** Probes a silent peer after this long, so that one that vanished is found although nothing is sent. */
const tcpKeepAliveMs = 30_000;

/**
 * Opens the port.
 *
 * @throws {ListenError} `listen <address>: <why>`, when the address cannot be bound
 * or the certificate and key are unusable.
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const limits = { ...defaultLimits, ...options.limits };
  const { handler, log, onRefused = () => {} } = options;
  const servers: Record<Protocol, ProtocolServer> = {
    "http/1.1": createHttp1Server(handler, limits, log, onRefused),
    h2: createHttp2Server(handler, limits, log, onRefused),
  };
  const stopServers = () => {
    servers.h2.stop();
    servers["http/1.1"].stop();
  };
  try {
    const connections = new Connections(servers, limits);
    const server = createServer(options, connections, limits);
    await bind(server, options);
    server.on("error", (err) => options.log.error({ err }, "the listener cannot accept a connection"));
    const address = server.address();
    let closed: Promise<number> | undefined;
    return {
      host: options.host,
      port: typeof address === "object" && address ? address.port : options.port,
      windDown: () => connections.windDown(),
      close(graceMs) {
        closed ??= drain(server, connections, graceMs, options.log).finally(stopServers);
        return closed;
      },
      connections: () => connections.size,
    };
  } catch (error) {
    stopServers();
    throw new ListenError(`listen ${formatAddress(options)}: ${reasonOf(error)}`, { cause: error });
  }
}

/** The connections of one port, from accept to close. */
class Connections {
  readonly #servers: Record<Protocol, ProtocolServer>;
  readonly #limits: ListenerLimits;
  readonly #open = new Set<Socket>();
  /** Connections whose protocol is not known yet, by peer: under TLS two socket objects share one. */
  readonly #waiting = new Map<string, Socket>();

  #onEmpty: (() => void) | undefined;
  #isWindingDown = false;

  constructor(servers: Record<Protocol, ProtocolServer>, limits: ListenerLimits) {
    this.#servers = servers;
    this.#limits = limits;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Counts a connection as it is accepted. */
  add(socket: Socket): void {
    const peer = peerOf(socket);
    this.#open.add(socket);
    this.#waiting.set(peer, socket);
    // A reset before any server has the socket must not end the process.
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#open.delete(socket);
      if (this.#open.size === 0) this.#onEmpty?.();
      if (this.#waiting.get(peer) === socket) this.#waiting.delete(peer);
    });
  }

  /** Finds out the protocol of a connection and hands it over. */
  route(socket: Socket, negotiated?: Protocol): void {
    const handOver = (protocol: Protocol) => {
      this.#waiting.delete(peerOf(socket));
      this.#servers[protocol].serve(socket);
    };
    if (negotiated === "h2") handOver("h2");
    else detectProtocol(socket, this.#limits.headerTimeoutMs, handOver);
  }

  windDown(): void {
    if (this.#isWindingDown) return;
    this.#isWindingDown = true;
    this.#servers["http/1.1"].windDown();
    this.#servers.h2.windDown();
  }

  /** Ends what is idle, asks the rest to end, and resolves when none is left. */
  async drain(): Promise<void> {
    this.#servers["http/1.1"].drain();
    const emptied = new Promise<void>((resolve) => {
      if (this.#open.size === 0) resolve();
      else this.#onEmpty = resolve;
    });
    await Promise.race([sleep(lastLookMs), emptied]);
    for (const socket of this.#waiting.values()) socket.destroy();
    this.#servers.h2.drain();
    return await emptied;
  }

  destroyAll(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

function createServer(options: ListenOptions, connections: Connections, limits: ListenerLimits): Server {
  const socketOptions = {
    noDelay: true,
    allowHalfOpen: true,
    keepAlive: true,
    keepAliveInitialDelay: tcpKeepAliveMs,
  };
  const server = options.tls
    ? createSecureServer({ ...socketOptions, ...options.tls }, connections, limits, options.log)
    : createNetServer(socketOptions);
  server.on("connection", (socket) => {
    options.onConnection?.();
    connections.add(socket);
    if (!options.tls) connections.route(socket);
  });
  if (limits.maxConnections !== undefined) server.maxConnections = limits.maxConnections;
  server.on("drop", (peer) => options.log.debug({ peer: peer?.remoteAddress }, "too many connections"));
  return server;
}

function createSecureServer(
  options: { cert: Buffer; key: Buffer },
  connections: Connections,
  limits: ListenerLimits,
  log: Log,
): Server {
  const server = createTlsServer({
    ...options,
    ALPNProtocols: ["h2", "http/1.1"],
    minVersion: "TLSv1.2",
    handshakeTimeout: limits.headerTimeoutMs,
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    socket.on("error", () => {});
    connections.route(socket, socket.alpnProtocol === "h2" ? "h2" : undefined);
  });
  server.on("tlsClientError", (err, socket) => {
    log.debug({ err }, "TLS handshake failed");
    // Node leaves the connection open after a handshake time-out.
    socket.destroy();
  });
  return server;
}

function bind(server: Server, { host, port }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function drain(server: Server, connections: Connections, graceMs: number, log: Log): Promise<number> {
  let cutOff = 0;
  const grace = setTimeout(() => {
    cutOff = connections.size;
    log.warn({ connections: cutOff }, "grace period over, cutting connections");
    connections.destroyAll();
  }, graceMs);
  connections.windDown();
  const { ended } = await stopAccepting(server, backlog);
  await Promise.all([ended, connections.drain()]);
  clearTimeout(grace);
  return cutOff;
}

/** What every HTTP/2 client sends first (RFC 9113 §3.4). */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/**
 * Tells the protocol of a connection by its first bytes, without losing any.
 *
 * Bytes are gathered until they differ from the HTTP/2 preface or complete it,
 * then put back, and `found` gets a paused socket. A peer that sends nothing,
 * or stops within the preface, is cut after `timeoutMs`; `found` is not called
 * then, nor when the connection ends first.
 */
function detectProtocol(socket: Socket, timeoutMs: number, found: (protocol: Protocol) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const drop = () => socket.destroy();
  const timer = setTimeout(drop, timeoutMs);
  const stop = () => {
    clearTimeout(timer);
    socket.off("data", onData).off("end", drop).off("close", stop);
  };
  const onData = (chunk: Buffer) => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const protocol = protocolOf(seen);
    if (protocol === undefined) return;
    stop();
    socket.pause();
    socket.unshift(seen);
    found(protocol);
  };
  socket.on("data", onData).on("end", drop).on("close", stop);
}

/** The protocol that the bytes begin, or undefined while they could still be either. */
function protocolOf(bytes: Buffer): Protocol | undefined {
  const length = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, length, 0, length) !== 0) return "http/1.1";
  return length === preface.length ? "h2" : undefined;
}

function peerOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function formatAddress({ host, port }: ListenOptions): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

const bindErrors: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "permission denied",
  ENOTFOUND: "unknown host name",
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return bindErrors[(error as NodeJS.ErrnoException).code ?? ""] ?? error.message;
}
