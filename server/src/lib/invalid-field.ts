import { DomainError } from "./errors.ts";

/**
 * INVALID_REQUEST for a rule that the schema cannot say.
 *
 * @param field path as written in the schema, e.g. `body.title`.
 * @param description what was expected; never repeats the value.
 */
export function invalidField(field: string, description: string): DomainError {
  return new DomainError("INVALID_REQUEST", {
    message: `${field}: ${description}`,
    violations: [{ field, description }],
  });
}
