/**
 * This room reads what the schema says of a method beside its shape, the
 * options of `vestibule.v1`, once for each method. It never acts upon them.
 */
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { credential_policy, CredentialPolicy as Option } from "@vestibule/proto/vestibule/v1/options_pb";
import type { CredentialPolicy } from "../../principals/judge.ts";

/** Services as published by others, which cannot carry our option, by how their names begin. */
const policiesOfOthers: readonly (readonly [start: string, policy: CredentialPolicy])[] = [
  ["grpc.health.v1.", "open"],
  ["grpc.reflection.v1.", "open"],
  ["grpc.reflection.v1alpha.", "open"],
  // A proxy proves itself by a token of its own; what its call carries besides is nobody's.
  ["envoy.service.auth.v3.", "grant"],
];

/** Decoding an option costs more than the rest of a cheap call. */
const known = new WeakMap<DescMethod, CredentialPolicy>();

/** Reads a method's policy. A method that does not say is `required`. */
export function getCredentialPolicy(method: DescMethod): CredentialPolicy {
  const policy = known.get(method) ?? readPolicy(method);
  known.set(method, policy);
  return policy;
}

function readPolicy(method: DescMethod): CredentialPolicy {
  const { typeName } = method.parent;
  const ofOthers = policiesOfOthers.find(([start]) => typeName.startsWith(start));
  if (ofOthers !== undefined) return ofOthers[1];
  switch (getOption(method, credential_policy)) {
    case Option.OPEN:
      return "open";
    case Option.GRANT:
      return "grant";
    default:
      return "required";
  }
}
