/**
 * What the RPC library itself refuses, said in our words.
 *
 * The library's texts repeat what was sent (a JSON syntax error quotes the
 * body, and with it a secret) and name its options. So none of them leaves:
 * each becomes a refusal with a fixed text and, where the library knows it,
 * the field.
 */
import { isFieldError } from "@bufbuild/protobuf/reflect";
import { Code, ConnectError } from "@connectrpc/connect";
import { DomainError } from "../lib/errors.ts";

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
      return error.rawMessage.startsWith("parse binary: ")
        ? new DomainError("INVALID_REQUEST", { message: "request body is not a valid Protobuf message" })
        : new DomainError("INTERNAL", { cause: error });
  }
}

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
  const field = findField(error.cause);
  if (field !== undefined) {
    return new DomainError("INVALID_REQUEST", {
      message: `${field}: has the wrong type or is not valid for this field`,
      violations: [{ field, description: "has the wrong type or is not valid for this field" }],
    });
  }
  const type = findWellKnownType(error.cause);
  if (type !== undefined) {
    return new DomainError("INVALID_REQUEST", {
      message: `request body holds a value that is not a valid ${type}`,
    });
  }
  const message = fixedTexts.find(([start]) => error.rawMessage.startsWith(start))?.[1];
  return new DomainError("INVALID_REQUEST", { message: message ?? "request body cannot be read" });
}

/** How texts of the library begin, and what is said in their place. */
const fixedTexts = [
  ["cannot decode ", "request body is not valid JSON for this method"],
  ["duplicate", "request body is not valid JSON for this method"],
  ["protocol error: invalid connect timeout", "timeout header is not valid"],
  ["protocol error: invalid grpc timeout", "timeout header is not valid"],
  ["protocol error: promised ", "request body does not have the length it was announced with"],
  ["protocol error: incomplete envelope", "request body ends within a message"],
] as const;

/** The field that JSON of the wrong type was sent for, by its name in the schema. */
function findField(cause: unknown): string | undefined {
  for (let at = cause; at instanceof Error; at = at.cause) {
    if (isFieldError(at)) {
      return at.field().name;
    }
  }
  return undefined;
}

/** The well-known type that JSON was not right for: a name out of a schema, never of what was sent. */
function findWellKnownType(cause: unknown): string | undefined {
  const text = cause instanceof Error ? cause.message : "";
  return /^cannot decode message (google\.protobuf\.\w+) from JSON/.exec(text)?.[1];
}
