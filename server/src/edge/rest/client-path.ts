/**
 * Paths of fields as the client wrote them. Below REST, refusals name fields
 * as the schema does and from the request message down; the client knows
 * JSON's names, and a body that is one field of that message.
 */
import type { DescMessage } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import { DomainError } from "../../lib/errors.ts";
import type { Binding } from "./binding.ts";

/** Renames the fields that a refusal names to the paths that the client wrote. */
export function withClientPaths(error: unknown, binding: Binding): unknown {
  if (!(error instanceof DomainError) || error.violations.length === 0) return error;
  const { reason, cause, retryAfterSeconds, detail } = error;
  const violations = error.violations.map(({ field, description }) => ({
    field: toClientPath(binding, field),
    description,
  }));
  const from = `${error.violations[0]?.field}: `;
  const message = error.message.startsWith(from)
    ? `${violations[0]?.field}: ${error.message.slice(from.length)}`
    : error.message;
  return new DomainError(reason, {
    message,
    violations,
    ...(cause !== undefined && { cause }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    ...(detail !== undefined && { detail }),
  });
}

/** The client's path of a field, in the names of the binding's style; the body itself is `body`. */
export function toClientPath({ method, body, style }: Binding, schemaPath: string): string {
  const path = style === "frontier" ? schemaPath : toJsonNames(method.input, schemaPath);
  if (body === "message" || body === "none") return path;
  const name = style === "frontier" ? body.name : body.jsonName;
  if (path === name) return "body";
  if (path.startsWith(`${name}.`)) return path.slice(name.length + 1);
  return path.startsWith(`${name}[`) ? path.slice(name.length) : path;
}

/** Spells a path's fields as JSON does, as far as the schema knows them. */
function toJsonNames(type: DescMessage, path: string): string {
  const [, name, index = "", rest] = /^(\w+)(\[[^\]]*\])?(?:\.(.*))?$/s.exec(path) ?? [];
  const field = type.fields.find((each) => each.name === name);
  if (field === undefined) return path;
  const { message } = field;
  const isOpen = message !== undefined && !hasCustomJsonRepresentation(message);
  const below = rest === undefined ? "" : `.${isOpen ? toJsonNames(message, rest) : rest}`;
  return field.jsonName + index + below;
}
