/**
 * The name under which Frontier's clients call us.
 *
 * A service descriptor built at start: Frontier's service name over our own
 * methods and messages, whose field names and numbers are Frontier's. It is a
 * real file descriptor, so that reflection shows it; the handlers are the ones
 * of our services, not copies. Nothing is answered here in another way than
 * under our own name.
 */
import { create, createFileRegistry, type DescFile, type DescMethod } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  type MethodDescriptorProto,
  MethodDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { file_vestibule_v1_options } from "@vestibule/proto/vestibule/v1/options_pb";
import type { ServiceRegistration } from "../../assembly/services.ts";

const packageName = "raystack.frontier.v1beta1";
const fileName = "raystack/frontier/v1beta1/frontier.proto";

/**
 * Builds Frontier's service over some methods of ours.
 *
 * @param methods those that Frontier has by the same name
 * @param registrations the services they belong to
 * @throws Error when two methods have one name or a method's service is not registered
 */
export function createFrontierAlias(
  methods: readonly DescMethod[],
  registrations: readonly ServiceRegistration[],
): ServiceRegistration {
  const names = methods.map((method) => method.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new Error(`two methods would be FrontierService/${twice}`);
  }
  return {
    service: buildService(methods),
    implementation: Object.fromEntries(
      methods.map((method) => [method.localName, findImplementation(method, registrations)]),
    ) as ServiceRegistration["implementation"],
  };
}

function buildService(methods: readonly DescMethod[]) {
  const imports = new Map<string, DescFile>();
  for (const file of [file_vestibule_v1_options, ...methods.flatMap(listMessageFiles)]) {
    imports.set(file.proto.name, file);
  }
  const file = create(FileDescriptorProtoSchema, {
    name: fileName,
    package: packageName,
    syntax: "proto3",
    dependency: [...imports.keys()],
    service: [{ name: "FrontierService", method: methods.map(toProto) }],
  });
  const service = createFileRegistry(file, (name) => imports.get(name)).getService(
    `${packageName}.FrontierService`,
  );
  if (service === undefined) {
    throw new Error("Frontier's service is missing from its own descriptor");
  }
  return service;
}

function listMessageFiles({ input, output }: DescMethod): DescFile[] {
  return [input.file, output.file];
}

/** Copies a method to the alias, options included: idempotency and credential policy go with it. */
function toProto({ proto, input, output }: DescMethod): MethodDescriptorProto {
  return create(MethodDescriptorProtoSchema, {
    name: proto.name,
    inputType: `.${input.typeName}`,
    outputType: `.${output.typeName}`,
    clientStreaming: proto.clientStreaming,
    serverStreaming: proto.serverStreaming,
    ...(proto.options !== undefined && { options: proto.options }),
  });
}

/** A method's handler, whatever its messages. */
type Handler = (...request: never[]) => unknown;

function findImplementation(method: DescMethod, registrations: readonly ServiceRegistration[]) {
  const registration = registrations.find(({ service }) => service.typeName === method.parent.typeName);
  if (registration === undefined) {
    throw new Error(`${method.parent.typeName} has no handlers for FrontierService/${method.name}`);
  }
  const handler = registration.implementation[method.localName] as Handler | undefined;
  return handler?.bind(registration.implementation);
}
