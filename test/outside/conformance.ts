/**
 * Connect's own conformance suite, over the listener and the edge as they serve
 * our services, with its reference service in their place. Every case passes:
 * there is no list of known failures. What is not claimed: bidirectional streams
 * over HTTP/1.1 (the protocol asks for HTTP/2), certificates of clients, HTTP/3,
 * and other compressions than gzip.
 */
import type { Part } from "../parts/part.ts";
import { runSuite } from "./conformance/suite.ts";

export default {
  needs: ["go"],
  run: (context) => runSuite(context, {}),
} satisfies Part;
