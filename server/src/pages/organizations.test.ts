import { create } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { OrganizationRequestBodySchema } from "@vestibule/proto/vestibule/v1/organization_pb";
import { expect, it } from "vitest";
import { DomainError } from "../lib/errors.ts";
import { checkDraft } from "./organizations.ts";

const validator = createValidator();

it.each<readonly [string, string]>([
  ["acme", ""],
  ["abc", "x".repeat(200)],
  ["a-_0", "😀".repeat(200)],
  ["a".repeat(63), "Acme"],
  ["ab", ""],
  ["a".repeat(64), ""],
  ["1abc", ""],
  ["Acme", ""],
  ["acme\n", ""],
  ["àcme", ""],
  ["acme", "x".repeat(201)],
  ["acme", "😀".repeat(201)],
  ["acme", "Łąć 漢字 👩🏽‍🚀 a\u200db"],
  ...[0, 9, 0x1f, 0x7f, 0x85, 0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069].map(
    (code) => ["acme", `a${String.fromCodePoint(code)}`] as const,
  ),
  ["abcdef01-0000-7000-8000-000000000000", ""],
])("the form takes a name and a title as the schema does: %j, %j", (name, title) => {
  const { kind } = validator.validate(
    OrganizationRequestBodySchema,
    create(OrganizationRequestBodySchema, { name, title }),
  );
  const check = () => checkDraft({ name, title });
  if (kind === "valid") expect(check).not.toThrow();
  else expect(check).toThrow(DomainError);
});
