/**
 * A denial as the visitor gets it: a way to sign in, a page in words for
 * somebody who opens one, JSON for everything else. Nobody is told what the
 * policy is, or which of the gate's steps it was; the request's id leads
 * operators there.
 */
import type { RenderPage } from "../../html/frame.ts";
import type { ErrorKind } from "../../lib/errors.ts";
import type { GateAsk } from "../asks/ask.ts";
import { isFromBrowser, isNavigation } from "../asks/navigation.ts";
import type { GateDenied } from "../decisions/decision.ts";
import { type GateOutcome, type GateReason, gateReasons } from "../decisions/reasons.ts";
import { type AnswerHead, type GateAnswer, noStore } from "./answer.ts";
import { toWordsPage } from "./words.ts";

/** What a denial comes to. */
type DenialOutcome = Exclude<GateOutcome, "allow">;

/** How each is said. */
interface Denial {
  readonly status: number;
  /** In the log, in metrics and in JSON. */
  readonly code: ErrorKind;
  readonly message: string;
  readonly title: string;
  readonly text: string;
}

const denials: Record<DenialOutcome, Denial> = {
  unauthenticated: {
    status: 401,
    code: "unauthenticated",
    message: "this needs a credential that is accepted here",
    title: "You have to say who you are",
    text: "This place lets in those who prove who they are, and nothing that came from this browser does.",
  },
  forbidden: {
    status: 403,
    code: "permission_denied",
    message: "not allowed here",
    title: "You cannot come in here",
    text: "What this browser asked for is not allowed.",
  },
  limited: {
    status: 429,
    code: "resource_exhausted",
    message: "too many requests, try again later",
    title: "Too many requests",
    text: "More came from you, or from your network, than this place takes. Wait a little, then try again.",
  },
  unavailable: {
    status: 503,
    code: "unavailable",
    message: "temporarily unavailable, try again",
    title: "Try again in a moment",
    text: "Whether you may come in cannot be told right now. Nothing is wrong with your account.",
  },
};

/** Where more can be said to a person, who has proven who they are. */
const textsOfReasons: Partial<Record<GateReason, string>> = {
  EMAIL_NOT_ALLOWED: "Who you are is known, but this account is not among those that are let in.",
  CLAIM_MISSING: "Who you are is known, but this account is not among those that are let in.",
  UNKNOWN_HOST: "Nothing is set up at this address.",
  FRONTDOOR_CLOSED: "This place is closed.",
  SESSION_ENDED: "You were signed in here, and are no longer.",
};

/** When to come again, where nobody said so. */
const retryAfterSeconds = 1;

/** How a reason is said. */
export function toDenial(reason: GateReason): Denial {
  const { outcome } = gateReasons[reason];
  // What lets others through is no reason to deny: it cannot be told what it is.
  return denials[outcome === "allow" ? "unavailable" : outcome];
}

/** What every denial's head has: challenges where one has to say who one is (RFC 9110 §15.5.2), a time where that helps. */
export function toDenialHead(
  denied: GateDenied,
  ask: GateAsk | undefined,
  challengeLines: ChallengeLines,
): AnswerHead {
  const { status } = toDenial(denied.reason);
  const head: AnswerHead = [...noStore];
  if (status === 401) {
    const challenges = listChallenges(denied, ask);
    head.push("WWW-Authenticate", challengeLines === "one" ? challenges.join(", ") : challenges);
  }
  if (status === 429 || status === 503) {
    head.push("Retry-After", String(Math.ceil(denied.retryAfterSeconds ?? retryAfterSeconds)));
  }
  return head;
}

/** Whether several challenges stand in one line, for a proxy that keeps the first alone, or in one each. */
type ChallengeLines = "one" | "each";

/** A browser would answer a challenge of Basic with a dialogue of its own, for a password that no person has. */
function listChallenges({ challenges = [] }: GateDenied, ask: GateAsk | undefined): string[] {
  const isBrowser = ask !== undefined && (isFromBrowser(ask) || isNavigation(ask));
  const listed = challenges.filter((challenge) => !isBrowser || !/^basic\b/i.test(challenge));
  return listed.length > 0 ? listed : ["Bearer"];
}

function toVisitorHead(denied: GateDenied, ask: GateAsk | undefined): AnswerHead {
  return [...toDenialHead(denied, ask, "each"), "X-Content-Type-Options", "nosniff"];
}

/** Makes a denial's answer for the visitor. @param ask absent where there is none: what came could not be read. */
export type AnswerVisitor = (denied: GateDenied, ask: GateAsk | undefined, requestId: string) => GateAnswer;

/** @see the head of this file */
export function createAnswerVisitor(render: RenderPage): AnswerVisitor {
  function toPage(denied: GateDenied, ask: GateAsk, requestId: string): GateAnswer {
    const { status, title, text } = toDenial(denied.reason);
    const words = { status, title, text: textsOfReasons[denied.reason] ?? text };
    const page = toWordsPage(words, { requestId, host: ask.host });
    const { headers = {}, body } = render({ ...page, isAlone: true });
    const head = toVisitorHead(denied, ask);
    for (const [name, value] of Object.entries(headers)) {
      if (name !== "cache-control") head.push(name, typeof value === "string" ? value : [...value]);
    }
    return { status, head, body };
  }

  return (denied, ask, requestId) => {
    const { status, code, message } = toDenial(denied.reason);
    if (ask !== undefined && isNavigation(ask)) {
      const { login } = denied;
      if (login === undefined) return toPage(denied, ask, requestId);
      return {
        status: 302,
        head: [...noStore, "Location", login, "Referrer-Policy", "no-referrer"],
        body: "",
      };
    }
    const head = toVisitorHead(denied, ask);
    head.push("Content-Type", "application/json");
    return { status, head, body: JSON.stringify({ code, message }) };
  };
}
