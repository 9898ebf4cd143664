import { EgressError } from "../../egress/egress-error.ts";
import { DomainError } from "../../lib/errors.ts";
import type { ProviderDecision, ProviderIdentity, ProviderRefusal, RefusalReason } from "./provider-type.ts";

/** Thrown within an authenticator to turn a credential down; {@link decide} makes it an answer. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly reason: RefusalReason;

  /** @param detail what to do next, for the provider's owner; never a secret. */
  constructor(reason: RefusalReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

/** Turns a credential down. @throws Refused */
export function refuse(reason: RefusalReason, detail: string): never {
  throw new Refused(reason, detail);
}

/**
 * Runs an authenticator and answers what it decides. A server that cannot be
 * asked is `unavailable`, which turns the credential down like everything that
 * is not a clear yes. A defect is thrown on.
 */
export function decide(identify: () => Promise<ProviderIdentity>): Promise<ProviderDecision> {
  return decideBy(async () => ({ allowed: true, identity: await identify() }));
}

/** As {@link decide}, of what is more than an identity. */
export async function decideBy<T extends { readonly allowed: true }>(
  judge: () => Promise<T>,
): Promise<T | ProviderRefusal> {
  try {
    return await judge();
  } catch (error) {
    return toRefusal(error);
  }
}

/** As {@link decide}, by what is at hand. */
export function decideNow(identify: () => ProviderIdentity): ProviderDecision {
  try {
    return { allowed: true, identity: identify() };
  } catch (error) {
    return toRefusal(error);
  }
}

function toRefusal(error: unknown): ProviderRefusal {
  if (error instanceof Refused) return { allowed: false, reason: error.reason, detail: error.message };
  if (error instanceof EgressError) return { allowed: false, reason: "unavailable", detail: error.message };
  if (error instanceof DomainError && error.kind === "unavailable") {
    return {
      allowed: false,
      reason: "unavailable",
      detail: "the credential cannot be looked up now: try again",
    };
  }
  throw error;
}
