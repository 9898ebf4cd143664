import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { accepts_pats } from "@vestibule/proto/vestibule/v1/options_pb";

/** Decoding an option costs more than the rest of a cheap call. */
const known = new WeakMap<DescMethod, boolean>();

/** Whether a method is good for personal access tokens; one that does not say so is not. */
export function acceptsPats(method: DescMethod): boolean {
  const accepts = known.get(method) ?? getOption(method, accepts_pats);
  known.set(method, accepts);
  return accepts;
}
