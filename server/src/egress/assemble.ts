import { byLabel, counter } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import type { EgressConfig, OidcProviderConfig } from "../config/config.ts";
import type { Clock } from "../lib/clock.ts";
import { Tally } from "../lib/counts.ts";
import type { Log } from "../lib/log.ts";
import type { Tracing } from "../lib/tracing.ts";
import { createEgress, type Egress, fetchResults } from "./egress.ts";
import { createJsonCache, type JsonCache } from "./json-cache.ts";
import { toOperatorOrigins } from "./operator-origins.ts";

/** Parts that the guarded fetch is built from. */
export interface EgressParts {
  readonly egress: EgressConfig;
  /** By configuring them the operator allowed them, wherever they are. */
  readonly oidcProviders: readonly OidcProviderConfig[];
  readonly clock: Clock;
  readonly log: Log;
  readonly tracing: Tracing | undefined;
}

/** The one way out, for whoever has to ask others. */
export interface EgressRoom extends Room {
  readonly egress: Egress;
  /** Documents of others, kept for as long as they say. */
  readonly documents: JsonCache;
}

/** Puts the way out together. */
export function assembleEgress({ egress: config, oidcProviders, ...parts }: EgressParts): EgressRoom {
  const fetches = new Tally(fetchResults);
  const egress = createEgress({
    ...parts,
    allowCidrs: config.allowCidrs,
    allowedOrigins: toOperatorOrigins(oidcProviders),
    onEnded: (result) => fetches.add(result),
  });
  return {
    egress,
    documents: createJsonCache({ ...parts, egress }),
    metrics: [
      counter(
        "fetches_total",
        "Outgoing fetches, by the class of their status or the reason for which there is none.",
        () => byLabel("result", fetches.read()),
      ),
    ],
  };
}
