/**
 * The names under which Frontier's clients call us.
 *
 * Service descriptors built at start: Frontier's service names over our own
 * methods and messages, whose field names and numbers are Frontier's. They are
 * real file descriptors, so that reflection shows them; the handlers are the
 * ones of our services, not copies. Nothing is answered here in another way
 * than under our own name.
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

/** Frontier's services, and the files that its own descriptors have them in. */
const files = { FrontierService: "frontier.proto", AdminService: "admin.proto" } as const;

type FrontierServiceName = keyof typeof files;

/** A method of ours, and the service of Frontier's that has it by the same name and in the same shape. */
export interface FrontierMethod {
  readonly service: FrontierServiceName;
  readonly method: DescMethod;
}

/**
 * Builds Frontier's services over some methods of ours; a service without any
 * is left out.
 *
 * @param registrations the services that the methods belong to
 * @throws Error when two methods of a service have one name or a method's own service is not registered
 */
export function createFrontierAliases(
  methods: readonly FrontierMethod[],
  registrations: readonly ServiceRegistration[],
): ServiceRegistration[] {
  const names = Object.keys(files) as FrontierServiceName[];
  return names.flatMap((name) => {
    const own = methods.filter(({ service }) => service === name).map(({ method }) => method);
    return own.length === 0 ? [] : [createAlias(name, own, registrations)];
  });
}

function createAlias(
  serviceName: FrontierServiceName,
  methods: readonly DescMethod[],
  registrations: readonly ServiceRegistration[],
): ServiceRegistration {
  const names = methods.map((method) => method.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new Error(`two methods would be ${serviceName}/${twice}`);
  }
  return {
    service: buildService(serviceName, methods),
    implementation: Object.fromEntries(
      methods.map((method) => [method.localName, findImplementation(method, registrations)]),
    ) as ServiceRegistration["implementation"],
  };
}

function buildService(serviceName: FrontierServiceName, methods: readonly DescMethod[]) {
  const imports = new Map<string, DescFile>();
  for (const file of [file_vestibule_v1_options, ...methods.flatMap(listMessageFiles)]) {
    imports.set(file.proto.name, file);
  }
  const file = create(FileDescriptorProtoSchema, {
    name: `${packageName.replaceAll(".", "/")}/${files[serviceName]}`,
    package: packageName,
    syntax: "proto3",
    dependency: [...imports.keys()],
    service: [{ name: serviceName, method: methods.map(toProto) }],
  });
  const service = createFileRegistry(file, (name) => imports.get(name)).getService(
    `${packageName}.${serviceName}`,
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
    throw new Error(`${method.parent.typeName} has no handlers for Frontier's ${method.name}`);
  }
  const handler = registration.implementation[method.localName] as Handler | undefined;
  return handler?.bind(registration.implementation);
}
