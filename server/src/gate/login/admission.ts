/**
 * What follows a proof, whoever gave it: the policy of the frontend, by the very
 * rule that every ask is decided by, and a code for the frontend. Whoever would
 * be denied there is told here, in words, and gets no session.
 */
import type { AuditTrail } from "../../audit/audit.ts";
import { newState } from "../../auth/flows.ts";
import type { ProviderIdentity, ProviderRefusal } from "../../frontdoor/provider-types/provider-type.ts";
import type { PlainResponse } from "../../http/plain-route.ts";
import type { DomainError } from "../../lib/errors.ts";
import type { Findings } from "../../lib/findings.ts";
import { findProviderWords } from "../../lib/provider-words.ts";
import { findPolicyRefusal } from "../decisions/policy.ts";
import type { GateProvider } from "../directory/frontend.ts";
import { codeSeconds, type GateFlows, type ProvenSession } from "./gate-flows.ts";
import { toLabel } from "./login-views.ts";
import { toFinishUrl, toLoginPath } from "./places.ts";
import type { FoundVisit, VisitDesk } from "./visits.ts";

/** What letting people through to a frontend stands on. */
export interface AdmissionOptions {
  readonly desk: VisitDesk;
  readonly flows: Pick<GateFlows, "codes">;
  readonly audit: Pick<AuditTrail, "refuse">;
  /** What the people who come here call the place. */
  readonly siteName: string;
}

const unavailable = {
  status: 503,
  title: "Try again in a moment",
  text: "Whoever knows who you are does not answer right now. Nothing is wrong with your account.",
  mayTryAgain: true,
};

/** Another way on, for whoever is not let in. */
export interface OtherWay {
  readonly href: string;
  readonly label: string;
}

/** @see the head of this file */
export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Why the frontend would deny somebody: the page that says so; undefined where it would not. */
  findDenial(
    found: FoundVisit,
    provider: GateProvider,
    identity: ProviderIdentity,
    otherwise: OtherWay,
  ): PlainResponse | undefined {
    const refusal = findPolicyRefusal(found.place.frontend, identity);
    return refusal && this.#deny(found, provider, refusal, otherwise);
  }

  /** Says that a provider lets somebody not in, or cannot be asked. */
  showRefusal(
    found: FoundVisit,
    provider: GateProvider,
    { reason, detail, failure }: Pick<ProviderRefusal, "reason" | "detail" | "failure">,
    otherwise: OtherWay,
  ): PlainResponse {
    if (failure !== undefined) return this.showFailure(found, provider, failure, otherwise);
    if (reason !== "unavailable") {
      return this.#deny(found, provider, { reason: reason.toUpperCase(), detail }, otherwise);
    }
    const { outcome } = found.request.info;
    Object.assign(outcome, { code: "unavailable", reason: "UNAVAILABLE", detail });
    return this.#options.desk.show(found, { ...unavailable, next: { ...otherwise, label: "Try again" } });
  }

  /** Says that a provider was of no use, and whether it is worth trying again. */
  showFailure(
    found: FoundVisit,
    provider: GateProvider,
    { kind, reason, detail = "", findings }: DomainError,
    otherwise: OtherWay,
  ): PlainResponse {
    const { desk, siteName } = this.#options;
    Object.assign(found.request.info.outcome, { code: kind, reason, detail });
    this.#note(found, provider, { reason, detail, findings });
    const words = findProviderWords(reason, toLabel(provider, siteName)) ?? unavailable;
    const hasOthers = found.place.frontend.logins.length > 1;
    return desk.show(found, {
      ...words,
      ...(words.mayTryAgain && { next: { ...otherwise, label: "Try again" } }),
      ...(hasOthers && { otherwise: { href: toLoginPath(found.state), label: "Sign in another way" } }),
    });
  }

  /** Makes the code that lets somebody in, and answers where to go with it. */
  async makeCode({ state: _, ...found }: FoundVisit, session: ProvenSession): Promise<string> {
    const { id: visitId, visit, browserHash, place } = found;
    const { renews } = visit;
    const code = newState();
    await this.#options.flows.codes.keep(code, {
      strategy: place.frontend.id,
      browserHash,
      callbackUrl: toFinishUrl(place.origin, "", ""),
      flowSeconds: codeSeconds,
      secret: {
        frontdoorId: visit.frontdoorId,
        host: visit.host,
        isSecond: visit.isSecond,
        visitId,
        counted: visit.counted,
        session: { ...session, ...(renews && { renews: renews.sessionId }) },
      },
    });
    return toFinishUrl(place.origin, visit.path, code);
  }

  #deny(
    found: FoundVisit,
    provider: GateProvider,
    { reason, detail }: { readonly reason: string; readonly detail: string },
    otherwise: OtherWay,
  ): PlainResponse {
    Object.assign(found.request.info.outcome, { code: "permission_denied", reason, detail });
    this.#note(found, provider, { reason, detail });
    return this.#options.desk.show(found, {
      status: 403,
      title: "You cannot come in here",
      text: "Who you are is known, but this account is not among those that are let in.",
      otherwise,
    });
  }

  /** Without who it was: that is told to those who run the frontend once somebody is in. */
  #note(
    { request, place }: FoundVisit,
    provider: GateProvider,
    { reason, detail, findings }: { reason: string; detail: string; findings?: Findings | undefined },
  ): void {
    this.#options.audit.refuse(request.info, {
      action: "gate_login.refuse",
      reason,
      detail,
      orgId: place.frontend.orgId,
      target: place.frontend.id,
      details: {
        frontdoor: place.frontend.frontdoorId,
        host: place.host,
        provider: provider.id,
        ...findings,
      },
    });
  }
}
