import { describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "./json.ts";
import { checkMetadata, metadataBytes, metadataLevels } from "./metadata.ts";

/** An object of `levels` levels, itself included, objects and lists by turns. */
function nested(levels: number): JsonObject {
  let value: JsonValue = 1;
  for (let level = levels; level > 1; level--) value = level % 2 === 0 ? [value] : { a: value };
  return { a: value };
}

describe("metadata", () => {
  it("may be as deep as the limit and no deeper", () => {
    expect(() => checkMetadata("body.metadata", nested(metadataLevels))).not.toThrow();
    expect(() => checkMetadata("body.metadata", nested(metadataLevels + 1))).toThrow(
      "body.metadata: must be at most 20 levels deep",
    );
  });

  it("may be as large as the limit and no larger", () => {
    const sized = (bytes: number) => ({ a: "x".repeat(bytes - '{"a":""}'.length) });
    expect(() => checkMetadata("m", sized(metadataBytes))).not.toThrow();
    expect(() => checkMetadata("m", sized(metadataBytes + 1))).toThrow("m: must be at most 16384 bytes");
    expect(() => checkMetadata("m", { a: "é".repeat(metadataBytes / 2) })).toThrow("bytes");
  });
});
