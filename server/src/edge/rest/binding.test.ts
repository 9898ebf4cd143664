import {
  create,
  createFileRegistry,
  type DescFile,
  type DescMethod,
  type MessageInitShape,
  setExtension,
} from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  MethodOptions_IdempotencyLevel,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { http } from "@vestibule/proto/google/api/annotations_pb";
import { type HttpRule, HttpRuleSchema } from "@vestibule/proto/google/api/http_pb";
import { RestSchema, rest } from "@vestibule/proto/vestibule/v1/options_pb";
import { describe, expect, it } from "vitest";
import { CallLimits } from "../calls/call-limits.ts";
import { createTranslator } from "../errors/translate.ts";
import { createMemoryLog } from "../test-support.ts";
import { readBindings } from "./binding.ts";
import { createRest } from "./rest.ts";
import { getMethod, libraryService } from "./test-support.ts";

/** A method over messages of the library, with annotations of its own. */
function methodOf(
  like: string,
  rule: HttpRule | undefined,
  options: { rest?: MessageInitShape<typeof RestSchema>; writes?: boolean; streams?: boolean } = {},
): DescMethod {
  const { input, output } = getMethod(like);
  const { writes = false, streams = false } = options;
  const methodOptions = create(MethodOptionsSchema, {
    idempotencyLevel: writes
      ? MethodOptions_IdempotencyLevel.IDEMPOTENT
      : MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS,
  });
  if (rule !== undefined) setExtension(methodOptions, http, rule);
  if (options.rest !== undefined) setExtension(methodOptions, rest, create(RestSchema, options.rest));
  const file = create(FileDescriptorProtoSchema, {
    name: "test.proto",
    package: "test",
    syntax: "proto3",
    dependency: [libraryService.file.proto.name],
    service: [
      {
        name: "Test",
        method: [
          {
            name: like,
            inputType: `.${input.typeName}`,
            outputType: `.${output.typeName}`,
            serverStreaming: streams,
            options: methodOptions,
          },
        ],
      },
    ],
  });
  const find = (name: string): DescFile | undefined =>
    name === libraryService.file.proto.name ? libraryService.file : undefined;
  const [method] = createFileRegistry(file, find).getService("test.Test")?.methods ?? [];
  if (method === undefined) throw new Error("no method");
  return method;
}

function get(path: string): HttpRule {
  return create(HttpRuleSchema, { pattern: { case: "get", value: path } });
}

function post(path: string, body = "*"): HttpRule {
  return create(HttpRuleSchema, { pattern: { case: "post", value: path }, body });
}

function custom(kind: string, path: string): HttpRule {
  return create(HttpRuleSchema, { pattern: { case: "custom", value: { kind, path } } });
}

describe("an annotation", () => {
  it("is read in all its parts", () => {
    const rule = {
      ...post("/a/{nested_one.inner_text}/{number}:v", "tags"),
      responseBody: "request",
      additionalBindings: [get("/b"), custom("*", "/c")],
    };
    const bindings = readBindings(methodOf("Echo", rule, { rest: { successStatus: 202 } }));
    expect(
      bindings.map(({ httpMethod, template, body, responseBody, successStatus }) => ({
        httpMethod,
        path: template.text,
        body: typeof body === "string" ? body : body.name,
        responseBody: responseBody?.name,
        successStatus,
      })),
    ).toEqual([
      {
        httpMethod: "POST",
        path: "/a/{nested_one.inner_text}/{number}:v",
        body: "tags",
        responseBody: "request",
        successStatus: 202,
      },
      { httpMethod: "GET", path: "/b", body: "none", responseBody: undefined, successStatus: 202 },
      { httpMethod: "*", path: "/c", body: "none", responseBody: undefined, successStatus: 202 },
    ]);
  });

  it("need not be there", () => {
    expect(readBindings(methodOf("Echo", undefined))).toEqual([]);
  });

  it.each([
    ["no path", methodOf("Echo", create(HttpRuleSchema)), /no path/],
    ["a bad path", methodOf("Echo", get("a")), /begins with/],
    ["an unknown variable", methodOf("Echo", get("/{nothing}")), /\{nothing\} is no field/],
    ["a variable by its JSON name", methodOf("Echo", get("/{nestedOne.inner_text}")), /in the schema/],
    ["a message as variable", methodOf("Echo", get("/{nested_one}")), /is no field/],
    ["a list as variable", methodOf("Echo", get("/{tags}")), /is no field/],
    ["a map as variable", methodOf("Echo", get("/{labels}")), /is no field/],
    ["an output-only variable", methodOf("Echo", get("/{stamp}")), /is no field/],
    ["an unknown body", methodOf("Echo", post("/a", "nothing")), /no field "nothing"/],
    ["a nested body", methodOf("Echo", post("/a", "nested_one.below")), /no field/],
    ["an unknown response body", methodOf("Echo", { ...get("/a"), responseBody: "no" }), /no field "no"/],
    ["GET with a body", methodOf("Echo", { ...get("/a"), body: "*" }), /GET has no body/],
    ["GET that writes", methodOf("Echo", get("/a"), { writes: true }), /NO_SIDE_EFFECTS/],
    ["a stream", methodOf("Echo", get("/a"), { streams: true }), /a stream has no REST/],
    ["a failure as success", methodOf("Echo", get("/a"), { rest: { successStatus: 404 } }), /no success/],
    ["pages without fields", methodOf("Echo", get("/a"), { rest: { paged: true } }), /paged needs/],
    ["an odd HTTP method", methodOf("Echo", custom("get me", "/a")), /no HTTP method/],
    [
      "bindings inside bindings",
      methodOf("Echo", {
        ...get("/a"),
        additionalBindings: [{ ...get("/b"), additionalBindings: [get("/c")] }],
      }),
      /none of their own/,
    ],
  ])("with %s is refused, by the method's name", (_, method, expected) => {
    expect(() => readBindings(method)).toThrow(expected);
    expect(() => readBindings(method)).toThrow(/^google\.api\.http of test\.Test\.Echo: /);
  });
});

describe("two annotations of one route", () => {
  it("are refused when they are read, before anybody asks", () => {
    const { log } = createMemoryLog();
    const rule = { ...get("/a/{text}"), additionalBindings: [get("/a/{maybe}")] };
    const service = methodOf("Echo", rule).parent;
    const warm = () =>
      createRest({
        services: [{ service, implementation: {} }],
        interceptors: [],
        translator: createTranslator({ log, bodyBytes: 1 }),
        publicOrigin: "https://id.example.com",
        bodyBytes: 1,
        limits: new CallLimits({ requestSeconds: 1 }),
      }).warm();
    expect(warm).toThrow("GET /a/{maybe} and GET /a/{text} are one route");
  });
});
