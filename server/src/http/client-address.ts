import { createLru } from "../lib/lru.ts";
import { type Address, type Cidr, createNetworkMatcher, findAddress } from "./cidr.ts";

/** What the connection and the proxies say of where a request comes from. */
export interface AddressHints {
  /** The peer of the connection, as the socket has it. */
  readonly peer: string;
  /** `X-Forwarded-For`. Wins over `forwarded`. */
  readonly xForwardedFor: string | undefined;
  /** `Forwarded` (RFC 7239). */
  readonly forwarded: string | undefined;
}

/** Where a request comes from. */
export interface ClientAddress {
  /** Normalised; an IPv4 address mapped into IPv6 is written as IPv4. */
  readonly address: string;
  readonly fromTrustedProxy: boolean;
}

/** What is known of a peer by its address alone; reading one costs more than the rest of the rule. */
interface Peer {
  readonly text: string;
  /** Its address, if it is a trusted proxy. */
  readonly proxy: Address | undefined;
}

/** How many peers are remembered, the latest. */
const rememberedPeers = 10_000;

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
  const peers = createLru<string, Peer>(rememberedPeers);

  function readPeer(text: string): Peer {
    const address = findAddress(text);
    return { text: address?.toString() ?? text, proxy: address && isTrusted(address) ? address : undefined };
  }

  function remember(text: string): Peer {
    let peer = peers.get(text);
    if (peer === undefined) {
      peer = readPeer(text);
      peers.set(text, peer);
    }
    return peer;
  }

  return ({ peer, xForwardedFor, forwarded }) => {
    const { text, proxy } = remember(peer);
    if (proxy === undefined) {
      return { address: text, fromTrustedProxy: false };
    }
    const hops = xForwardedFor === undefined ? readForwarded(forwarded) : xForwardedFor.split(",");
    let client = proxy;
    for (const hop of hops.reverse()) {
      const address = findAddress(stripPort(hop.trim()));
      if (address === undefined) break;
      client = address;
      if (!isTrusted(address)) break;
    }
    return { address: client.toString(), fromTrustedProxy: true };
  };
}

/** The `for` of every element, in order; an element without one cannot be read and stays as empty text. */
function readForwarded(header = ""): string[] {
  return header.split(",").map((element) => /(?:^|;)\s*for\s*=\s*("?)([^";,]*)\1/i.exec(element)?.[2] ?? "");
}

/** `192.0.2.1:80` and `[2001:db8::1]:80` without what surrounds the address. */
function stripPort(hop: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(hop)?.[1] ?? hop;
}
