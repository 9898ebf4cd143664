import { getOption } from "@bufbuild/protobuf";
import { in_frontier, in_frontier_admin } from "@vestibule/proto/vestibule/v1/options_pb";
import type { ServiceRegistration } from "../../assembly/services.ts";
import type { FrontierMethod } from "./alias.ts";

/**
 * The methods of our services that Frontier's clients know, for its aliases:
 * those that say so (`vestibule.v1.in_frontier`, `in_frontier_admin`), whatever
 * others of ours are called.
 */
export function listFrontierMethods(registrations: readonly ServiceRegistration[]): FrontierMethod[] {
  const methods = registrations.flatMap(({ service }) => service.methods);
  return [
    ...methods.filter((method) => getOption(method, in_frontier)).map(toMethod("FrontierService")),
    ...methods.filter((method) => getOption(method, in_frontier_admin)).map(toMethod("AdminService")),
  ];
}

function toMethod(service: FrontierMethod["service"]) {
  return (method: FrontierMethod["method"]): FrontierMethod => ({ service, method });
}
