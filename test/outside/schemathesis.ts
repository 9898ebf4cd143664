import type { Part } from "../parts/part.ts";
import { judgeRest } from "../parts/schemathesis.ts";

/** Always the same requests, so that nobody's change fails for what another day's would have found. */
const seed = 1;

export default {
  needs: ["python"],
  run: (context) => judgeRest(context, { cases: 2_000, perOperation: 20, seed }),
} satisfies Part;
