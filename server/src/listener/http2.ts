import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { Log } from "../lib/log.ts";
import { goAway } from "./go-away.ts";
import { guardHandler, hasFragment, type RequestHandler } from "./handler.ts";
import { HeaderWatch } from "./header-watch.ts";
import type { ProtocolServer } from "./http1.ts";
import { checkIntervalMs, type ListenerLimits } from "./limits.ts";
import type { OnRefused } from "./refusal.ts";

/** What is known of an open connection. */
interface Connection {
  readonly socket: Socket;
  readonly watch: HeaderWatch;
}

/**
 * HTTP/2 over connections handed to it, in clear text or under TLS.
 *
 * A header block beyond the limit has its stream reset (ENHANCE_YOUR_CALM), a
 * body that does not arrive in time likewise (CANCEL); floods of resets, bad
 * frames or refused streams end the connection, as does a peer that never
 * finishes its settings or a header block. A connection without streams is
 * closed when idle.
 */
export function createHttp2Server(
  handler: RequestHandler,
  limits: ListenerLimits,
  log: Log,
  onRefused: OnRefused,
): ProtocolServer {
  const sessions = new Map<ServerHttp2Session, Connection>();
  let isWindingDown = false;
  const headers = setInterval(() => {
    for (const { watch } of sessions.values()) watch.check();
  }, checkIntervalMs(limits));
  const guarded = guardHandler(handler, log);
  const take = (request: Http2ServerRequest, response: Http2ServerResponse) => {
    if (isUnboundHeader(request, limits)) {
      tell(request, 0, "HEADER_TOO_LARGE");
      request.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (hasFragment(request)) {
      refuse(request, response, 400, "FRAGMENT");
    } else {
      guarded(request, response);
    }
  };
  function refuse(
    request: Http2ServerRequest,
    response: Http2ServerResponse,
    status: number,
    fault: string,
  ): void {
    tell(request, status, fault);
    response.writeHead(status).end();
  }

  function tell(request: Http2ServerRequest, status: number, fault: string): void {
    onRefused({
      httpVersion: "2.0",
      status,
      fault,
      peer: request.stream.session?.socket.remoteAddress ?? "",
    });
  }

  function open(): Http2Server {
    const server = createServer(serverOptions(limits), take);
    // As on HTTP/1.1: whether a client is told to go on with its body is for the handler to say.
    server.on("checkContinue", take);
    // Node would answer these by itself, and nobody would know.
    for (const [event, status, fault] of [
      ["checkExpectation", 417, "UNKNOWN_EXPECTATION"],
      ["connect", 405, "METHOD_CONNECT"],
    ] as const) {
      server.on(event, (request: Http2ServerRequest, response: Http2ServerResponse) =>
        refuse(request, response, status, fault),
      );
    }
    server.on("sessionError", (err: Error) => log.debug({ err }, "HTTP/2 connection failed"));
    return server;
  }

  // Not before somebody speaks it: Node's HTTP/2, and its TLS with it, are a tenth of a start.
  let server: Http2Server | undefined;
  return {
    serve(socket) {
      server ??= open();
      server.once("session", (session) => {
        const watch = new HeaderWatch(session, limits.headerTimeoutMs);
        sessions.set(session, { socket, watch });
        socket.once("close", () => sessions.delete(session));
        superviseSession(session, socket, limits);
        // Who comes now is served once, as on HTTP/1.1.
        if (isWindingDown) session.once("stream", () => goAway(session, socket));
      });
      // Half-open has no meaning in HTTP/2: without this a peer's FIN would leave the connection behind.
      socket.allowHalfOpen = false;
      server.emit("connection", socket);
    },
    windDown() {
      isWindingDown = true;
      for (const [session, { socket }] of sessions) goAway(session, socket);
    },
    drain() {
      for (const session of sessions.keys()) session.close();
    },
    stop() {
      clearInterval(headers);
      sessions.clear();
    },
  };
}

function serverOptions(limits: ListenerLimits) {
  return {
    settings: {
      maxConcurrentStreams: limits.concurrentStreams,
      maxHeaderListSize: limits.headerBytes,
      enablePush: false,
    },
    // Bounded in bytes alone, as on HTTP/1.1: each header counts for more than this.
    maxHeaderListPairs: Math.ceil(limits.headerBytes / headerOverheadBytes),
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    // Rapid reset (CVE-2023-44487): all that may be open at once, then this many a second, then GOAWAY.
    streamResetBurst: limits.concurrentStreams,
    streamResetRate: 50,
  };
}

/** What a header counts for on top of its name and value (RFC 9113 §6.5.2). */
const headerOverheadBytes = 32;

/**
 * Whether a header is too large and Node has let it in, as it does until the
 * peer has acknowledged our settings: the first requests can come before.
 */
function isUnboundHeader({ stream, rawHeaders }: Http2ServerRequest, { headerBytes }: ListenerLimits) {
  if (!stream.session?.pendingSettingsAck) return false;
  const bytes = rawHeaders.reduce((sum, text) => sum + text.length, 0);
  return bytes + (rawHeaders.length / 2) * headerOverheadBytes > headerBytes;
}

/**
 * Holds one connection to the limits: settings both ways within the header
 * time, requests whole within the request time, closed when idle, and a peer
 * that no longer answers while streams are open is found by a ping. One that
 * answers pings and takes no answer has its streams reset.
 */
function superviseSession(session: ServerHttp2Session, socket: Socket, limits: ListenerLimits): void {
  /** What each open stream had to send when last looked at, in bytes. */
  const openStreams = new Map<ServerHttp2Stream, number>();
  let pingPending = false;

  const handshake = setTimeout(() => socket.destroy(), limits.headerTimeoutMs);
  let settingsLeft = 2;
  const onSettings = () => {
    settingsLeft -= 1;
    if (settingsLeft === 0) clearTimeout(handshake);
  };
  session.once("remoteSettings", onSettings).once("localSettings", onSettings);

  // Measured from the last stream, not the last frame: pings alone keep nothing open.
  const idle = setInterval(() => {
    if (openStreams.size > 0 && !session.destroyed) {
      if (pingPending) socket.destroy();
      else pingPending = session.ping(() => (pingPending = false));
    } else if (session.closed || session.destroyed) {
      // The peer was told and has not closed its side.
      socket.destroy();
    } else {
      session.close();
    }
  }, limits.idleTimeoutMs);

  // By no event of the connection's: a peer must not put it off by pings or further streams.
  const taking = setInterval(() => {
    for (const [stream, before] of openStreams) {
      const left = stream.bufferSize;
      if (left > 0 && left === before) stream.close(constants.NGHTTP2_CANCEL);
      else openStreams.set(stream, left);
    }
  }, limits.idleTimeoutMs);

  session.on("stream", (stream: ServerHttp2Stream) => {
    openStreams.set(stream, 0);
    idle.refresh();
    const late = stream.endAfterHeaders ? undefined : limitRequestTime(stream, limits.requestTimeoutMs);
    stream.once("close", () => {
      openStreams.delete(stream);
      idle.refresh();
      clearTimeout(late);
    });
  });
  socket.once("close", () => {
    clearTimeout(handshake);
    clearInterval(idle);
    clearInterval(taking);
  });
}

/** Resets a stream whose request is still incomplete and unanswered when the time is over. */
function limitRequestTime(stream: ServerHttp2Stream, timeoutMs: number): NodeJS.Timeout {
  return setTimeout(() => {
    const received = stream.state.remoteClose === 1;
    if (!received && !stream.headersSent) stream.close(constants.NGHTTP2_CANCEL);
  }, timeoutMs);
}
