import { GateService } from "@vestibule/proto/vestibule/v1/gate_service_pb";
import { byLabel, counter } from "../../assembly/metric.ts";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import type { AuditTrail } from "../../audit/audit.ts";
import { listCacheMetrics } from "../../changes/cache-metrics.ts";
import type { Database } from "../../db/database.ts";
import { createExpirySweep } from "../../db/sweep.ts";
import type { JudgeSession } from "../sessions/judge.ts";
import { createAskProviders } from "./ask-providers.ts";
import { Decider, type DeciderOptions } from "./decide.ts";
import type { Decide } from "./decision.ts";
import { createExplain, type ExplainOptions } from "./explain.ts";
import { ExplainService, type ExplainServiceOptions } from "./explain-service.ts";
import { createGateMethods } from "./handler.ts";
import { deletePastKeyUses } from "./key-rate-store.ts";
import { KeyRates } from "./key-rates.ts";
import { createDecisionRecorder, type DecisionRecorder } from "./record.ts";

/** What deciding stands on. */
export interface DecisionParts
  extends Omit<DeciderOptions, "askProviders" | "keyRates" | "onDecision">,
    Omit<ExplainServiceOptions, "explain" | "reader">,
    Pick<ExplainOptions, "makeUnsignedHeaders"> {
  readonly database: Database;
  readonly audit: Pick<AuditTrail, "refuse">;
  readonly judgeSession: JudgeSession;
  /** As that, without any consequence. */
  readonly explainSession: JudgeSession;
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
  const keyRates = new KeyRates(parts);
  const askProviders = createAskProviders(parts.log, parts.judgeSession);
  const decider = new Decider({
    ...parts,
    askProviders,
    keyRates,
    onDecision: recorder.note,
  });
  const explanations = new ExplainService({
    ...parts,
    reader: parts.database.reader,
    explain: createExplain({
      ...parts,
      askProviders: createAskProviders(parts.log, parts.explainSession),
    }),
  });
  return {
    services: [registerService(GateService, createGateMethods(explanations))],
    decide: decider.decide,
    recorder,
    metrics: [
      counter("gate_decisions_total", "Decisions of the gate, by reason.", () =>
        byLabel("reason", recorder.read()),
      ),
      ...listCacheMetrics({ gate_admissions: decider.cache }),
    ],
    sweeps: [
      { kind: "api_key_uses", run: createExpirySweep(parts.database, parts.clock, deletePastKeyUses) },
    ],
    closing: [{ name: "uses of API keys", moment: "writes", ms: 2_000, run: () => keyRates.flush() }],
  };
}
