/** Typed clients over every protocol and wire that the one port speaks. */
import { create, createFileRegistry, type DescService, fromBinary } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { type Client, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { ServerReflection } from "@vestibule/proto/grpc/reflection/v1/reflection_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { tlsCertificate } from "./http.ts";

export const protocols = ["Connect JSON", "Connect binary", "gRPC", "gRPC-Web"] as const;
export type Protocol = (typeof protocols)[number];

/** How bytes travel: in clear text or under TLS, in either version of HTTP. */
export const wires = ["HTTP/1.1", "h2c", "TLS HTTP/1.1", "TLS HTTP/2"] as const;
export type Wire = (typeof wires)[number];

/** Every combination that exists: gRPC needs HTTP/2. */
export const cells = protocols.flatMap((protocol) =>
  wires
    .filter((wire) => protocol !== "gRPC" || !wire.endsWith("1.1"))
    .map((wire) => ({ protocol, wire, name: `${protocol} over ${wire}` })),
);

/** Whether the wire needs a server with a certificate. */
export function isTlsWire(wire: Wire): boolean {
  return wire.startsWith("TLS");
}

/** A transport and what ends its connections. */
export interface OpenTransport extends Disposable {
  readonly transport: Transport;
}

/** Opens a transport to a server. */
export function openTransport(url: string, protocol: Protocol, wire: Wire): OpenTransport {
  const httpVersion = wire.endsWith("1.1") ? "1.1" : "2";
  const tls = isTlsWire(wire) ? { ca: tlsCertificate } : {};
  const sessionManager = new Http2SessionManager(url, undefined, tls);
  const options =
    httpVersion === "2"
      ? ({ baseUrl: url, httpVersion, sessionManager } as const)
      : ({ baseUrl: url, httpVersion, nodeOptions: { agent: false, ...tls } } as const);
  return {
    transport: toTransport(protocol, options),
    [Symbol.dispose]: () => sessionManager.abort(),
  };
}

type TransportOptions = Parameters<typeof createConnectTransport>[0];

function toTransport(protocol: Protocol, options: TransportOptions): Transport {
  switch (protocol) {
    case "Connect JSON":
      return createConnectTransport({ ...options, useBinaryFormat: false });
    case "Connect binary":
      return createConnectTransport({ ...options, useBinaryFormat: true });
    case "gRPC":
      return createGrpcTransport(options as Parameters<typeof createGrpcTransport>[0]);
    case "gRPC-Web":
      return createGrpcWebTransport(options);
  }
}

/** The methods of the foundation, whichever service they are called on. */
export interface Clients {
  readonly auth: Client<typeof AuthService>;
  readonly serviceUsers: Client<typeof ServiceUserService>;
}

/** Clients of our own services. */
export function ownClients(transport: Transport): Clients {
  return {
    auth: createClient(AuthService, transport),
    serviceUsers: createClient(ServiceUserService, transport),
  };
}

/** Clients of Frontier's one service, from a descriptor that the server showed. */
export function frontierClients(frontier: DescService, transport: Transport): Clients {
  return {
    auth: createClient(frontier as typeof AuthService, transport),
    serviceUsers: createClient(frontier as typeof ServiceUserService, transport),
  };
}

/** What the server says of itself: the names of its services, and the descriptor of one. */
export async function reflectService(
  transport: Transport,
  typeName: string,
): Promise<{ names: string[]; service: DescService }> {
  const client = createClient(ServerReflection, transport);
  async function* questions() {
    yield { messageRequest: { case: "listServices", value: "*" } } as const;
    yield { messageRequest: { case: "fileContainingSymbol", value: typeName } } as const;
  }
  const names: string[] = [];
  const files: FileDescriptorProto[] = [];
  for await (const { messageResponse } of client.serverReflectionInfo(questions())) {
    if (messageResponse.case === "listServicesResponse") {
      names.push(...messageResponse.value.service.map(({ name }) => name));
    } else if (messageResponse.case === "fileDescriptorResponse") {
      for (const bytes of messageResponse.value.fileDescriptorProto) {
        files.push(fromBinary(FileDescriptorProtoSchema, bytes));
      }
    }
  }
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: inOrder(files) }));
  const service = registry.getService(typeName);
  if (service === undefined) throw new Error(`${typeName} is not shown by reflection`);
  return { names, service };
}

/** Files behind those they import, as a set has to have them. */
function inOrder(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const ordered = new Set<FileDescriptorProto>();
  const visit = (file: FileDescriptorProto | undefined): void => {
    if (file === undefined || ordered.has(file)) return;
    for (const name of file.dependency) visit(byName.get(name));
    ordered.add(file);
  };
  for (const file of files) visit(file);
  return [...ordered];
}

/** What a call was refused with. @throws Error when it was not. */
export async function refusalOf(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call succeeded");
}
