import { DomainError, type Reason } from "../lib/errors.ts";
import { ProviderFailure, toRefused, type Verdict } from "./provider-failure.ts";

/** What a caller is told of each. */
const reasonOf = {
  later: "UNAVAILABLE",
  anew: "INVALID_FLOW",
  declined: "INVALID_FLOW",
  refused: "PROVIDER_REFUSED",
  proves_nothing: "PROVIDER_PROVES_NOTHING",
} as const satisfies Record<Verdict, Reason>;

/** And in which words, where the reason's own do not name the provider. */
const messageOf: Partial<Record<Verdict, (name: string) => string>> = {
  later: (name) => `identity provider ${name} cannot be reached, try again or sign in another way`,
  refused: (name) => `identity provider ${name} refused this server: tell its operator the request id`,
  proves_nothing: (name) =>
    `nothing is proven by what identity provider ${name} answered: tell the operator the request id`,
};

/** What a caller is told when a provider let nobody in; the cause is for the log and the audit. */
export function toRefusal(name: string, failure: ProviderFailure): DomainError {
  const { verdict, message, findings } = failure;
  const told = messageOf[verdict]?.(name);
  return new DomainError(reasonOf[verdict], {
    ...(told !== undefined && { message: told }),
    detail: `${name}: ${message}`,
    findings,
    metadata: { provider: name },
    cause: failure,
  });
}

/** An error that a browser brought from a provider instead of a code. */
export interface BroughtError {
  readonly error: string;
  readonly description?: string;
}

/** What such an error means (RFC 6749 §4.1.2.1), and whether it is the person's own no. @param state of the flow, which is a secret */
export function readBroughtError(
  name: string,
  said: BroughtError,
  state: string,
): { readonly isDeclined: boolean; readonly refusal: DomainError } {
  const failure = toRefused({ at: "authorization_endpoint", secrets: [state] }, said);
  return { isDeclined: failure.verdict === "declined", refusal: toRefusal(name, failure) };
}

/** Asks a provider for a caller, who is told what comes of it. @throws DomainError; a defect is thrown on */
export async function askFor<T>(name: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof ProviderFailure ? toRefusal(name, error) : error;
  }
}
