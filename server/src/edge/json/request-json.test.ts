import { AuthTokenRequestSchema } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { CreateServiceUserRequestSchema } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { describe, expect, it } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import { createJsonDecoder, readJson } from "./request-json.ts";

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
      expect(readJson(AuthTokenRequestSchema, bytes(text))).toMatchObject({ clientId: "a", assertion: "" });
    }
  });

  it("reads keys of one escaped character, which V8 13.6 takes for a backslash after some texts", () => {
    const sent = (key: string) => bytes(`{"body":{"metadata":{"{":1,"${key}":1}}}`);
    const keys = ["\\\\", "\\u0022", "\\n", "\\u0061"].map((key) =>
      Object.keys(readJson(CreateServiceUserRequestSchema, sent(key)).body?.metadata ?? {}),
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
    const refusal = refusalOf(() => readJson(CreateServiceUserRequestSchema, bytes(text)));
    expect(refusal).toMatchObject({ reason: "INVALID_REQUEST", message });
    expect(refusal.violations.map(({ field }) => field)).toEqual(fields);
  });
});

describe("createJsonDecoder", () => {
  const decoder = createJsonDecoder(AuthTokenRequestSchema);

  it("hands on what is good", () => {
    expect(decoder.decode(bytes('{"clientId":"é"}'))).toBe('{"clientId":"é"}');
  });

  it("refuses what readJson refuses", () => {
    const refusal = refusalOf(() => decoder.decode(bytes('{"clientId":{}}')));
    expect(refusal.message).toBe("client_id: must be of string");
  });
});
