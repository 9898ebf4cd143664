import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { JsonValue } from "../lib/json.ts";
import { instant, jsonColumn, jsonObject, jsonTexts, jsonValue, type MembersOf } from "./json-column.ts";

interface Kept {
  readonly name: string;
  readonly at: Date;
  readonly tags?: readonly string[];
}

const members = {
  name: z.string(),
  at: instant,
  tags: z.exactOptional(z.array(z.string())),
} satisfies MembersOf<Kept>;
const column = jsonColumn<Kept>("idempotency_keys.answer", z.object(members));
const at = new Date(Date.UTC(2027, 0, 1, 0, 0, 0, 7));

describe("a column of JSON", () => {
  it.each<Kept>([
    { name: "a", at },
    { name: "", at: new Date(0), tags: [] },
    { name: "é\u2028", at, tags: ["x", "y"] },
  ])("answers what it was given, instants as instants: %j", (value) => {
    expect(column.decode(column.encode(value))).toStrictEqual(value);
  });

  it("keeps instants as rows do, and what it was not told of not at all", () => {
    const more = { name: "a", at, secret: "s" };
    expect(column.encode(more)).toBe(`{"name":"a","at":${at.getTime()}}`);
    expect(column.decode('{"name":"a","at":7,"of a later version":1}')).toStrictEqual({
      name: "a",
      at: new Date(7),
    });
  });

  it.each([
    ["no JSON", "{secret", "idempotency_keys.answer holds what is not JSON"],
    ["nothing", "", "idempotency_keys.answer holds what is not JSON"],
    ["another type", "[]", "idempotency_keys.answer holds what does not belong there: invalid_type"],
    ["null", "null", "idempotency_keys.answer holds what does not belong there: invalid_type"],
    ["a member missing", '{"name":"a"}', "there at at: invalid_type"],
    ["an instant as a text", '{"name":"a","at":"2027-01-01T00:00:00.007Z"}', "there at at: invalid_type"],
    ["an instant that is none", '{"name":"a","at":1e300}', "there at at: "],
    [
      "a member of another type",
      '{"name":"a","at":0,"tags":["x",{"secret":1}]}',
      "there at tags.1: invalid_type",
    ],
  ])("refuses %s, naming table and column and quoting nothing", (_what, text, message) => {
    expect(() => column.decode(text)).toThrow(message);
    expect(() => column.decode(text)).not.toThrow("secret");
  });

  it("takes nothing that it would not answer", () => {
    const wrong = { name: "a", at: at.toISOString() } as unknown as Kept;
    expect(() => column.encode(wrong)).toThrow(
      "idempotency_keys.answer holds what does not belong there at at",
    );
  });

  it("keeps free-form values as they are", () => {
    const objects = jsonColumn("users.metadata", jsonObject);
    const given = { b: [1, null, { c: "x" }], "": false };
    expect(objects.decode(objects.encode(given))).toStrictEqual(given);
    for (const text of ["[]", "null", '"a"', "1"])
      expect(() => objects.decode(text)).toThrow("users.metadata");
    const texts = jsonColumn("audit_records.details", jsonTexts);
    expect(texts.decode(texts.encode({ a: "", b: "x" }))).toStrictEqual({ a: "", b: "x" });
    for (const text of ["[]", '{"a":1}']) expect(() => texts.decode(text)).toThrow("audit_records.details");
    const values = jsonColumn("auth_provider_revisions.sealed_secrets", jsonValue);
    for (const value of [null, "a", [1], given] satisfies JsonValue[]) {
      expect(values.decode(values.encode(value))).toStrictEqual(value);
    }
  });

  it("is not declared with what JSON has no word for, or with a member left out", () => {
    // @ts-expect-error A Date would come back as a text.
    jsonColumn("idempotency_keys.answer", z.object({ ...members, at: z.date() }));
    // @ts-expect-error What may be absent has to be named too.
    expect({ name: members.name, at: members.at } satisfies MembersOf<Kept>).toBeDefined();
    // @ts-expect-error There is no such column.
    jsonColumn("idempotency_keys.answers", jsonObject);
  });
});
