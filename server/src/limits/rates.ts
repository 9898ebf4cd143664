/**
 * How often something may be done within a minute, by whom: a line of
 * {@link rules} each, which whoever does it asks first.
 *
 * Counted as the failures of machines are: looked up in memory, shared by all
 * processes several times a second, so that a flood costs no access to the
 * database.
 */
import type { LimitsConfig } from "../config/config.ts";
import { toAddressBlock } from "../http/address-block.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError, type Reason } from "../lib/errors.ts";

/** What a rate allows one that is counted. */
interface Share {
  /** Who is counted as one. */
  readonly subject: string;
  /** How often within a minute. */
  readonly limit: number;
}

interface RateRule {
  /** What those hear who are refused. */
  readonly reason: Reason;
  readonly toShare: (who: string) => Share;
}

/** By client address; those of IPv6 by /64, for which less is plenty: an office shares one address of IPv4. */
function perAddress(ofIpv4: number, ofIpv6Block: number): RateRule["toShare"] {
  return (address) => {
    const subject = toAddressBlock(address);
    return { subject, limit: subject.includes(":") ? ofIpv6Block : ofIpv4 };
  };
}

/** Every rate, by the name that the metric of refusals has for it. */
function rules(limits: LimitsConfig) {
  const { begunFlowsPerIpv4AddressPerMinute, begunFlowsPerIpv6BlockPerMinute } = limits;
  return {
    // Beginnings on their way: each is a row and perhaps a fetch, and asks for no credential. One that ends well is given back.
    address_flows: {
      reason: "TOO_MANY_FLOWS",
      toShare: perAddress(begunFlowsPerIpv4AddressPerMinute, begunFlowsPerIpv6BlockPerMinute),
    },
    // Each judges a credential, and may have an issuer asked. By organization.
    explanations: {
      reason: "TOO_MANY_EXPLANATIONS",
      toShare: (orgId) => ({ subject: orgId, limit: explanationsPerMinute }),
    },
  } as const satisfies Record<string, RateRule>;
}

/** How many decisions of the gate an organization has explained to it within a minute. */
const explanationsPerMinute = 60;

/** Name of a rate. */
export type RateName = keyof ReturnType<typeof rules>;

/** Counts that rates ask. Totals are of a rolling minute. */
interface RateCounts {
  total(key: string): number;
  add(key: string): number;
  giveBack(key: string, at: Date): void;
  secondsUntilBelow(key: string, limit: number): number;
}

/** Where rates are counted, by which clock, and who hears of a limit. */
export interface RateOptions {
  readonly counts: RateCounts;
  readonly clock: Clock;
  /** Hears which rate has refused someone. */
  readonly onLimit?: (name: RateName) => void;
}

/** An event that was counted. */
export interface Counted {
  readonly key: string;
  readonly at: Date;
}

/** One rate. */
export interface Rate {
  /** Counts an event, unless as many were counted as may be. @throws DomainError with the rate's reason */
  take(who: string): Counted;
  /** It shall not count after all. To be called once. */
  giveBack(counted: Counted): void;
}

/** Makes every rate. */
export function createRates(options: RateOptions, limits: LimitsConfig): Readonly<Record<RateName, Rate>> {
  const named = Object.entries(rules(limits)) as [RateName, RateRule][];
  const rates = named.map(([name, rule]) => [name, createRate(options, name, rule)]);
  return Object.fromEntries(rates) as Record<RateName, Rate>;
}

function createRate(
  { counts, clock, onLimit }: RateOptions,
  name: RateName,
  { reason, toShare }: RateRule,
): Rate {
  return {
    take(who) {
      const { subject, limit } = toShare(who);
      const key = `${name} ${subject}`;
      if (counts.total(key) >= limit) {
        onLimit?.(name);
        const retryAfterSeconds = counts.secondsUntilBelow(key, limit);
        throw new DomainError(reason, { retryAfterSeconds, detail: `${name}: ${limit} within a minute` });
      }
      const at = clock.now();
      counts.add(key);
      return { key, at };
    },
    giveBack: ({ key, at }) => counts.giveBack(key, at),
  };
}
