import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { fromOptionalTimestamp, toOptionalTimestamp } from "./proto.ts";

it.each([
  [0n, 0, "1970-01-01T00:00:00.000Z"],
  [0n, 1_999_999, "1970-01-01T00:00:00.001Z"],
  [-1n, 999_999_999, "1969-12-31T23:59:59.999Z"],
  [253_402_300_799n, 999_999_999, "9999-12-31T23:59:59.999Z"],
  [-62_135_596_800n, 1, "0001-01-01T00:00:00.000Z"],
])("an instant of %s s and %i ns is the millisecond it lies in", (seconds, nanos, expected) => {
  expect(fromOptionalTimestamp(create(TimestampSchema, { seconds, nanos }))?.toISOString()).toBe(expected);
});

it("what is absent stays absent", () => {
  expect(fromOptionalTimestamp(undefined)).toBeUndefined();
  expect(toOptionalTimestamp(undefined)).toBeUndefined();
});
