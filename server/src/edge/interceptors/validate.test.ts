import { create, createFileRegistry, type DescMessage, setExtension } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Type,
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  hasCustomJsonRepresentation,
} from "@bufbuild/protobuf/wkt";
import { FieldRulesSchema, field as rules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { BadRequestSchema } from "@vestibule/proto/google/rpc/error_details_pb";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import {
  FrontdoorAuthProviderService,
  ListAuthProvidersRequestSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import {
  CreateCustomFrontendRequestSchema,
  FrontdoorService,
} from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import {
  CreateOrganizationInvitationRequestSchema,
  OrganizationService,
} from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import { describe, expect, it } from "vitest";
import { silentLog } from "../../lib/log.ts";
import { createTranslator } from "../errors/translate.ts";
import { createRequestValidator, findBound, findOverlong } from "./validate.ts";

const validator = createRequestValidator();
validator.warm([ServiceUserService]);
const translator = createTranslator({ log: silentLog, bodyBytes: 1024 });
const transport = createRouterTransport(
  (router) =>
    router.service(ServiceUserService, {
      getServiceUser: () => ({}),
      createServiceUser: () => ({}),
      listServiceUsers: () => ({}),
    }),
  { router: { interceptors: [translator.interceptor, validator.interceptor] } },
);
const client = createClient(ServiceUserService, transport);
const id = "019a0000-0000-7000-8000-000000000001";

type Request = Parameters<ReturnType<typeof validator.interceptor>>[0];

/** A message with one text field, whose rule carries a text of its own. */
function createTypeWithRule(): DescMessage {
  const options = create(FieldOptionsSchema);
  const expression = "this.contains('@')";
  const cel = [{ id: "email", message: "Invalid email", expression }];
  setExtension(options, rules, create(FieldRulesSchema, { cel }));
  const field = { name: "email", number: 1, type: FieldDescriptorProto_Type.STRING, options };
  const file = create(FileDescriptorProtoSchema, {
    name: "sample.proto",
    syntax: "proto3",
    messageType: [{ name: "Sample", field: [field] }],
  });
  const type = createFileRegistry(file, () => undefined).getMessage("Sample");
  if (type === undefined) throw new Error("no Sample");
  return type;
}

async function refusalOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (error) => ConnectError.from(error),
  );
}

describe("createRequestValidator", () => {
  it("lets a valid message through", async () => {
    await expect(client.getServiceUser({ id, orgId: "default" })).resolves.toBeDefined();
  });

  it.each([
    ["two characters of three", "ab", false],
    ["the shortest", "abc", true],
    ["the longest", "x".repeat(200), true],
    ["one more", "x".repeat(201), false],
  ])("holds org_id against its bounds: %s", async (_, orgId, isValid) => {
    const call = client.listServiceUsers({ orgId });
    if (isValid) {
      await expect(call).resolves.toBeDefined();
    } else {
      expect((await refusalOf(call)).rawMessage).toMatch(/^org_id: /);
    }
  });

  it("lists every violation and says the first", async () => {
    const error = await refusalOf(client.getServiceUser({ id: "not-a-uuid", orgId: "" }));
    const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
    expect(violations.map(({ field }) => field)).toEqual(["id", "org_id"]);
    expect(error.rawMessage).toBe(`id: ${violations[0]?.description}`);
    expect(JSON.stringify(violations)).not.toContain("not-a-uuid");
  });

  it("says what a value may be, and that it may not be empty, in words of its own", async () => {
    const body = { title: "x", role: "emperor" };
    expect((await refusalOf(client.createServiceUser({ orgId: "default", body }))).rawMessage).toBe(
      "body.role: must be one of viewer, manager, owner",
    );
    const type = ListAuthProvidersRequestSchema;
    const request = { stream: false, method: { input: type }, message: create(type) } as unknown as Request;
    const check = validator.interceptor(() => Promise.reject(new Error("let through")));
    await expect(async () => check(request)).rejects.toMatchObject({
      message: "frontdoor_id: must not be empty",
    });
  });

  it("quotes a rule's own text with nothing before it", async () => {
    const type = createTypeWithRule();
    const request = { stream: false, method: { input: type }, message: create(type) } as unknown as Request;
    const check = validator.interceptor(() => Promise.reject(new Error("let through")));
    await expect(async () => check(request)).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      message: "Invalid email",
      violations: [{ field: "email", description: "Invalid email" }],
    });
  });

  it("checks every message of a stream", async () => {
    const type = ServiceUserService.method.getServiceUser.input;
    async function* messages() {
      yield create(type, { id, orgId: "default" });
      yield create(type, { id, orgId: "" });
    }
    const seen: string[] = [];
    const request = {
      stream: true,
      method: { input: type },
      message: messages(),
    } as unknown as Request;
    const read = validator.interceptor(async (checked) => {
      for await (const message of checked.message as AsyncIterable<{ orgId: string }>)
        seen.push(message.orgId);
      throw new Error("read to the end");
    });
    await expect(read(request)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
    expect(seen).toEqual(["default"]);
  });
});

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

  it("takes a bound of none for one", () => {
    const request = create(CreateOrganizationInvitationRequestSchema, { groupIds: ["g"] });
    expect(findOverlong(CreateOrganizationInvitationRequestSchema, request)).toEqual([
      { field: "group_ids", description: "must contain no more than 0 item(s)" },
    ]);
  });

  it("knows a bound for every list that a request can have", () => {
    const inputs = services.flatMap(({ methods }) => methods.map(({ input }) => input));
    expect(inputs.flatMap((input) => listUnbounded(input, input.name))).toEqual([]);
  });
});
