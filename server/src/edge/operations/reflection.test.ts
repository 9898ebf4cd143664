import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflection as V1,
} from "@vestibule/proto/grpc/reflection/v1/reflection_pb";
import { ServerReflection as V1Alpha } from "@vestibule/proto/grpc/reflection/v1alpha/reflection_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningEdge, startEdge } from "../test-support.ts";

type Question = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"];

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge.close());

describe.each([
  ["v1", V1],
  ["v1alpha", V1Alpha as unknown as typeof V1],
])("reflection %s", (version, service) => {
  async function ask(...questions: NonNullable<Question>[]): Promise<ServerReflectionResponse[]> {
    async function* requests() {
      for (const messageRequest of questions) yield { host: "h", messageRequest };
    }
    const client = createClient(service, createGrpcTransport({ baseUrl: edge.http2 }));
    const answers: ServerReflectionResponse[] = [];
    for await (const answer of client.serverReflectionInfo(requests())) answers.push(answer);
    return answers;
  }

  async function askForFiles(question: NonNullable<Question>): Promise<string[]> {
    const [answer] = await ask(question);
    if (answer?.messageResponse.case !== "fileDescriptorResponse") {
      throw new Error(`no files but ${answer?.messageResponse.case}`);
    }
    return answer.messageResponse.value.fileDescriptorProto.map(
      (bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name,
    );
  }

  it("lists every service, itself included", async () => {
    const [answer] = await ask({ case: "listServices", value: "" });
    expect(answer?.messageResponse).toMatchObject({
      case: "listServicesResponse",
      value: {
        service: [
          { name: "vestibule.v1.AuthService" },
          { name: "vestibule.v1.ServiceUserService" },
          { name: "raystack.frontier.v1beta1.FrontierService" },
          { name: "grpc.health.v1.Health" },
          { name: "grpc.reflection.v1.ServerReflection" },
          { name: "grpc.reflection.v1alpha.ServerReflection" },
        ],
      },
    });
    expect(answer?.originalRequest?.messageRequest.case).toBe("listServices");
    expect(answer?.$typeName).toContain(`reflection.${version}.`);
  });

  it("gives a file with all it imports", async () => {
    const files = await askForFiles({ case: "fileByFilename", value: "vestibule/v1/auth_service.proto" });
    expect(files[0]).toBe("vestibule/v1/auth_service.proto");
    expect(files).toEqual(
      expect.arrayContaining([
        "vestibule/v1/options.proto",
        "buf/validate/validate.proto",
        "google/protobuf/descriptor.proto",
      ]),
    );
  });

  it.each([
    ["vestibule.v1.AuthService", "vestibule/v1/auth_service.proto"],
    [".vestibule.v1.AuthService", "vestibule/v1/auth_service.proto"],
    ["vestibule.v1.AuthService.AuthToken", "vestibule/v1/auth_service.proto"],
    ["vestibule.v1.AuthTokenRequest", "vestibule/v1/auth_service.proto"],
    ["vestibule.v1.AuthTokenRequest.grant_type", "vestibule/v1/auth_service.proto"],
    ["vestibule.v1.credential_policy", "vestibule/v1/options.proto"],
    ["vestibule.v1.CREDENTIAL_POLICY_OPEN", "vestibule/v1/options.proto"],
    ["grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"],
    ["google.rpc.ErrorInfo", "google/rpc/error_details.proto"],
    ["raystack.frontier.v1beta1.FrontierService.AuthToken", "raystack/frontier/v1beta1/frontier.proto"],
  ])("finds %s", async (symbol, file) => {
    expect((await askForFiles({ case: "fileContainingSymbol", value: symbol }))[0]).toBe(file);
  });

  it("finds extensions by number, and the numbers", async () => {
    const containingType = "google.protobuf.MethodOptions";
    const files = await askForFiles({
      case: "fileContainingExtension",
      value: { containingType, extensionNumber: 50601 },
    });
    expect(files[0]).toBe("vestibule/v1/options.proto");
    const [answer] = await ask({ case: "allExtensionNumbersOfType", value: containingType });
    expect(answer?.messageResponse).toMatchObject({
      case: "allExtensionNumbersResponse",
      value: { baseTypeName: containingType, extensionNumber: expect.arrayContaining([50601, 50602]) },
    });
  });

  it("answers what it does not know on the stream, and goes on", async () => {
    const answers = await ask(
      { case: "fileByFilename", value: "no.proto" },
      { case: "fileContainingSymbol", value: "no.Symbol" },
      { case: "fileContainingExtension", value: { containingType: "no.Type", extensionNumber: 1 } },
      { case: "allExtensionNumbersOfType", value: "no.Type" },
      { case: "listServices", value: "" },
    );
    expect(answers.map(({ messageResponse }) => messageResponse.case)).toEqual([
      ...Array(4).fill("errorResponse"),
      "listServicesResponse",
    ]);
    expect(answers[0]?.messageResponse.value).toMatchObject({ errorCode: Code.NotFound });
  });
});
