/**
 * The refusals of a request for what stands in it: every INVALID_REQUEST with
 * words of its own is made here, so that clients find them alike.
 */
import { DomainError, type FieldViolation } from "./errors.ts";

/** Most violations that one refusal names; a hostile request could be wrong in a hundred thousand places. */
export const violationLimit = 50;

/** INVALID_REQUEST of a request that is wrong as a whole. @param message safe to show */
export function invalidRequest(message: string): DomainError {
  return new DomainError("INVALID_REQUEST", { message });
}

/**
 * INVALID_REQUEST for a rule that one field breaks.
 *
 * @param field path as written in the schema, e.g. `body.title`.
 * @param description what was expected; never repeats the value.
 */
export function invalidField(field: string, description: string): DomainError {
  return invalidFields([{ field, description }]);
}

/**
 * INVALID_REQUEST for rules that several fields break, the first fifty of them.
 *
 * @param toMessage words of the refusal, which are about its first field.
 */
export function invalidFields(violations: readonly FieldViolation[], toMessage = toRuleMessage): DomainError {
  const [first] = violations;
  return new DomainError("INVALID_REQUEST", {
    violations: violations.slice(0, violationLimit),
    ...(first !== undefined && { message: toMessage(first) }),
  });
}

function toRuleMessage({ field, description }: FieldViolation): string {
  return field === "" ? description : `${field}: ${description}`;
}

/** INVALID_REQUEST for JSON whose values are not of their types, in the words that REST documents. */
export function invalidValues(violations: readonly FieldViolation[]): DomainError {
  return invalidFields(violations, ({ field, description }) => `Value for ${field} ${description}`);
}
