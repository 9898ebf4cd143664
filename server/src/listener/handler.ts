import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { constants, Http2ServerResponse } from "node:http2";
import type { Log } from "../lib/log.ts";

/** A request of either protocol. */
export type ListenerRequest = IncomingMessage | Http2ServerRequest;

/** An answer on either protocol. */
export type ListenerResponse = ServerResponse | Http2ServerResponse;

/**
 * What answers every request. A throw or a rejection becomes a 500 with a fixed
 * text. A client that waits to be told to go on with its body (RFC 9110
 * §10.1.1) waits for the handler to say so.
 */
export type RequestHandler = (request: ListenerRequest, response: ListenerResponse) => void | Promise<void>;

/**
 * Whether the target has a fragment, which stays with the client and is in no
 * form of target (RFC 9112 §3.2, RFC 9113 §8.3.1): where a path ends would be
 * read differently by everyone on the way.
 */
export function hasFragment({ url }: ListenerRequest): boolean {
  return url?.includes("#") ?? false;
}

const failureText = "internal server error\n";

/**
 * Makes a handler safe to hang on a server: whatever it throws, now or later,
 * is logged and answered, and a peer that goes away in the middle is no error
 * of the process.
 */
export function guardHandler(
  handler: RequestHandler,
  log: Log,
): (request: ListenerRequest, response: ListenerResponse) => void {
  const onPeerError = (err: Error) => log.debug({ err }, "connection failed during a request");
  const onFailure = (err: unknown, { method, url }: ListenerRequest, response: ListenerResponse) => {
    log.error({ err, method, path: pathOf(url) }, "request handler failed");
    answerFailure(response);
  };
  return (request, response) => {
    // One without a body is over when it comes, and has no error to tell.
    if (!request.destroyed) request.on("error", onPeerError);
    response.on("error", onPeerError);
    try {
      handler(request, response)?.catch((err) => onFailure(err, request, response));
    } catch (err) {
      onFailure(err, request, response);
    }
  };
}

/** Answers 500, or breaks off an answer that has begun, so that nobody takes it for whole. */
function answerFailure(response: ListenerResponse): void {
  if (response.writableEnded || response.destroyed) return;
  if (response.headersSent) {
    if (response instanceof Http2ServerResponse) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else response.destroy();
    return;
  }
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.statusCode = 500;
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.setHeader("Content-Length", Buffer.byteLength(failureText));
  response.end(failureText);
}

/** Drops the query, which may carry a code or a state. */
function pathOf(url: string | undefined): string {
  return url?.split("?", 1)[0] ?? "";
}
