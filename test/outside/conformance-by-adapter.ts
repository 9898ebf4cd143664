/** As `conformance.ts`, with all calls answered as `direct_calls: false` has them: both ways pass every case. */
import type { Part } from "../parts/part.ts";
import { runSuite } from "./conformance/suite.ts";

export default {
  needs: ["go"],
  run: (context) => runSuite(context, { TEST_BY_ADAPTER: "1" }),
} satisfies Part;
