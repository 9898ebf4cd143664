/** Which addresses belong to the public internet, and which lead inside. */
import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Class of an address for outgoing requests: anyone's to reach, the operator's to allow, or nobody's. */
export type AddressClass = "public" | "internal" | "never";

/** Services of clouds that hand credentials to whoever asks from inside; one of them has a public address. */
const metadataAddresses = new Set([
  "169.254.169.254",
  "169.254.170.2",
  "169.254.170.23",
  "100.100.100.200",
  "168.63.129.16",
  "192.0.0.192",
  "fd00:ec2::254",
  "fd00:ec2::23",
  "fd20:ce::254",
]);

const neverRanges = new Set(["unspecified", "broadcast", "multicast"]);

/** The only part of IPv6 that is global unicast (RFC 4291 §2.4, IANA). */
const globalIpv6 = ipaddr.IPv6.parseCIDR("2000::/3");
const nat64 = ipaddr.IPv6.parseCIDR("64:ff9b::/96");

/** Interface ids that carry an IPv4 address (ISATAP, RFC 5214 §6.1), by their first 32 bits. */
const isatapHalves = new Set([0x0000_5efe, 0x0200_5efe]);

/**
 * Classes an address by the special-purpose registries (RFC 6890) and the IPv4
 * address within an IPv6 one. 6to4 and Teredo are internal as a whole: no
 * server of the public web needs them, and they lead wherever their inner
 * address does.
 *
 * @param text an address as a resolver gives it; anything else is `never`.
 */
export function classifyAddress(text: string): AddressClass {
  const address = parseAddress(text);
  if (address === undefined) return "never";
  if (metadataAddresses.has(address.toString())) return "never";
  if (neverRanges.has(address.range())) return "never";
  return isGlobal(address) ? "public" : "internal";
}

/** The address a connection would really reach: IPv4 inside IPv6 (mapped, NAT64) taken out. Undefined for no address. */
export function toEffectiveAddress(text: string): string | undefined {
  return parseAddress(text)?.toString();
}

function parseAddress(text: string): Address | undefined {
  const bare = text.replace(/%.*$/, "");
  if (ipaddr.IPv4.isValidFourPartDecimal(bare)) return ipaddr.IPv4.parse(bare);
  if (!ipaddr.IPv6.isValid(bare)) return undefined;
  const address = ipaddr.IPv6.parse(bare);
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  if (address.match(nat64)) return new ipaddr.IPv4(address.toByteArray().slice(12));
  return address;
}

function isGlobal(address: Address): boolean {
  if (address.range() !== "unicast") return false;
  if (address instanceof ipaddr.IPv4) return true;
  return address.match(globalIpv6) && !isatapHalves.has(toInterfacePrefix(address));
}

function toInterfacePrefix(address: ipaddr.IPv6): number {
  const [high = 0, low = 0] = address.parts.slice(4);
  return high * 0x1_0000 + low;
}
