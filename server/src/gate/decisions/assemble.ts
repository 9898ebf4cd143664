import { byLabel, counter } from "../../assembly/metric.ts";
import type { Room } from "../../assembly/room.ts";
import type { AuditTrail } from "../../audit/audit.ts";
import { listCacheMetrics } from "../../changes/cache-metrics.ts";
import { Decider, type DeciderOptions } from "./decide.ts";
import type { Decide } from "./decision.ts";
import { createJudge } from "./judge.ts";
import { KeyRates } from "./key-rates.ts";
import { createDecisionRecorder, type DecisionRecorder } from "./record.ts";

/** What deciding stands on. */
export interface DecisionParts extends Omit<DeciderOptions, "judge" | "keyRates" | "onDecision"> {
  readonly audit: Pick<AuditTrail, "refuse">;
}

/** What dialects ask. */
export interface DecisionsRoom extends Room {
  readonly decide: Decide;
  /** For what is denied before there is an ask. */
  readonly recorder: DecisionRecorder;
}

/** Puts the gate's decisions together. */
export function assembleDecisions(parts: DecisionParts): DecisionsRoom {
  const recorder = createDecisionRecorder(parts.audit);
  const decider = new Decider({
    ...parts,
    judge: createJudge(parts.log),
    keyRates: new KeyRates(parts),
    onDecision: recorder.note,
  });
  return {
    decide: decider.decide,
    recorder,
    metrics: [
      counter("gate_decisions_total", "Decisions of the gate, by reason.", () =>
        byLabel("reason", recorder.read()),
      ),
      ...listCacheMetrics({ gate_admissions: decider.cache }),
    ],
  };
}
