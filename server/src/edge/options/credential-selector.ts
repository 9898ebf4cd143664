import { type DescField, type DescMethod, getOption, isFieldSet, type Message } from "@bufbuild/protobuf";
import { selects_credential } from "@vestibule/proto/vestibule/v1/options_pb";

/** Decoding an option costs more than the rest of a cheap call. */
const known = new WeakMap<DescMethod, readonly DescField[]>();

/**
 * Whether a request selects its credential itself, which is then never the
 * session cookie; see `vestibule.v1.selects_credential`.
 */
export function selectsCredential(method: DescMethod, message: Message): boolean {
  const selectors =
    known.get(method) ?? method.input.fields.filter((field) => getOption(field, selects_credential));
  known.set(method, selectors);
  return selectors.some((field) => isFieldSet(message, field));
}
