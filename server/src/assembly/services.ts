/**
 * Registrations of services: in these terms a room hands its RPC methods to the
 * edge. This room owns shapes alone; it builds nothing and knows no noun.
 */
import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";

/** A service and what answers its methods. */
export interface ServiceRegistration {
  readonly service: DescService;
  /** By the methods' local names. A method without one answers `unimplemented`. */
  readonly implementation: Partial<ServiceImpl<DescService>>;
}

/** Registers handlers for a service, with their types checked against it. */
export function registerService<Desc extends DescService>(
  service: Desc,
  implementation: Partial<ServiceImpl<Desc>>,
): ServiceRegistration {
  return { service, implementation: implementation as Partial<ServiceImpl<DescService>> };
}

/** Full names of the methods that the schema promises and nobody answers. */
export function listUnansweredMethods(registrations: readonly ServiceRegistration[]): string[] {
  return registrations.flatMap(({ service, implementation }) =>
    service.methods
      .filter((method) => implementation[method.localName] === undefined)
      .map((method) => `${service.typeName}.${method.name}`),
  );
}
