import ipaddr from "ipaddr.js";

/** Bits of an IPv6 address that one subscriber usually holds alone. */
const subscriberBits = 64;

/**
 * The block of addresses that counts as one client: an IPv4 address itself, of
 * an IPv6 address the /64 unless told. A text that is no address stands for itself.
 */
export function toAddressBlock(address: string, ipv6PrefixBits = subscriberBits): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  const bare = ipaddr.IPv6.networkAddressFromCIDR(
    `${parsed.toNormalizedString().replace(/%.*$/, "")}/${ipv6PrefixBits}`,
  );
  return `${bare.toString()}/${ipv6PrefixBits}`;
}
