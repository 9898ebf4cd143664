import type { JsonObject } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";

/** An optional instant as an optional field: absent stays absent. */
export function toOptionalTimestamp(instant: Date | undefined): Timestamp | undefined {
  return instant && timestampFromDate(instant);
}

/**
 * An optional field as an optional instant, to the millisecond and never later:
 * rounded up, the last instant of the year 9999 would be one that no answer can hold.
 */
export function fromOptionalTimestamp(timestamp: Timestamp | undefined): Date | undefined {
  if (timestamp === undefined) return undefined;
  return new Date(Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1_000_000));
}

/** A stored free-form object as a Struct field; an empty one is left unset. */
export function toOptionalStruct(value: Readonly<Record<string, unknown>>): JsonObject | undefined {
  return Object.keys(value).length === 0 ? undefined : toStruct(value);
}

/** JSON that is only read, as a Struct field takes it. */
export function toStruct(value: Readonly<Record<string, unknown>>): JsonObject {
  return value as JsonObject;
}
