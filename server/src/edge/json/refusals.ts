/** The refusals that only REST has words for: values of its paths, parameters and bodies. */
import { DomainError, type FieldViolation } from "../../lib/errors.ts";

/** Most values that one refusal names; a hostile body could be wrong in a hundred thousand places. */
export const violationLimit = 50;

/** Longest name of a property that is repeated to its sender, in characters. */
const nameLength = 200;

/** What is wrong with one property, by its path as the client wrote it; the empty path is the body itself. */
export function toViolation(path: string, description: string): FieldViolation {
  const name = path === "" ? "body" : path;
  return {
    field: name.length > nameLength ? `${name.slice(0, nameLength).toWellFormed()}…` : name.toWellFormed(),
    description,
  };
}

/** INVALID_REQUEST for one property or several; its message names the first. */
export function invalidValues(violations: readonly FieldViolation[]): DomainError {
  const [first] = violations;
  return new DomainError("INVALID_REQUEST", {
    violations: violations.slice(0, violationLimit),
    ...(first !== undefined && { message: `Value for ${first.field} ${first.description}` }),
  });
}

/** Path of a property in an object; the object's own for a property without a name. */
export function joinPath(path: string, key: string): string {
  return path === "" || key === "" ? path + key : `${path}.${key}`;
}
