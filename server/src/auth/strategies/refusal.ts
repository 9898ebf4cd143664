import { DomainError } from "../../lib/errors.ts";
import { isOutage, providerUnavailable } from "../../openid/outage.ts";

/** What a caller is told when a provider did not answer for a visitor: that it is down, or that there is no such answer. */
export function toRefusal(name: string, error: unknown): DomainError {
  if (isOutage(error)) return providerUnavailable(name, error);
  const said = error instanceof DomainError ? error.detail : (error as Error).message;
  const detail = said === undefined ? name : `${name}: ${said}`;
  return new DomainError("INVALID_FLOW", { detail, cause: error });
}
