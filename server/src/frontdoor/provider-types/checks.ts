/** The steps that dry runs of several types share. Each asks the other server afresh. */
import type { Egress, EgressRequest } from "../../egress/egress.ts";
import { EgressError } from "../../egress/egress-error.ts";
import { fetchJson, parseObject, type RemoteJson } from "../../egress/fetch-json.ts";
import type { SignatureAlgorithm } from "../../signatures/algorithms.ts";
import { findFittingKeys, readKeySet } from "../../signatures/key-set.ts";
import { toShown } from "./bearer-jwt.ts";
import type { ProviderCheck, ProviderDecision } from "./provider-type.ts";
import { Refused } from "./refused.ts";

/** A finished step, and what the next ones need of it; no value when it failed. */
export interface Step<T> {
  readonly check: ProviderCheck;
  readonly value?: T;
}

/** Fetches of one dry run. */
export interface DryRun {
  readonly egress: Egress;
  readonly signal: AbortSignal;
}

interface Found<T> {
  readonly detail: string;
  readonly value: T;
}

/**
 * Runs a step. A refusal or an unreachable server fails the check; a defect,
 * and the end of the dry run, is thrown on.
 */
export async function runStep<T>(name: string, run: () => Promise<Found<T>>): Promise<Step<T>> {
  try {
    const { detail, value } = await run();
    return { check: { name, ok: true, detail }, value };
  } catch (error) {
    const isAnswer = error instanceof Refused || (error instanceof EgressError && error.reason !== "aborted");
    if (!isAnswer) throw error;
    return { check: { name, ok: false, detail: error.message } };
  }
}

/** Fails a step. @param detail what is wrong and what to do next. */
export function failStep(detail: string): never {
  throw new Refused("unavailable", detail);
}

/** Whether the host has addresses, and only ones that may be reached. */
export function resolveName({ egress, signal }: DryRun, url: string): Promise<Step<true>> {
  return runStep("name_resolution", async () => {
    const { url: vetted, addresses } = await egress.vet(url, signal);
    const count = addresses.length === 1 ? "1 address" : `${addresses.length} addresses`;
    return { detail: `${vetted.host} has ${count} that may be reached`, value: true };
  });
}

/** Fetches a document and answers it. */
export function fetchDocument(
  { egress, signal }: DryRun,
  name: string,
  url: string,
): Promise<Step<RemoteJson>> {
  return runStep(name, async () => {
    const { value } = await fetchJson(egress, url, { signal });
    return { detail: `read from ${new URL(url).host}`, value };
  });
}

/** Whether a key set has keys for the algorithms, and how many of which. */
export function checkKeySet(
  document: RemoteJson,
  algorithms: readonly SignatureAlgorithm[],
): Promise<Step<RemoteJson>> {
  return runStep("jwks", async () => {
    const set = readKeySet(document);
    const usable = set.keys.filter((key) =>
      algorithms.some((algorithm) => findFittingKeys({ ...set, keys: [key] }, algorithm).length > 0),
    );
    const others = [...set.unusable].map(([cause, count]) => `${count} ${cause}`).join(", ");
    const passedOver = others === "" ? "" : `; passed over: ${others}`;
    if (usable.length === 0) {
      failStep(
        `the key set has no key for ${algorithms.join(", ")}${passedOver}: change the allowed algorithms, or have the issuer publish its keys`,
      );
    }
    return { detail: `${usable.length} of its keys can verify signatures${passedOver}`, value: document };
  });
}

/** Whether the endpoints a document names may be reached; all that may not are told of. */
export function vetEndpoints(
  { egress, signal }: DryRun,
  document: RemoteJson,
  names: { readonly required: readonly string[]; readonly optional: readonly string[] },
): Promise<Step<true>> {
  return runStep("endpoints", async () => {
    const problems: string[] = [];
    const present = [...names.required, ...names.optional].filter((name) => document[name] !== undefined);
    for (const name of names.required) {
      if (document[name] === undefined) problems.push(`${name} is missing from the discovery document`);
    }
    for (const name of present) {
      try {
        await egress.vet(String(document[name]), signal);
      } catch (error) {
        if (!(error instanceof EgressError) || error.reason === "aborted") throw error;
        problems.push(`${name}: ${error.message}`);
      }
    }
    if (problems.length > 0) failStep(problems.join("; "));
    return { detail: `${present.join(", ")} may be reached`, value: true };
  });
}

/** An answer of a token endpoint to a code that was made up. */
export interface ProbeAnswer {
  readonly status: number;
  /** `error` of RFC 6749 §5.2; empty when the answer has none. */
  readonly error: string;
}

/** A code no server has issued. Trying it shows whether the client itself is believed, and does nothing. */
export const inventedCode = "vestibule-dry-run";

/** Posts a form to a token endpoint. Of the answer only its `error` is kept. */
export async function probeTokenEndpoint(
  { egress, signal }: DryRun,
  url: string,
  form: Readonly<Record<string, string>>,
  headers: EgressRequest["headers"] = {},
): Promise<ProbeAnswer> {
  const response = await egress.fetch(url, {
    method: "POST",
    headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(form).toString(),
    maxBytes: 64 * 1024,
    signal,
  });
  const error = parseObject(response.body)?.error;
  return { status: response.status, error: typeof error === "string" ? error : "" };
}

/** What would be decided about a sample, as a check. */
export function toSampleCheck(decision: ProviderDecision): ProviderCheck {
  if (!decision.allowed) {
    return { name: "sample", ok: false, detail: `refused, ${decision.reason}: ${decision.detail}` };
  }
  const { subject, email, emailVerified } = decision.identity;
  const address =
    email === undefined ? "" : `, e-mail ${toShown(email)} (${emailVerified ? "verified" : "not verified"})`;
  return { name: "sample", ok: true, detail: `accepted: subject ${toShown(subject)}${address}` };
}

/** The check of a sample that earlier failures leave unjudged. */
export const untriedSample: ProviderCheck = {
  name: "sample",
  ok: false,
  detail: "not judged: the checks before it have to pass first",
};

/** The check of a sample of another kind than the provider takes. */
export function toWrongSample(detail: string): ProviderCheck {
  return { name: "sample_kind", ok: false, detail };
}
