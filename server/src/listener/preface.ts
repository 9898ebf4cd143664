import type { Socket } from "node:net";

/** A protocol that the port speaks, by its ALPN name; without TLS, "h2" stands for prior knowledge. */
export type Protocol = "h2" | "http/1.1";

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
export function detectProtocol(socket: Socket, timeoutMs: number, found: (protocol: Protocol) => void): void {
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
