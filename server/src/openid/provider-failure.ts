/**
 * Why an identity provider was of no use: one cause, made where it happens.
 *
 * Whoever asks a provider wraps what it does by {@link asking}; whoever is to
 * say something of a failure, in a log, an audit, a page or an answer, goes by
 * its `verdict`, its `message` and its `findings`, and looks at no library's
 * error. None of them holds a secret, a code or a token.
 */
import { EgressError, type EgressReason } from "../egress/egress-error.ts";
import { type Findings, findingNames } from "../lib/findings.ts";
import type { Asked, FailureCause } from "./failure-cause.ts";
import { readLibraryError } from "./library-error.ts";
import { toShownText } from "./shown-text.ts";

type RefusedCause = Extract<FailureCause, { kind: "refused" }>;

/**
 * What a failure means for whoever wants to sign in: to ask `later`, since the
 * provider is down; to begin `anew`, since what was asked with is used or over;
 * that they `declined` themselves; or that nothing helps before an operator has
 * mended something, since the provider `refused` this server, or its answer
 * `proves_nothing`.
 */
export type Verdict = "later" | "anew" | "declined" | "refused" | "proves_nothing";

/** An answer of a provider, or the want of one, by which nobody is proven. The message is for logs and operators. */
export class ProviderFailure extends Error {
  override readonly name = "ProviderFailure";
  readonly why: FailureCause;
  readonly verdict: Verdict;

  constructor(why: FailureCause, cause?: unknown) {
    super(describe(why), cause === undefined ? undefined : { cause });
    this.why = why;
    this.verdict = judge(why);
  }

  /** The cause as names and values, for an audit's details. */
  get findings(): Findings {
    const { why } = this;
    const cause = why.kind === "unreachable" ? why.reason : why.kind;
    const told = { ...why, cause } as Readonly<Record<string, unknown>>;
    const named = findingNames.filter((name) => told[name] !== undefined);
    return Object.fromEntries(named.map((name) => [name, String(told[name])]));
  }
}

const longestError = 60;
const longestText = 200;

/** A question to a provider. */
export interface Question {
  readonly at: Asked;
  /** What goes along that its answer must not be shown to repeat. */
  readonly secrets?: readonly (string | undefined)[];
}

/**
 * Asks a provider.
 *
 * @throws ProviderFailure for whatever is the provider's; a defect of our own is thrown on.
 */
export async function asking<T>(question: Question, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw toProviderFailure(error, question) ?? error;
  }
}

/** An error that a provider answered with, as it may be shown. */
export function toRefused(
  { at, secrets = [] }: Question,
  { error, description, status }: Pick<RefusedCause, "error" | "status"> & { readonly description?: unknown },
  cause?: unknown,
): ProviderFailure {
  const known = toKnown(secrets);
  const shown = toShownText(error, known, longestError);
  const told = typeof description === "string" ? toShownText(description, known, longestText) : "";
  const why = {
    kind: "refused",
    at,
    error: /^[\w .:/-]+$/.test(shown) ? shown : "an error that cannot be shown",
    ...(told !== "" && { description: told }),
    ...(status !== undefined && { status }),
  } as const;
  return new ProviderFailure(why, cause);
}

/** An answer that was read, and lacks something. */
export function toUnusable(at: Asked, detail: string): ProviderFailure {
  return new ProviderFailure({ kind: "answer", at, detail });
}

/** Errors of a server that cannot answer now. */
const passingErrors = new Set(["server_error", "temporarily_unavailable", "slow_down"]);

/** What is answered for a code, a verifier or a refresh token that is used, over or revoked. */
const usedErrors = new Set(["invalid_grant", "bad_verification_code", "bad_refresh_token", "invalid_code"]);

/**
 * What a person's no is called: by OAuth 2 (RFC 6749 §4.1.2.1), by OpenID
 * Connect Core 1.0 §3.1.2.6 where nothing was to be shown to them, and by Apple
 * and LinkedIn.
 */
const ownErrors = new Set([
  "access_denied",
  "login_required",
  "interaction_required",
  "account_selection_required",
  "consent_required",
  "user_cancelled_authorize",
  "user_cancelled_login",
]);

/** Why a request fails that may be answered the next time. */
const passingReasons: ReadonlySet<EgressReason> = new Set(["timeout", "connection", "dns", "aborted"]);

function judge(why: FailureCause): Verdict {
  switch (why.kind) {
    case "refused":
      if (passingErrors.has(why.error) || isPassing(why.status)) return "later";
      if (why.at === "authorization_endpoint") return ownErrors.has(why.error) ? "declined" : "refused";
      return usedErrors.has(why.error) ? "anew" : "refused";
    case "status":
      return isPassing(why.status) ? "later" : "refused";
    case "unreachable":
      return passingReasons.has(why.reason) ? "later" : "proves_nothing";
    default:
      return "proves_nothing";
  }
}

/** Whether a status is of a server that fails, or is asked too often. */
function isPassing(status = 200): boolean {
  return status >= 500 || status === 429;
}

function describe(why: FailureCause): string {
  switch (why.kind) {
    case "refused":
      return `${why.at} answered ${why.error}${why.description ? ` (${why.description})` : ""}`;
    case "status":
      return `${why.at} answered ${why.status}`;
    case "unreachable":
      return why.at === undefined ? why.detail : `${why.at}: ${why.detail}`;
    case "answer":
      return `${why.at}: ${why.detail}`;
    case "claim": {
      const { at, claim, expected, found = "another than it has to be" } = why;
      const whose = at === "token_endpoint" ? "the ID token" : at;
      return `${whose}: ${claim} is ${found}${expected === undefined ? "" : `, and has to be ${expected}`}`;
    }
    case "algorithm":
      return `the ID token: it is signed by ${why.found}, and has to be by ${why.expected}`;
    case "signature":
      return `the ID token: ${why.detail}`;
  }
}

/** What an error of the egress, of the library or of our own readers means; undefined for a defect. */
function toProviderFailure(error: unknown, question: Question): ProviderFailure | undefined {
  if (error instanceof ProviderFailure) return error;
  const why = findEgressCause(error, question.at) ?? readLibraryError(error, question.at);
  if (why === undefined) return undefined;
  return "error" in why ? toRefused(question, why, error) : new ProviderFailure(clean(why, question), error);
}

function findEgressCause(error: unknown, at: Asked): FailureCause | undefined {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof EgressError)) continue;
    const { reason, message: detail, status } = cause;
    return status === undefined
      ? { kind: "unreachable", at, reason, detail }
      : { kind: "status", at, status };
  }
  return undefined;
}

/** The texts of a cause that a provider may have chosen. */
function clean(why: FailureCause, { secrets = [] }: Question): FailureCause {
  const show = (text: string) => toShownText(text, toKnown(secrets), longestText);
  switch (why.kind) {
    case "claim":
      return {
        ...why,
        ...(why.expected !== undefined && { expected: show(why.expected) }),
        ...(why.found !== undefined && { found: show(why.found) }),
      };
    case "algorithm":
      return { ...why, found: show(why.found), expected: show(why.expected) };
    case "answer":
      return { ...why, detail: show(why.detail) };
    default:
      return why;
  }
}

function toKnown(secrets: readonly (string | undefined)[]): readonly string[] {
  return secrets.filter((secret) => secret !== undefined);
}
