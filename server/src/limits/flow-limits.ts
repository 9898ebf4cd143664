/**
 * How many sign-ins may be on their way that were begun from one address within
 * a minute. Whoever comes to a good end takes none of it: what is bounded is
 * beginning without end, for each of these is a row and perhaps a fetch, and
 * asks for no credential.
 *
 * Addresses of IPv6 count by /64, for which a tenth is plenty: an office
 * shares one address of IPv4, a /64 is seldom more than a household's. Counted
 * as the failures of machines are: looked up in memory, shared by all processes
 * several times a second, so that a flood costs no access to the database.
 */
import { toAddressBlock } from "../http/address-block.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";

/** Counts of begun flows that these limits ask. Totals are of a rolling minute. */
export interface FlowCounts {
  total(key: string): number;
  add(key: string): number;
  giveBack(key: string, at: Date): void;
  secondsUntilBelow(key: string, limit: number): number;
}

export interface FlowLimitsOptions {
  readonly counts: FlowCounts;
  readonly clock: Clock;
  /** Per IPv4 address and minute. */
  readonly perIpv4Address: number;
  /** Per IPv6 /64 and minute. */
  readonly perIpv6Block: number;
  /** Hears that the limit has refused someone. */
  readonly onLimit?: (limit: FlowLimit) => void;
}

/** Names of the limits on begun flows. */
export type FlowLimit = "address_flows";

/** A beginning that was counted. */
export interface CountedFlow {
  readonly key: string;
  readonly at: Date;
}

/** @see the head of this file */
export class FlowLimits {
  readonly #options: FlowLimitsOptions;

  constructor(options: FlowLimitsOptions) {
    this.#options = options;
  }

  /** Counts a beginning, unless as many are on their way as may be. @throws DomainError TOO_MANY_FLOWS */
  take(clientAddress: string): CountedFlow {
    const { counts, clock, perIpv4Address, perIpv6Block, onLimit } = this.#options;
    const block = toAddressBlock(clientAddress);
    const limit = block.includes(":") ? perIpv6Block : perIpv4Address;
    const key = `flows ${block}`;
    if (counts.total(key) >= limit) {
      onLimit?.("address_flows");
      throw new DomainError("TOO_MANY_FLOWS", {
        retryAfterSeconds: counts.secondsUntilBelow(key, limit),
        detail: `this address began ${limit} sign-ins within a minute that did not end`,
      });
    }
    const at = clock.now();
    counts.add(key);
    return { key, at };
  }

  /** It came to a good end, or was none. To be called once. */
  giveBack({ key, at }: CountedFlow): void {
    this.#options.counts.giveBack(key, at);
  }
}
