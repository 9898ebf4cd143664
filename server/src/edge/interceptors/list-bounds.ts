/**
 * Lists that are longer than the schema lets them be.
 *
 * The rules of a list are held against each of its items, too many or not: a
 * body of a mebibyte can hold some hundred thousand, and a refusal that named
 * all of them would take seconds and gigabytes. So lengths are looked at first,
 * and alone.
 */
import { type DescField, type DescMessage, getOption, hasOption, type Message } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { FieldViolation } from "../../lib/errors.ts";

/** Finds the lists of a message that have more items than their rule allows. */
export function findOverlong(type: DescMessage, message: Message): FieldViolation[] {
  const found: FieldViolation[] = [];
  check(type, message as Fields, "", found);
  return found;
}

/** How many items a list may have; undefined where no rule says. */
export function findBound(field: DescField): number | undefined {
  if (!hasOption(field, fieldRules)) return undefined;
  const { type } = getOption(field, fieldRules);
  if (type.case !== "repeated" || type.value.maxItems === 0n) return undefined;
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

function check(type: DescMessage, message: Fields, path: string, found: FieldViolation[]): void {
  const { lists, inner } = getPlaces(type);
  for (const { field, bound } of lists) {
    if ((message[field.localName] as readonly unknown[]).length > bound) {
      found.push({ field: path + field.name, description: `must contain no more than ${bound} item(s)` });
    }
  }
  for (const { field, type } of inner) {
    const value = message[field.localName];
    if (value !== undefined) check(type, value as Fields, `${path}${field.name}.`, found);
  }
}
