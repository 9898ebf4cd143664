import { create } from "@bufbuild/protobuf";
import {
  CreateServiceUserCredentialRequestSchema,
  CreateServiceUserRequestSchema,
  ListServiceUsersResponseSchema,
} from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { describe, expect, it } from "vitest";
import { findMalformed } from "./well-formed.ts";

function fieldsOf(found: ReturnType<typeof findMalformed>): string[] {
  return found.map(({ field }) => field);
}

describe("a text", () => {
  it("must not contain NUL, at whatever depth", () => {
    const request = create(CreateServiceUserRequestSchema, { orgId: "a\0", body: { title: "\0", role: "" } });
    expect(findMalformed(CreateServiceUserRequestSchema, request)).toEqual([
      { field: "body.title", description: "must not contain the character NUL" },
      { field: "org_id", description: "must not contain the character NUL" },
    ]);
    const list = create(ListServiceUsersResponseSchema, { serviceusers: [{ title: "a" }, { title: "b\0" }] });
    expect(fieldsOf(findMalformed(ListServiceUsersResponseSchema, list))).toEqual(["serviceusers[1].title"]);
  });

  it("may contain everything else", () => {
    const request = create(CreateServiceUserRequestSchema, { orgId: "\u0001\n😀\uffff", body: {} });
    expect(findMalformed(CreateServiceUserRequestSchema, request)).toEqual([]);
  });
});

describe("an instant", () => {
  it.each([
    [-62135596800n, 0, true],
    [-62135596801n, 999_999_999, false],
    [253402300799n, 999_999_999, true],
    [253402300800n, 0, false],
    [0n, 1_000_000_000, false],
    [0n, -1, false],
    [2n ** 62n, 0, false],
    [-(2n ** 62n), 0, false],
  ])("of %s s and %i ns: %s", (seconds, nanos, good) => {
    const request = create(CreateServiceUserCredentialRequestSchema, { expiresAt: { seconds, nanos } });
    const expected = good ? [] : ["expires_at"];
    expect(fieldsOf(findMalformed(CreateServiceUserCredentialRequestSchema, request))).toEqual(expected);
  });
});

describe("a struct", () => {
  it.each([
    [{ n: 1.5, deep: [{ n: -0 }] }, true],
    [{ n: Number.NaN }, false],
    [{ deep: [{ n: Number.POSITIVE_INFINITY }] }, false],
    [{ "😀": ["😀\0"] }, true],
    [{ deep: [{ text: "\ud83d" }] }, false],
    [{ deep: [{ "\ude00": 1 }] }, false],
    [JSON.parse('{"deep":[{"__proto__":{}}]}'), false],
    [{ constructor: 1, prototype: {} }, true],
  ])("%j: %s", (metadata, good) => {
    const request = create(CreateServiceUserRequestSchema, { body: { metadata } });
    const expected = good ? [] : ["body.metadata"];
    expect(fieldsOf(findMalformed(CreateServiceUserRequestSchema, request))).toEqual(expected);
  });
});
