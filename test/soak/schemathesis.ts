import type { Part } from "../parts/part.ts";
import { judgeRest } from "../parts/schemathesis.ts";

export default {
  needs: ["python"],
  limitMinutes: 30,
  run: (context) => judgeRest(context, { cases: 10_000, perOperation: 300 }),
} satisfies Part;
