import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

/**
 * Calls a lost connection what it is: `unavailable`. The transport answers
 * `aborted` when a connection is reset, and over HTTP/2 `canceled`, although
 * nobody canceled anything.
 */
export const translateLostConnection: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    if (!(error instanceof ConnectError) || request.signal.aborted || !isLostConnection(error)) throw error;
    throw new ConnectError("the connection was lost", Code.Unavailable, error.metadata, undefined, error);
  }
};

const lostCodes = new Set(["ECONNRESET", "EPIPE", "ERR_STREAM_DESTROYED", "ERR_HTTP2_INVALID_SESSION"]);

/** A refusal that the server sent has neither a system error as its cause nor the transport's own text. */
function isLostConnection({ code, rawMessage, cause }: ConnectError): boolean {
  if (code === Code.Canceled) return rawMessage.startsWith("http/2 stream closed with error code CANCEL");
  return cause instanceof Error && "code" in cause && lostCodes.has(String(cause.code));
}
