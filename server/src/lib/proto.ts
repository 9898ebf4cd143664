import type { JsonObject } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";

/** An optional instant as an optional field: absent stays absent. */
export function toOptionalTimestamp(instant: Date | undefined): Timestamp | undefined {
  return instant && timestampFromDate(instant);
}

/** An optional field as an optional instant. */
export function fromOptionalTimestamp(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp && timestampDate(timestamp);
}

/** A stored free-form object as a Struct field; an empty one is left unset. */
export function toOptionalStruct(value: Readonly<Record<string, unknown>>): JsonObject | undefined {
  return Object.keys(value).length === 0 ? undefined : (value as JsonObject);
}
