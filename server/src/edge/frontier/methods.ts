import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { in_frontier } from "@vestibule/proto/vestibule/v1/options_pb";
import type { ServiceRegistration } from "../../assembly/services.ts";

/** The methods of our services that Frontier's clients know, for its alias; see `vestibule.v1.in_frontier`. */
export function listFrontierMethods(registrations: readonly ServiceRegistration[]): DescMethod[] {
  const methods = registrations.flatMap(({ service }) => service.methods);
  return methods.filter((method) => getOption(method, in_frontier));
}
