import { createLru } from "../lib/lru.ts";
import { type Cidr, createNetworkMatcher, findAddress } from "./cidr.ts";

/** What the connection and the proxies say of where a request comes from. */
export interface AddressHints {
  /** The peer of the connection, as the socket has it. */
  readonly peer: string;
  /** `X-Forwarded-For`. Wins over `forwarded`. */
  readonly xForwardedFor: string | undefined;
  /** `Forwarded` (RFC 7239). */
  readonly forwarded: string | undefined;
  /** Whether the peer has proven to be a proxy, whatever its address. */
  readonly isProven?: boolean;
}

/** Where a request comes from. */
export interface ClientAddress {
  /** Normalised; an IPv4 address mapped into IPv6 is written as IPv4. */
  readonly address: string;
  readonly fromTrustedProxy: boolean;
}

/** What is known of an address by its text alone; reading one costs more than the rest of the rule. */
interface Hop {
  /** Normalised; as it is where it cannot be read. */
  readonly text: string;
  readonly isAddress: boolean;
  readonly isTrusted: boolean;
}

/** How many addresses are remembered, the latest, and the longest text that is one, in characters. */
const rememberedHops = 10_000;
const longestHop = 64;

/**
 * Makes the rule that finds a client's address.
 *
 * It is the peer's, unless the peer is a trusted proxy: then the rightmost
 * address of the forwarding header that is not one of the proxies'. What
 * cannot be read ends the search, for beyond it anything may be invented.
 */
export function createClientAddressRule(
  trustedProxies: readonly Cidr[],
): (hints: AddressHints) => ClientAddress {
  const isTrusted = createNetworkMatcher(trustedProxies);
  const hops = createLru<string, Hop>(rememberedHops);

  function read(text: string): Hop {
    if (text.length > longestHop) return { text, isAddress: false, isTrusted: false };
    let hop = hops.get(text);
    if (hop === undefined) {
      const address = findAddress(stripPort(text));
      const isAddress = address !== undefined;
      hop = { text: address?.toString() ?? text, isAddress, isTrusted: isAddress && isTrusted(address) };
      hops.set(text, hop);
    }
    return hop;
  }

  return ({ peer, xForwardedFor, forwarded, isProven = false }) => {
    const proxy = isProven ? undefined : read(peer);
    if (proxy?.isTrusted === false) return { address: proxy.text, fromTrustedProxy: false };
    const sent = xForwardedFor ?? readForwarded(forwarded);
    let client = proxy;
    for (let end = sent.length; end >= 0; ) {
      const comma = end === 0 ? -1 : sent.lastIndexOf(",", end - 1);
      const hop = read(sent.slice(comma + 1, end).trim());
      if (!hop.isAddress) break;
      client = hop;
      if (!hop.isTrusted) break;
      end = comma;
    }
    return { address: (client ?? read(peer)).text, fromTrustedProxy: true };
  };
}

/** The `for` of every element, in order, as `X-Forwarded-For` has them; one without cannot be read and stays empty. */
function readForwarded(header = ""): string {
  const elements = header.split(",");
  return elements.map((each) => /(?:^|;)\s*for\s*=\s*("?)([^";,]*)\1/i.exec(each)?.[2] ?? "").join();
}

/** `192.0.2.1:80` and `[2001:db8::1]:80` without what surrounds the address. */
function stripPort(hop: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(hop)?.[1] ?? hop;
}
