import type { Registry } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import type { DomainError } from "../../lib/errors.ts";

/**
 * What services take that are not of our schemas and are called as ours are:
 * the reference service of Connect's conformance suite, in tests.
 */
export interface Guests {
  /** Types that a `google.protobuf.Any` of theirs may hold in JSON. */
  readonly registry: Registry;
  /** What is answered to an error, theirs or ours. */
  answer(error: unknown, ours: () => DomainError | ConnectError): DomainError | ConnectError;
}
