/**
 * Why the gate decides as it does about a request: the very rules of a
 * decision, one after the other, each with what it found.
 *
 * Nobody is let in by it: nothing is remembered, counted or signed.
 */
import type { GateAsk } from "../asks/ask.ts";
import { isNavigation } from "../asks/navigation.ts";
import type { GateFrontend } from "../directory/frontend.ts";
import type { AskProviders } from "./ask-providers.ts";
import { findCredential, readCredential } from "./credentials.ts";
import { toGateIdentity } from "./decide.ts";
import type { GateIdentity, HeaderLine, MakeIdentityHeaders } from "./decision.ts";
import { decideWithoutIdentity, findClaimRefusal, findEmailRefusal } from "./policy.ts";
import { type GateReason, gateReasons } from "./reasons.ts";

/** One thing that was looked at. */
export interface DecisionStep {
  readonly name:
    | "request"
    | "frontend"
    | "path"
    | "credential"
    | "provider"
    | "email"
    | "claims"
    | "identity";
  readonly isPassed: boolean;
  /** Never a secret. */
  readonly detail: string;
  readonly providerId?: string;
}

/** A decision with its grounds. */
export interface Explanation {
  readonly isAllowed: boolean;
  readonly reason: GateReason;
  readonly steps: readonly DecisionStep[];
  /** As the app would be told, without the assertion. */
  readonly identity: readonly HeaderLine[];
}

/** What the steps of a decision are taken by, none of which changes anything. */
export interface ExplainOptions {
  readonly askProviders: AskProviders;
  /** Makes headers whose assertion says nothing. */
  readonly makeUnsignedHeaders: MakeIdentityHeaders;
}

/** Explains what is decided at a frontend; undefined where no frontend has the host. */
export type Explain = (ask: GateAsk | GateReason, frontend: GateFrontend | undefined) => Promise<Explanation>;

/** Steps as they are taken; the first that is not passed decides. */
class Steps {
  readonly taken: DecisionStep[] = [];

  pass(name: DecisionStep["name"], detail: string, providerId?: string): void {
    this.taken.push({ name, isPassed: true, detail, ...(providerId !== undefined && { providerId }) });
  }

  fail(name: DecisionStep["name"], detail: string, providerId?: string): void {
    this.taken.push({ name, isPassed: false, detail, ...(providerId !== undefined && { providerId }) });
  }

  /** Ends with a denial. */
  deny(reason: GateReason): Explanation {
    return { isAllowed: false, reason, steps: this.taken, identity: [] };
  }
}

/** @see the head of this file */
export function createExplain({ askProviders, makeUnsignedHeaders }: ExplainOptions): Explain {
  async function allow(
    steps: Steps,
    reason: GateReason,
    target: { readonly host: string; readonly frontend: GateFrontend },
    identity?: GateIdentity,
  ): Promise<Explanation> {
    const { lines } = await makeUnsignedHeaders(target, identity);
    const told = lines.filter(([, value]) => value !== "");
    steps.pass(
      "identity",
      identity === undefined ? "the app is told of nobody" : `the app is told of ${identity.subject}`,
    );
    return { isAllowed: true, reason, steps: steps.taken, identity: told };
  }

  async function explainCredential(
    steps: Steps,
    { host, method, headers }: GateAsk,
    frontend: GateFrontend,
  ): Promise<Explanation> {
    const presented = findCredential(frontend, headers);
    if (presented === undefined) {
      steps.fail("credential", describeWanted(frontend));
      return steps.deny("NO_CREDENTIAL");
    }
    if (presented === "ambiguous") {
      steps.fail("credential", gateReasons.AMBIGUOUS_CREDENTIAL.text);
      return steps.deny("AMBIGUOUS_CREDENTIAL");
    }
    const credential = readCredential(presented);
    if (credential.kind === "malformed") {
      steps.fail("credential", `${presented.header}: ${credential.detail}`);
      return steps.deny("BAD_CREDENTIAL");
    }
    steps.pass("credential", `${presented.header} decides, with a credential of the kind ${credential.kind}`);
    const judgement = await askProviders({ host, frontend }, presented.header, credential, (answer) => {
      const { id } = answer.provider;
      if ("identity" in answer) steps.pass("provider", `vouches for ${answer.identity.subject}`, id);
      else steps.fail("provider", `${answer.refusal.reason}: ${answer.refusal.detail}`, id);
    });
    if (!judgement.isGood) {
      if (steps.taken.at(-1)?.name !== "provider") steps.fail("provider", judgement.detail);
      return steps.deny(judgement.reason);
    }
    const { provider, identity } = judgement;
    if (judgement.isDue === true && isNavigation({ method, headers })) {
      steps.fail("provider", gateReasons.SESSION_DUE.text, provider.id);
      return steps.deny("SESSION_DUE");
    }
    for (const { name, find, fits } of policySteps) {
      const refusal = find(frontend, identity);
      if (refusal === undefined) {
        steps.pass(name, fits);
        continue;
      }
      steps.fail(name, refusal.detail);
      return steps.deny(refusal.reason);
    }
    return await allow(steps, "IDENTIFIED", { host, frontend }, toGateIdentity(provider, identity));
  }

  return async (ask, frontend) => {
    const steps = new Steps();
    if (typeof ask === "string") {
      steps.fail("request", gateReasons[ask].text);
      return steps.deny(ask);
    }
    steps.pass("request", `${ask.method} ${ask.path} at ${ask.host}`);
    if (frontend === undefined) {
      steps.fail("frontend", gateReasons.UNKNOWN_HOST.text);
      return steps.deny("UNKNOWN_HOST");
    }
    const settled = decideWithoutIdentity(frontend, ask);
    if (settled === "FRONTDOOR_CLOSED") {
      steps.fail("frontend", gateReasons[settled].text);
      return steps.deny(settled);
    }
    steps.pass("frontend", `${frontend.hostname} answers`);
    if (settled === undefined) {
      steps.pass("path", "needs an identity");
      return await explainCredential(steps, ask, frontend);
    }
    const { outcome, text } = gateReasons[settled];
    if (outcome !== "allow") {
      steps.fail(settled === "FORGED_IDENTITY" ? "request" : "path", text);
      return steps.deny(settled);
    }
    steps.pass("path", text);
    return await allow(steps, settled, { host: ask.host, frontend });
  };
}

const policySteps = [
  { name: "email", find: findEmailRefusal, fits: "the policy lets the address in, or asks for none" },
  { name: "claims", find: findClaimRefusal, fits: "every claim that the policy requires is there" },
] as const;

function describeWanted({ byIssuer, byKeyHeader, own, judgesAuthorization }: GateFrontend): string {
  const bearer = [...byIssuer.keys()].map((issuer) => `a JWT of ${issuer}`);
  const wanted = [
    ...(judgesAuthorization ? bearer : []),
    ...(judgesAuthorization && own.length > 0 ? ["a credential of this service"] : []),
    ...[...byKeyHeader.keys()].map((header) => `an API key in ${header}`),
  ];
  return wanted.length === 0
    ? "the frontend accepts no credential: enable one of its providers"
    : `there is none; accepted is ${wanted.join(", ")}`;
}
