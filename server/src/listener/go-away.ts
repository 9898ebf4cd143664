import { constants, type Http2Session } from "node:http2";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** The largest stream identifier: all that may come still counts (RFC 9113 §6.8). */
const lastOfAll = 2 ** 31 - 1;

/** A whole GOAWAY frame (RFC 9113 §6.8): length, type, flags, stream 0; the last stream, NO_ERROR. */
const notice = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

/**
 * Winds an HTTP/2 connection down without losing a request: a first GOAWAY
 * takes no stream back, and once the peer has answered a ping it has read
 * that, and begins no more. Only then a second one names the last stream, and
 * the connection ends with what is open on it.
 *
 * After a GOAWAY of Node's own it ignores all new streams, also those that were
 * begun before it was read, so the first one is written past Node, which writes
 * whole frames. Under TLS that cannot be done: Node ends the process when two
 * write at once. Both are said in one go there, and who began a stream meanwhile
 * is told that it was never looked at and may be begun anew (RFC 9113 §8.7).
 */
export function goAway(session: Http2Session, socket: Socket): void {
  // Nothing may come before our settings (RFC 9113 §3.4), and these are known to be out once they are acknowledged.
  if (session.pendingSettingsAck) session.once("localSettings", () => giveNotice(session, socket));
  else giveNotice(session, socket);
}

function giveNotice(session: Http2Session, socket: Socket): void {
  if (session.closed || session.destroyed) return;
  if (socket instanceof TLSSocket) {
    session.goaway(constants.NGHTTP2_NO_ERROR, lastOfAll);
    session.close();
  } else {
    socket.write(notice);
    session.ping(() => session.close());
  }
}
