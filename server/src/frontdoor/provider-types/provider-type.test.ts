import type { DescField } from "@bufbuild/protobuf";
import { getOption, hasOption } from "@bufbuild/protobuf";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { file_vestibule_v1_frontdoor_auth_provider_service as schema } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { expect, test } from "vitest";
import { providerTypeNames } from "./provider-type.ts";

/** Names that a field's rule allows, if it has one. */
function findAllowed(field: DescField): readonly string[] | undefined {
  const { type } = hasOption(field, fieldRules) ? getOption(field, fieldRules) : {};
  return type?.case === "string" && type.value.in.length > 0 ? type.value.in : undefined;
}

test("the schema's rules name the types there are, in their order; a filter none as well", () => {
  const rules = schema.messages.flatMap(({ name, fields }) =>
    fields
      .filter((field) => field.name === "type")
      .flatMap((field) => [findAllowed(field)].filter((allowed) => allowed !== undefined))
      .map((allowed) => [name, allowed]),
  );
  expect(rules).toEqual([
    ["ListAuthProvidersRequest", ["", ...providerTypeNames]],
    ["CreateAuthProviderRequest", providerTypeNames],
    ["ReplaceAuthProviderRequest", providerTypeNames],
  ]);
});
