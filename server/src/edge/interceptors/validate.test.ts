import { create, createFileRegistry, type DescMessage, setExtension } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Type,
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { FieldRulesSchema, field as rules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { BadRequestSchema } from "@vestibule/proto/google/rpc/error_details_pb";
import { ListAuthProvidersRequestSchema } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { describe, expect, it } from "vitest";
import { silentLog } from "../../lib/log.ts";
import { createTranslator } from "../errors/translate.ts";
import { createRequestValidator } from "./validate.ts";

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
    await expect(check(request)).rejects.toMatchObject({ message: "frontdoor_id: must not be empty" });
  });

  it("quotes a rule's own text with nothing before it", async () => {
    const type = createTypeWithRule();
    const request = { stream: false, method: { input: type }, message: create(type) } as unknown as Request;
    const check = validator.interceptor(() => Promise.reject(new Error("let through")));
    await expect(check(request)).rejects.toMatchObject({
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
