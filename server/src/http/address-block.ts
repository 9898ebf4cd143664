import ipaddr from "ipaddr.js";

/** Bits of an IPv6 address that one subscriber usually holds alone. */
const ipv6PrefixBits = 64;

/**
 * The block of addresses that counts as one client: an IPv4 address itself, an
 * IPv6 address's /64. A text that is no address stands for itself.
 */
export function toAddressBlock(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed instanceof ipaddr.IPv4) return parsed.toString();
  const bare = ipaddr.IPv6.networkAddressFromCIDR(
    `${parsed.toNormalizedString().replace(/%.*$/, "")}/${ipv6PrefixBits}`,
  );
  return `${bare.toString()}/${ipv6PrefixBits}`;
}
