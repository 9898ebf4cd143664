import type { DescMessage } from "@bufbuild/protobuf";
import { AuditRecordSchema } from "@vestibule/proto/vestibule/v1/audit_pb";
import { AuthTokenRequestSchema } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import {
  CreateServiceUserCredentialRequestSchema,
  CreateServiceUserRequestSchema,
  ListServiceUsersResponseSchema,
} from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { describe, expect, it } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import { createJsonDecoder, readJson } from "./request-json.ts";

const lenient = { refusesUnknown: false };
const strict = { refusesUnknown: true };
const bytes = (text: string) => new TextEncoder().encode(text);

function refusalOf(read: () => unknown): DomainError {
  try {
    read();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("readJson", () => {
  it("takes either name of a field, null for an absent one, and drops what it does not know", () => {
    for (const text of [
      '{"client_id":"a","assertion":null,"x":{"y":[]}}',
      '{"clientId":"a","client_secret":null}',
    ]) {
      expect(readJson(AuthTokenRequestSchema, bytes(text), lenient)).toMatchObject({
        clientId: "a",
        assertion: "",
      });
    }
  });

  it("reads keys of one escaped character, which V8 13.6 takes for a backslash after some texts", () => {
    const sent = (key: string) => bytes(`{"body":{"metadata":{"{":1,"${key}":1}}}`);
    const keys = ["\\\\", "\\u0022", "\\n", "\\u0061"].map((key) =>
      Object.keys(readJson(CreateServiceUserRequestSchema, sent(key), strict).body?.metadata ?? {}),
    );
    expect(keys).toEqual([
      ["{", "\\"],
      ["{", '"'],
      ["{", "\n"],
      ["{", "a"],
    ]);
  });

  it.each([
    ["{}{}", "request body is not valid JSON"],
    ["7", "request body is not valid JSON for this method"],
    ['{"orgId":7}', "org_id: must be of string", "org_id"],
    [
      '{"org_id":[],"body":{"metadata":7,"x":1,"title":[]}}',
      "org_id: must be of string",
      "org_id",
      "body.metadata",
      "body.title",
    ],
  ])("says of %s what is wrong and where", (text, message, ...fields) => {
    const refusal = refusalOf(() => readJson(CreateServiceUserRequestSchema, bytes(text), lenient));
    expect(refusal).toMatchObject({ reason: "INVALID_REQUEST", message });
    expect(refusal.violations.map(({ field }) => field)).toEqual(fields);
  });
});

describe("readJson of what the schema does not know", () => {
  const unknown: [type: DescMessage, text: string, ...violations: string[]][] = [
    [
      CreateServiceUserCredentialRequestSchema,
      '{"id":"a","expiresat":"2027-01-01T00:00:00Z"}',
      "expiresat is not expected; did you mean expires_at?",
    ],
    [
      CreateServiceUserRequestSchema,
      '{"body":{"titel":"a","role":7},"zzzzzz":1}',
      "body.titel is not expected; did you mean title?",
      "body.role must be of string",
      "zzzzzz is not expected",
    ],
    [
      ListServiceUsersResponseSchema,
      '{"serviceusers":[{"id":"a"},{"orgid":"a"}]}',
      "serviceusers[1].orgid is not expected; did you mean org_id?",
    ],
    [
      AuditRecordSchema,
      '{"details":{"x":"y"},"detials":{}}',
      "detials is not expected; did you mean details?",
    ],
  ];

  it.each(unknown)("%s %s", (type, text, ...violations) => {
    const refusal = refusalOf(() => readJson(type, bytes(text), strict));
    expect(refusal.violations.map(({ field, description }) => `${field} ${description}`)).toEqual(violations);
    expect(refusal.message).toBe(violations[0]?.replace(" ", ": "));
  });

  it("leaves what is free: keys of maps and of metadata", () => {
    const user = readJson(
      CreateServiceUserRequestSchema,
      bytes('{"body":{"metadata":{"titel":{"x":[{"orgid":1}]}}}}'),
      strict,
    );
    expect(user.body?.metadata).toEqual({ titel: { x: [{ orgid: 1 }] } });
    expect(readJson(AuditRecordSchema, bytes('{"details":{"x":"y"}}'), strict).details).toEqual({ x: "y" });
  });

  it("repeats no name that could be a secret", () => {
    const read = (key: string) => () => readJson(AuthTokenRequestSchema, bytes(`{"${key}":1}`), strict);
    expect(refusalOf(read("q".repeat(31))).message).toContain("qqq");
    expect(refusalOf(read("q".repeat(32))).message).not.toContain("qqq");
  });

  it("looks for no name that is like one of a mebibyte", () => {
    const key = "a".repeat(1_000_000);
    const refusal = refusalOf(() => readJson(AuthTokenRequestSchema, bytes(`{"${key}":1}`), strict));
    expect(refusal.violations).toEqual([{ field: "(a long name)", description: "is not expected" }]);
  });
});

describe("createJsonDecoder", () => {
  const decoder = createJsonDecoder(AuthTokenRequestSchema, lenient);

  it("hands on what is good", () => {
    expect(decoder.decode(bytes('{"clientId":"é"}'))).toBe('{"clientId":"é"}');
  });

  it("refuses what readJson refuses", () => {
    const refusal = refusalOf(() => decoder.decode(bytes('{"clientId":{}}')));
    expect(refusal.message).toBe("client_id: must be of string");
  });
});
