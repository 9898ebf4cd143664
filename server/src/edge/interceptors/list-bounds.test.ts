import { create, type DescMessage } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import {
  CreateCustomFrontendRequestSchema,
  FrontdoorService,
} from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import { describe, expect, it } from "vitest";
import { findBound, findOverlong } from "./list-bounds.ts";

const services = [
  AuditService,
  AuthService,
  FrontdoorAuthProviderService,
  FrontdoorService,
  OrganizationService,
  ServiceUserService,
  UserService,
];

/** Paths of all lists and maps in a message that have no bound. */
function listUnbounded(type: DescMessage, path: string): string[] {
  return type.fields.flatMap((field) => {
    const at = `${path}.${field.name}`;
    if (field.fieldKind === "map") return [at];
    if (field.fieldKind === "list" && (field.listKind === "message" || findBound(field) === undefined)) {
      return [at];
    }
    return field.fieldKind === "message" && !hasCustomJsonRepresentation(field.message)
      ? listUnbounded(field.message, at)
      : [];
  });
}

describe("findOverlong", () => {
  it.each([
    [50, []],
    [51, ["auth_provider_ids"]],
  ])("finds a list by its length: %d items", (length, expected) => {
    const request = create(CreateCustomFrontendRequestSchema, { authProviderIds: Array(length).fill("") });
    const found = findOverlong(CreateCustomFrontendRequestSchema, request);
    expect(found.map(({ field }) => field)).toEqual(expected);
  });

  it("finds those in a message of the message, and says how many they may have", () => {
    const policy = { publicPaths: Array(101).fill("/"), emailPatterns: Array(300_000).fill("") };
    const request = create(CreateCustomFrontendRequestSchema, { policy });
    expect(findOverlong(CreateCustomFrontendRequestSchema, request)).toEqual([
      { field: "policy.public_paths", description: "must contain no more than 100 item(s)" },
      { field: "policy.email_patterns", description: "must contain no more than 100 item(s)" },
    ]);
  });

  it("knows a bound for every list that a request can have", () => {
    const inputs = services.flatMap(({ methods }) => methods.map(({ input }) => input));
    expect(inputs.flatMap((input) => listUnbounded(input, input.name))).toEqual([]);
  });
});
