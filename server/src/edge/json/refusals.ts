/** What refusals of values call them: those of REST's paths and parameters, and of JSON. */
import type { FieldViolation } from "../../lib/errors.ts";

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

/** Path of a property in an object; the object's own for a property without a name. */
export function joinPath(path: string, key: string): string {
  return path === "" || key === "" ? path + key : `${path}.${key}`;
}
