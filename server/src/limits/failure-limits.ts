/**
 * How often somebody may present a wrong credential: by their address, and by
 * address and client id.
 *
 * Counting and asking are looks into memory that all processes share. Whoever
 * judges what strangers present asks here, so that no door has tries of its own.
 */
import { toAddressBlock } from "../http/address-block.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import { createLru } from "../lib/lru.ts";

/** Counts of failed credentials that the limits are about. Totals are of a rolling minute. */
export interface FailureCounts {
  total(key: string): number;
  add(key: string): number;
  /** Counts one event and answers its place among those of all processes. Never rejects. */
  addTogether(key: string): Promise<number>;
  secondsUntilBelow(key: string, limit: number): number;
}

/** Clients that proved themselves, each from a block of addresses. Neither throws nor rejects. */
export interface GoodClients {
  note(client: { readonly block: string; readonly clientId: string }): void;
  isKnown(client: { readonly block: string; readonly clientId: string }): Promise<boolean>;
}

/** Where failures are counted, and how many are too many. */
export interface FailureLimitsOptions {
  readonly counts: FailureCounts;
  readonly goodClients: GoodClients;
  /** Failures per (address, client id) and minute. */
  readonly perClient: number;
  /** Failures per address and minute. */
  readonly perAddress: number;
  /** Hears which limit someone is refused by. */
  readonly onLimit?: (limit: FailureLimit) => void;
}

/** Names of the limits on failed credentials. */
export type FailureLimit = "client_failures" | "address_failures";

/** Limits on failures; each answers the refusal TOO_MANY_FAILURES where one is used up. */
export interface FailureLimits {
  /** Whether a secret from there may be judged at all: it could be guessed. */
  findUsedUp(address: string, clientId: string): Promise<DomainError | undefined>;
  /** Counts a failure among those of all processes, of which no more than allowed are answered by none. */
  count(address: string, clientId: string | undefined): Promise<DomainError | undefined>;
  /** Counts a failure by which nothing was guessed: what this process knows is enough. */
  countHere(address: string): DomainError | undefined;
  /** A secret from there was good: failures of others at that address do not shut this client out. */
  noteGood(address: string, clientId: string): void;
}

/** How many addresses are remembered with their blocks. */
const rememberedAddresses = 10_000;

function toClient(block: string, clientId: string) {
  return { block, clientId: clientId.toLowerCase() };
}

/** @see the head of this file */
export function createFailureLimits(options: FailureLimitsOptions): FailureLimits {
  const { counts, goodClients, perClient, perAddress, onLimit } = options;
  const blocks = createLru<string, string>(rememberedAddresses);

  function toBlock(address: string): string {
    const known = blocks.get(address);
    if (known !== undefined) return known;
    const block = toAddressBlock(address);
    blocks.set(address, block);
    return block;
  }

  /** All texts that are no id count as one client: they must neither be kept nor fill the memory. */
  function toClientKey(block: string, clientId: string): string {
    return `client ${block} ${isUuid(clientId) ? clientId.toLowerCase() : "-"}`;
  }

  function tooMany(key: string, limit: number): DomainError {
    const isOfClient = key.split(" ")[0] === "client";
    onLimit?.(isOfClient ? "client_failures" : "address_failures");
    return new DomainError("TOO_MANY_FAILURES", {
      retryAfterSeconds: counts.secondsUntilBelow(key, limit),
      detail: `${isOfClient ? "this client" : "this address"} failed ${limit} times in a minute`,
    });
  }

  return {
    async findUsedUp(address, clientId) {
      const block = toBlock(address);
      const addressKey = `address ${block}`;
      const ofAddress = counts.total(addressKey);
      if (ofAddress === 0) return undefined;
      const clientKey = toClientKey(block, clientId);
      if (counts.total(clientKey) >= perClient) return tooMany(clientKey, perClient);
      if (ofAddress < perAddress) return undefined;
      const isKnown = isUuid(clientId) && (await goodClients.isKnown(toClient(block, clientId)));
      return isKnown ? undefined : tooMany(addressKey, perAddress);
    },

    async count(address, clientId) {
      const block = toBlock(address);
      const addressKey = `address ${block}`;
      const clientKey = clientId === undefined ? undefined : toClientKey(block, clientId);
      const [ofAddress, ofClient] = await Promise.all([
        counts.addTogether(addressKey),
        clientKey === undefined ? 0 : counts.addTogether(clientKey),
      ]);
      if (clientKey !== undefined && ofClient > perClient) return tooMany(clientKey, perClient);
      return ofAddress > perAddress ? tooMany(addressKey, perAddress) : undefined;
    },
    countHere(address) {
      const addressKey = `address ${toBlock(address)}`;
      return counts.add(addressKey) > perAddress ? tooMany(addressKey, perAddress) : undefined;
    },
    noteGood: (address, clientId) => goodClients.note(toClient(toBlock(address), clientId)),
  };
}
