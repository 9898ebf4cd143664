import { setImmediate } from "node:timers/promises";
import { create, type DescMessage, type DescService, type MessageShape } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { DomainError, type FieldViolation } from "../../lib/errors.ts";
import { findOverlong } from "./list-bounds.ts";
import { findMalformed } from "./well-formed.ts";

/** Holds request messages against the rules in the schema. */
export interface RequestValidator {
  readonly interceptor: Interceptor;
  /**
   * Compiles the rules of every request of the services, which the first
   * validation of a type would do otherwise. A type at a time: what else there
   * is to do goes on in between.
   */
  warm(services: readonly DescService[]): Promise<void>;
}

/**
 * Checks each request message, those of a stream too, before its handler sees it.
 *
 * Refusals are INVALID_REQUEST with a violation per rule, fifty at most; the
 * message names the first. A rule that carries a text of its own is quoted with nothing
 * before it.
 */
export function createRequestValidator(): RequestValidator {
  const validator = createValidator();

  function check<Desc extends DescMessage>(type: Desc, message: MessageShape<Desc>): void {
    refuseAny(findOverlong(type, message));
    const result = validator.validate(type, message);
    if (result.kind === "error") {
      throw result.error;
    }
    if (result.kind === "invalid") {
      throw toRefusal(result.violations);
    }
    refuseAny(findMalformed(type, message));
  }

  async function* checkEach<Desc extends DescMessage>(
    type: Desc,
    messages: AsyncIterable<MessageShape<Desc>>,
  ) {
    for await (const message of messages) {
      check(type, message);
      yield message;
    }
  }

  return {
    interceptor: (next) => async (request) => {
      if (request.stream) {
        return next({ ...request, message: checkEach(request.method.input, request.message) });
      }
      check(request.method.input, request.message);
      return next(request);
    },
    warm: async (services) => {
      for (const { input } of services.flatMap((service) => service.methods)) {
        validator.validate(input, create(input));
        await setImmediate();
      }
    },
  };
}

/** Most violations that one refusal names. */
const violationLimit = 50;

function refuseAny(violations: readonly FieldViolation[]): void {
  const [first] = violations;
  if (first === undefined) return;
  throw new DomainError("INVALID_REQUEST", {
    message: `${first.field}: ${first.description}`,
    violations: violations.slice(0, violationLimit),
  });
}

function toRefusal(violations: readonly Violation[]): DomainError {
  const fields = violations.slice(0, violationLimit).map(toFieldViolation);
  const [first] = violations;
  const message = first === undefined ? undefined : toMessage(first);
  return new DomainError("INVALID_REQUEST", {
    violations: fields,
    ...(message !== undefined && { message }),
  });
}

function toFieldViolation(violation: Violation): FieldViolation {
  return { field: pathToString(violation.field), description: toDescription(violation) };
}

/** The library's words for a list name the empty text, which stands for absence, and a length of one is no length. */
function toDescription({ message }: Violation): string {
  const list = /^must be in list \[(.*)\]$/.exec(message)?.[1];
  if (list !== undefined) return `must be one of ${list.split(", ").filter(Boolean).join(", ")}`;
  return message === "must be at least 1 characters" ? "must not be empty" : message;
}

function toMessage(violation: Violation): string {
  const field = pathToString(violation.field);
  return field === "" || isCustom(violation) ? violation.message : `${field}: ${toDescription(violation)}`;
}

/** Whether the schema states the rule in its own words (`cel`), and with them its text. */
function isCustom({ rule }: Violation): boolean {
  const [first] = rule;
  return first !== undefined && "name" in first && first.name.startsWith("cel");
}
