/**
 * gRPC server reflection, v1 and v1alpha (the two differ in their package name
 * only), so that grpcurl and buf curl can call us without our schema.
 */
import {
  createRegistry,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "@vestibule/proto/google/rpc/error_details_pb";
import {
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
  ServerReflection as V1,
} from "@vestibule/proto/grpc/reflection/v1/reflection_pb";
import { ServerReflection as V1Alpha } from "@vestibule/proto/grpc/reflection/v1alpha/reflection_pb";
import { registerService, type ServiceRegistration } from "../../assembly/services.ts";

type Question = ServerReflectionRequest["messageRequest"];
type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/** Both reflection services, showing the given ones and themselves. */
export function createReflection(services: readonly DescService[]): ServiceRegistration[] {
  // Hardly a server is ever asked.
  let answer: ReturnType<typeof createAnswers> | undefined;

  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
    answer ??= createAnswers([...services, V1, V1Alpha]);
    for await (const request of requests) {
      yield {
        validHost: request.host,
        originalRequest: { host: request.host, messageRequest: request.messageRequest },
        messageResponse: answer(request.messageRequest),
      };
    }
  }

  return [
    registerService(V1, { serverReflectionInfo }),
    { service: V1Alpha, implementation: registerService(V1, { serverReflectionInfo }).implementation },
  ];
}

/** The five kinds of question over everything the services can reach, and the details of their errors. */
function createAnswers(services: readonly DescService[]): (question: Question) => Answer {
  const files = new Map<string, DescFile>();
  // No service names what errors carry, in an Any.
  for (const file of [...services.map((service) => service.file), file_google_rpc_error_details]) {
    for (const each of listWithImports(file)) {
      files.set(each.proto.name, each);
    }
  }
  const registry = createRegistry(...files.values());
  const symbols = indexSymbols(files.values());
  const serviceNames = services.map(({ typeName }) => ({ name: typeName }));

  return (question) => {
    switch (question.case) {
      case "fileByFilename":
        return toFileAnswer(files.get(question.value), `file ${question.value}`);
      case "fileContainingSymbol":
        return toFileAnswer(symbols.get(question.value.replace(/^\./, "")), `symbol ${question.value}`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        const extension = findExtension(registry, containingType, extensionNumber);
        return toFileAnswer(extension?.file, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType":
        return toNumbersAnswer(registry, question.value);
      case "listServices":
        return { case: "listServicesResponse", value: { service: serviceNames } };
      default:
        return toError(Code.InvalidArgument, "no question asked");
    }
  };
}

/** A file and all it imports, itself first. */
function listWithImports(file: DescFile): DescFile[] {
  const seen = new Set<DescFile>();
  const visit = (each: DescFile) => {
    if (!seen.has(each)) {
      seen.add(each);
      each.dependencies.forEach(visit);
    }
  };
  visit(file);
  return [...seen];
}

/** Full names of everything that has one, with the file it stands in. */
function indexSymbols(files: Iterable<DescFile>): Map<string, DescFile> {
  const symbols = new Map<string, DescFile>();
  for (const file of files) {
    const add = (name: string) => symbols.set(name, file);
    for (const service of file.services) {
      add(service.typeName);
      for (const method of service.methods) add(`${service.typeName}.${method.name}`);
    }
    for (const { typeName, values } of file.enums) {
      add(typeName);
      // Values are siblings of their enum, not its children.
      for (const { name } of values) add(typeName.replace(/[^.]*$/, name));
    }
    for (const { typeName } of file.extensions) add(typeName);
    for (const message of file.messages) addMessage(message, add);
  }
  return symbols;
}

function addMessage(message: DescMessage, add: (name: string) => void): void {
  add(message.typeName);
  for (const { name } of [...message.fields, ...message.oneofs]) add(`${message.typeName}.${name}`);
  for (const { typeName, values } of message.nestedEnums) {
    add(typeName);
    for (const { name } of values) add(`${message.typeName}.${name}`);
  }
  for (const { typeName } of message.nestedExtensions) add(typeName);
  for (const nested of message.nestedMessages) addMessage(nested, add);
}

function findExtension(registry: Registry, typeName: string, number: number): DescExtension | undefined {
  const extendee = registry.getMessage(typeName);
  return extendee === undefined ? undefined : registry.getExtensionFor(extendee, number);
}

function toNumbersAnswer(registry: Registry, typeName: string): Answer {
  if (registry.getMessage(typeName) === undefined) {
    return toError(Code.NotFound, `type ${typeName} not found`);
  }
  const extensionNumber: number[] = [];
  for (const type of registry) {
    if (type.kind === "extension" && type.extendee.typeName === typeName) {
      extensionNumber.push(type.number);
    }
  }
  return { case: "allExtensionNumbersResponse", value: { baseTypeName: typeName, extensionNumber } };
}

function toFileAnswer(file: DescFile | undefined, subject: string): Answer {
  if (file === undefined) {
    return toError(Code.NotFound, `${subject} not found`);
  }
  const fileDescriptorProto = listWithImports(file).map(({ proto }) =>
    toBinary(FileDescriptorProtoSchema, proto),
  );
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function toError(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
