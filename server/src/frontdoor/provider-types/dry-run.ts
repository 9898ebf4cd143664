import type { FieldViolation } from "../../lib/errors.ts";
import type { ProviderCheck, ProviderInstance, ProviderSample, ProviderType } from "./provider-type.ts";
import type { ProviderValidator } from "./validate.ts";

/** The parts of a dry run: the type, its schema's check, and what to try. */
export interface DryRunRequest {
  readonly type: ProviderType;
  readonly validator: ProviderValidator;
  readonly provider: ProviderInstance;
  readonly sample: ProviderSample;
  /** Ends the run early and quietly. */
  readonly signal: AbortSignal;
}

/**
 * Dry run of a provider: the check `schema`, then, if it passes, the type's own
 * checks, each as soon as it is known. No detail repeats a secret of the
 * provider or the sample. Returns whether all checks were made that there are.
 */
export async function* dryRunProvider(request: DryRunRequest): AsyncGenerator<ProviderCheck, boolean> {
  const { type, validator, provider, sample, signal } = request;
  const violations = validator.validate(type.name, provider.data);
  yield toSchemaCheck(violations);
  if (violations.length > 0) return true;
  try {
    for await (const check of type.test(provider, toBareSample(sample), signal)) {
      if (signal.aborted) return false;
      yield check;
    }
    return true;
  } catch (error) {
    if (!signal.aborted) throw error;
    return false;
  }
}

function toSchemaCheck(violations: readonly FieldViolation[]): ProviderCheck {
  if (violations.length === 0) return { name: "schema", ok: true, detail: "the data fits the type's schema" };
  const problems = violations.map(({ field, description }) => `${field} ${description}`);
  return { name: "schema", ok: false, detail: problems.join("; ") };
}

/** People paste a token with the scheme and spaces around. An empty one is none. */
function toBareSample({ token = "", apiKey = "" }: ProviderSample): ProviderSample {
  const bareToken = token.trim().replace(/^bearer +/i, "");
  const bareKey = apiKey.trim();
  return { ...(bareToken !== "" && { token: bareToken }), ...(bareKey !== "" && { apiKey: bareKey }) };
}
