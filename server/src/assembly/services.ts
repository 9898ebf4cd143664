/** Registrations of services: in these terms a room hands its RPC methods to the edge. */
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

/**
 * One registration for each service, in the order in which they first come.
 *
 * @throws Error for a method that is answered twice
 */
export function mergeServices(registrations: readonly ServiceRegistration[]): ServiceRegistration[] {
  const merged = new Map<DescService, ServiceRegistration["implementation"]>();
  for (const { service, implementation } of registrations) {
    const others = merged.get(service) ?? {};
    const twice = Object.keys(implementation).find((name) => Object.hasOwn(others, name));
    if (twice !== undefined) throw new Error(`two handlers for ${service.typeName}.${twice}`);
    merged.set(service, { ...others, ...implementation });
  }
  return [...merged].map(([service, implementation]) => ({ service, implementation }));
}

/** Full names of the methods that the schema promises and nobody answers. */
export function listUnansweredMethods(registrations: readonly ServiceRegistration[]): string[] {
  return registrations.flatMap(({ service, implementation }) =>
    service.methods
      .filter((method) => implementation[method.localName] === undefined)
      .map((method) => `${service.typeName}.${method.name}`),
  );
}
