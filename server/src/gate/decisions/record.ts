/** What is kept of decisions: a count by reason of all, and a record of each denial that says something of its asker. */
import type { AuditTrail } from "../../audit/audit.ts";
import { Tally } from "../../lib/counts.ts";
import type { GateAsk } from "../asks/ask.ts";
import type { GateFrontend } from "../directory/frontend.ts";
import type { GateDecision } from "./decision.ts";
import { type GateReason, gateReasons } from "./reasons.ts";

/** Reasons that are no refusal of anything: every visit begins so. */
const unrecorded: ReadonlySet<GateReason> = new Set(["NO_CREDENTIAL"]);

/** Who asked, as far as it can be told: of what is denied before it is read, not even where. */
export type Asker = Pick<GateAsk, "frontdoorId" | "requestId" | "clientAddress" | "userAgent"> &
  Partial<Pick<GateAsk, "host">>;

/** Keeps count and record of decisions. */
export interface DecisionRecorder {
  /** Never waits, never throws. */
  note(asker: Asker, frontend: GateFrontend | undefined, decision: GateDecision): void;
  /** How many decisions there were since the start, by reason. */
  read(): Readonly<Record<GateReason, number>>;
}

/** @see {@link DecisionRecorder} */
export function createDecisionRecorder(audit: Pick<AuditTrail, "refuse">): DecisionRecorder {
  const tally = new Tally(Object.keys(gateReasons) as GateReason[]);
  return {
    note(asker, frontend, decision) {
      tally.add(decision.reason);
      if (decision.isAllowed || unrecorded.has(decision.reason)) return;
      const { requestId, clientAddress, userAgent, frontdoorId, host } = asker;
      const { reason, detail } = decision;
      audit.refuse(
        { requestId, clientAddress, userAgent, fromTrustedProxy: true, outcome: {} },
        {
          action: "gate.deny",
          reason,
          ...(detail !== undefined && { detail }),
          ...(frontend && { orgId: frontend.orgId, target: frontend.id }),
          details: { frontdoor: frontdoorId, ...(host !== undefined && { host }) },
        },
      );
    },
    read: () => tally.read(),
  };
}
