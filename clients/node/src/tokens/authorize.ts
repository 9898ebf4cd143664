import { getOption } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
} from "@connectrpc/connect";
import { CredentialPolicy, credential_policy } from "@vestibule/proto/vestibule/v1/options_pb";
import type { TokenSource } from "../../../shared/src/token-source.ts";

/**
 * Sends an access token with every call that needs one and has no credential
 * of its own.
 *
 * A unary call that is answered `unauthenticated` is repeated once with a new
 * token: the server judges credentials before it does anything. A stream is
 * not, but the next one gets a new token.
 */
export function createAuthorizeInterceptor(tokens: TokenSource): Interceptor {
  return (next) => async (request) => {
    if (!needsToken(request)) return await next(request);
    const token = await tokens.get(request.signal);
    try {
      const response = await next(withToken(request, token));
      return response.stream ? watchForRefusal(response, () => tokens.reject(token)) : response;
    } catch (error) {
      if (!isUnauthenticated(error) || !tokens.reject(token) || request.stream) throw error;
      const renewed = await tokens.get(request.signal);
      if (renewed === token) throw error;
      return await next(withToken(request, renewed));
    }
  };
}

type AnyRequest = UnaryRequest | StreamRequest;

function needsToken({ method, header }: AnyRequest): boolean {
  if (header.has("authorization") || header.has("x-user-token")) return false;
  const policy = getOption(method, credential_policy);
  return policy !== CredentialPolicy.OPEN && policy !== CredentialPolicy.GRANT;
}

/** A copy: interceptors further out, a logging one perhaps, keep a request without the token. */
function withToken<R extends AnyRequest>(request: R, token: string): R {
  const header = new Headers(request.header);
  header.set("authorization", `Bearer ${token}`);
  return { ...request, header };
}

function isUnauthenticated(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unauthenticated;
}

function watchForRefusal(response: StreamResponse, onRefusal: () => void): StreamResponse {
  async function* watched(messages: StreamResponse["message"]): StreamResponse["message"] {
    try {
      yield* messages;
    } catch (error) {
      if (isUnauthenticated(error)) onRefusal();
      throw error;
    }
  }
  return { ...response, message: watched(response.message) };
}
