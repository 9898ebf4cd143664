/**
 * What the RPC library itself refuses, said in our words.
 *
 * The library's texts may repeat what was sent, and name its options. So none
 * of them leaves: each becomes a refusal with a fixed text.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { DomainError } from "../../lib/errors.ts";
import { invalidRequest } from "../../lib/invalid-request.ts";

/** The answer to a call that took longer than it may. */
export function deadlineExceeded(): ConnectError {
  return new ConnectError("deadline exceeded", Code.DeadlineExceeded);
}

/** What the log says of a call whose caller went away. */
export function canceled(): ConnectError {
  return new ConnectError("canceled", Code.Canceled);
}

/**
 * Says again what the library refused.
 *
 * @param bodyBytes the limit that an oversize message went over
 */
export function explainLibraryError(error: ConnectError, bodyBytes: number): DomainError | ConnectError {
  switch (error.code) {
    case Code.DeadlineExceeded:
      return deadlineExceeded();
    case Code.Canceled:
    case Code.Aborted:
      return canceled();
    case Code.ResourceExhausted:
      return new DomainError("REQUEST_TOO_LARGE", { message: `request is larger than ${bodyBytes} bytes` });
    case Code.Unimplemented:
      return explainUnimplemented(error);
    case Code.InvalidArgument:
      return explainInvalid(error);
    default:
      return explainInternal(error);
  }
}

/** The library counts some bad requests among its own failures. */
function explainInternal(error: ConnectError): DomainError | ConnectError {
  // Both protocols count this one among them (https://github.com/grpc/grpc/blob/master/doc/compression.md).
  if (error.rawMessage.startsWith("received compressed envelope, ")) {
    return new ConnectError("a message is compressed and no header says how", Code.Internal);
  }
  const message = internalTexts.find(([start]) => error.rawMessage.startsWith(start))?.[1];
  return message === undefined ? new DomainError("INTERNAL", { cause: error }) : invalidRequest(message);
}

const internalTexts = [
  ["parse binary: ", "request body is not a valid Protobuf message"],
  // Of a body that ends too early; of one that is none at all it says so itself.
  ["decompression failed", "request body cannot be read"],
] as const;

function explainUnimplemented(error: ConnectError): DomainError {
  if (error.rawMessage.startsWith("unknown compression ")) {
    return new DomainError("NOT_IMPLEMENTED", {
      message: "unknown compression: supported are gzip and identity",
    });
  }
  if (error.rawMessage.startsWith("protocol error: ")) {
    return new DomainError("NOT_IMPLEMENTED", { message: "exactly one request message is expected" });
  }
  return new DomainError("NOT_IMPLEMENTED");
}

function explainInvalid(error: ConnectError): DomainError {
  // What reads JSON for the library (`request-json.ts`) says itself what it refuses.
  if (error.cause instanceof DomainError) return error.cause;
  const message = fixedTexts.find(([start]) => error.rawMessage.startsWith(start))?.[1];
  return invalidRequest(message ?? "request body cannot be read");
}

/** How texts of the library begin, and what is said in their place. */
const fixedTexts = [
  ["protocol error: invalid connect timeout", "timeout header is not valid"],
  ["protocol error: invalid grpc timeout", "timeout header is not valid"],
  ["protocol error: promised ", "request body does not have the length it was announced with"],
  ["protocol error: incomplete envelope", "request body ends within a message"],
] as const;
