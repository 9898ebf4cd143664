/**
 * The outermost layer of every call: whatever goes wrong below becomes one
 * documented refusal, and the call's outcome is noted for log and metrics.
 *
 * The library raises some errors outside of all interceptors: a body that
 * cannot be parsed, is too large, or is compressed in an unknown way. The gate
 * catches these where the library hands the error to the call's context, just
 * before it writes the answer, and rewrites it in place.
 */
import { base64Decode } from "@bufbuild/protobuf/wire";
import {
  ConnectError,
  type HandlerContext,
  type Interceptor,
  type StreamResponse,
  type UnaryResponse,
} from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { DomainError } from "../../lib/errors.ts";
import { invalidRequest } from "../../lib/invalid-request.ts";
import type { Log } from "../../lib/log.ts";
import { type RequestInfo, requestInfoKey } from "../../lib/request.ts";
import { untilAborted } from "../../lib/until-aborted.ts";
import { toConnectError, toDomainError } from "./errors.ts";
import { plainGrpcMessage } from "./grpc-message.ts";
import type { Guests } from "./guests.ts";
import { canceled, explainLibraryError } from "./library-errors.ts";

/** The hooks that together see every error of a call. */
export interface Translator {
  readonly interceptor: Interceptor;
  /** For the router's `requestGate`. */
  readonly gate: (context: HandlerContext) => void;
  /**
   * Outside of RPC: what an error is in our words, noted and reported as a
   * call's is. A ConnectError says that the call was cut short: canceled, or
   * out of time.
   */
  readonly refuse: (error: unknown, info: RequestInfo, procedure: string) => DomainError | ConnectError;
}

/** What translating takes. */
export interface TranslatorOptions {
  readonly log: Log;
  /** Limit of a message, for the text that says so. */
  readonly bodyBytes: number;
  readonly guests?: Guests | undefined;
}

/** Makes the hooks of calls that share a limit. */
export function createTranslator(options: TranslatorOptions): Translator {
  /** Errors that are ready to be sent. */
  const translated = new WeakSet<ConnectError>();

  function translate(error: unknown, info: RequestInfo, procedure: string): ConnectError {
    if (error instanceof ConnectError && translated.has(error)) {
      return error;
    }
    const refusal = refuseGuests(error, info, procedure);
    const answer = refusal instanceof DomainError ? toConnectError(refusal) : refusal;
    if (error instanceof ConnectError) keepAccepted(error.metadata, answer.metadata);
    translated.add(answer);
    return answer;
  }

  function refuse(error: unknown, info: RequestInfo, procedure: string): DomainError | ConnectError {
    const refusal = explain(error, options.bodyBytes);
    note(info, refusal);
    if (refusal instanceof DomainError) {
      report(options.log, refusal, info, procedure);
    }
    return refusal;
  }

  const refuseGuests: Translator["refuse"] = (error, info, procedure) => {
    const ours = () => refuse(error, info, procedure);
    return options.guests?.answer(error, ours) ?? ours();
  };

  return {
    refuse: refuseGuests,
    interceptor: (next) => async (request) => {
      const info = request.contextValues.get(requestInfoKey);
      const procedure = `${request.service.typeName}/${request.method.name}`;
      try {
        const response = await untilAborted<UnaryResponse | StreamResponse>(next(request), request.signal);
        if (response.stream) {
          const message = guard(response.message, request.signal, info, (error) =>
            translate(error, info, procedure),
          );
          return { ...response, message };
        }
        info.outcome.code = "ok";
        return response;
      } catch (error) {
        throw translate(error, info, procedure);
      }
    },
    gate: (context) => {
      plainGrpcMessage(context.responseTrailer);
      const info = context.values.get(requestInfoKey);
      const procedure = `${context.service.typeName}/${context.method.name}`;
      onFailure(context, (error) => {
        // The library has them in its error, and does not send them.
        keepAccepted(error.metadata, context.responseHeader);
        const answer = translate(error, info, procedure);
        if (answer !== error) {
          rewrite(error, answer);
          translated.add(error);
        }
      });
      if (context.requestMethod === "GET" && !hasReadableMessage(context.url)) {
        const message = "the parameter message is not valid base64url";
        throw translate(invalidRequest(message), info, procedure);
      }
    },
  };
}

function explain(error: unknown, bodyBytes: number): DomainError | ConnectError {
  return error instanceof ConnectError ? explainLibraryError(error, bodyBytes) : toDomainError(error);
}

function note(info: RequestInfo, refusal: DomainError | ConnectError): void {
  info.outcome.code = refusal instanceof DomainError ? refusal.kind : codeToString(refusal.code);
  if (refusal instanceof DomainError) {
    info.outcome.reason = refusal.reason;
    if (refusal.detail !== undefined) {
      info.outcome.detail = refusal.detail;
    }
  }
}

/** Failures of ours are logged with their cause; refusals only in the access log. */
function report(log: Log, refusal: DomainError, info: RequestInfo, procedure: string): void {
  if (refusal.kind === "internal") {
    log.error({ requestId: info.requestId, procedure, err: refusal.cause ?? refusal }, "call failed");
  } else if (refusal.kind === "unavailable" && refusal.cause !== undefined) {
    log.warn({ requestId: info.requestId, procedure, err: refusal.cause }, "call failed for now");
  }
}

/** Passes messages on until the call is cut short, and translates what the stream throws. */
async function* guard<T>(
  messages: AsyncIterable<T>,
  signal: AbortSignal,
  info: RequestInfo,
  translate: (error: unknown) => ConnectError,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let finished = false;
  try {
    for (;;) {
      const result = await untilAborted(iterator.next(), signal);
      if (result.done === true) {
        finished = true;
        info.outcome.code = "ok";
        return;
      }
      try {
        yield result.value;
      } catch (error) {
        // Thrown in by whoever takes the messages. The library's own errors say what failed; any other is
        // Node's, that the answer cannot be written any more.
        throw error instanceof ConnectError ? error : canceled();
      }
    }
  } catch (error) {
    throw translate(error);
  } finally {
    if (!finished) {
      // Not awaited: a handler that waits for something else answers when that comes.
      iterator.return?.().then(undefined, () => {});
    }
  }
}

/** Whether the message of a GET can be decoded; if not, the library would call it a failure of its own. */
function hasReadableMessage(url: string): boolean {
  const { searchParams } = new URL(url);
  if (searchParams.get("base64") !== "1") return true;
  try {
    base64Decode(searchParams.get("message") ?? "");
    return true;
  } catch {
    return false;
  }
}

/** Calls `listener` with the error a call ends with, before the library encodes it. */
function onFailure(context: HandlerContext, listener: (error: ConnectError) => void): void {
  const controller = context as HandlerContext & { abort(reason?: unknown): void };
  const abort = controller.abort;
  controller.abort = (reason) => {
    if (reason instanceof ConnectError) {
      listener(reason);
    }
    abort(reason);
  };
}

/**
 * Keeps the compressions that are known, with which a request in any other is answered
 * (https://github.com/grpc/grpc/blob/master/doc/compression.md, RFC 9110 §12.5.3).
 */
function keepAccepted(from: Headers, to: Headers): void {
  for (const [name, value] of from) {
    if (name.endsWith("accept-encoding")) to.set(name, value);
  }
}

/** Makes one error say what another says: the library encodes the object it already holds. */
function rewrite(target: ConnectError, source: ConnectError): void {
  const { message, rawMessage, code, metadata, details } = source;
  Object.assign(target, { message, rawMessage, code, metadata, details, cause: undefined });
}
