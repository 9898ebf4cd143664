import { setImmediate } from "node:timers/promises";
import {
  create,
  type DescField,
  type DescMessage,
  type DescService,
  getOption,
  hasOption,
  isFieldSet,
  type Message,
  type MessageShape,
} from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import {
  field as fieldRules,
  RepeatedRulesSchema,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { Interceptor } from "@connectrpc/connect";
import type { DomainError, FieldViolation } from "../../lib/errors.ts";
import { invalidFields, violationLimit } from "../../lib/invalid-request.ts";
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
    interceptor: (next) => (request) => {
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

function refuseAny(violations: readonly FieldViolation[]): void {
  if (violations.length > 0) throw invalidFields(violations);
}

function toRefusal(violations: readonly Violation[]): DomainError {
  const [first] = violations;
  const fields = violations.slice(0, violationLimit).map(toFieldViolation);
  return first !== undefined && isCustom(first)
    ? invalidFields(fields, () => first.message)
    : invalidFields(fields);
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

/** Whether the schema states the rule in its own words (`cel`), and with them its text. */
function isCustom({ rule }: Violation): boolean {
  const [first] = rule;
  return first !== undefined && "name" in first && first.name.startsWith("cel");
}

/**
 * Finds the lists of a message that have more items than their rule allows.
 *
 * The rules of a list are held against each of its items, too many or not: a
 * body of a mebibyte can hold some hundred thousand, and a refusal that named
 * all of them would take seconds and gigabytes. So lengths are looked at first,
 * and alone.
 */
export function findOverlong(type: DescMessage, message: Message): FieldViolation[] {
  const found: FieldViolation[] = [];
  checkLengths(type, message as Fields, "", found);
  return found;
}

/** How many items a list may have; undefined where no rule says. */
export function findBound(field: DescField): number | undefined {
  if (!hasOption(field, fieldRules)) return undefined;
  const { type } = getOption(field, fieldRules);
  // A bound of none is one too.
  if (type.case !== "repeated" || !isFieldSet(type.value, RepeatedRulesSchema.field.maxItems)) {
    return undefined;
  }
  return Number(type.value.maxItems);
}

/** A message as an object with a property for each field or oneof. */
type Fields = Readonly<Record<string, unknown>>;

/** Where lists can be, in a message of one type. */
interface Places {
  readonly lists: readonly { readonly field: DescField; readonly bound: number }[];
  /** Fields with one message that has places of its own. */
  readonly inner: readonly { readonly field: DescField; readonly type: DescMessage }[];
}

const placesByType = new WeakMap<DescMessage, Places>();

function getPlaces(type: DescMessage): Places {
  let places = placesByType.get(type);
  if (places === undefined) {
    places = {
      lists: type.fields.flatMap((field) => {
        const bound = field.fieldKind === "list" ? findBound(field) : undefined;
        return bound === undefined ? [] : [{ field, bound }];
      }),
      inner: type.fields.flatMap((field) =>
        field.fieldKind === "message" && !hasCustomJsonRepresentation(field.message)
          ? [{ field, type: field.message }]
          : [],
      ),
    };
    placesByType.set(type, places);
  }
  return places;
}

function checkLengths(type: DescMessage, message: Fields, path: string, found: FieldViolation[]): void {
  const { lists, inner } = getPlaces(type);
  for (const { field, bound } of lists) {
    if ((message[field.localName] as readonly unknown[]).length > bound) {
      found.push({ field: path + field.name, description: `must contain no more than ${bound} item(s)` });
    }
  }
  for (const { field, type } of inner) {
    const value = message[field.localName];
    if (value !== undefined) checkLengths(type, value as Fields, `${path}${field.name}.`, found);
  }
}
