import ipaddr from "ipaddr.js";
import { ValueError } from "../lib/value-error.ts";

/** An address, read. */
export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A network: its first address, in canonical form, and the length of its prefix in bits. */
export interface Cidr {
  readonly address: string;
  readonly prefixBits: number;
}

const notCidr = "must be an address or a network such as 10.0.0.0/8 or 2001:db8::/32";

/**
 * Reads a network (RFC 4632 §3.1, RFC 4291 §2.3) or a single address.
 * Shortened, octal and zoned spellings are refused, and so are bits set
 * behind the prefix: what is written is what is matched.
 *
 * @throws ValueError
 */
export function parseCidr(text: string): Cidr {
  const [addressText = "", prefixText, ...rest] = text.split("/");
  if (rest.length > 0 || addressText.includes("%")) throw new ValueError(notCidr);
  if (findAddress(addressText) === undefined) throw new ValueError(notCidr);
  const address: Address = ipaddr.parse(addressText);
  const widthBits = address.kind() === "ipv4" ? 32 : 128;
  if (prefixText !== undefined && !/^(0|[1-9]\d{0,2})$/.test(prefixText)) throw new ValueError(notCidr);
  const prefixBits = prefixText === undefined ? widthBits : Number(prefixText);
  if (prefixBits > widthBits) throw new ValueError(notCidr);
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()) {
    throw new ValueError("must be written as an IPv4 network, which also matches its IPv6-mapped form");
  }
  refuseHostBits(address, prefixBits);
  return { address: address.toString(), prefixBits };
}

function refuseHostBits(address: Address, prefixBits: number): void {
  const isClear = address
    .toByteArray()
    .every((byte, index) => (byte & (0xff >> Math.min(8, Math.max(0, prefixBits - index * 8)))) === 0);
  if (!isClear) throw new ValueError("must have no bits set behind its prefix (10.0.0.0/8, not 10.0.0.1/8)");
}

/**
 * The address of a text, an IPv6-mapped IPv4 address as the IPv4 address;
 * undefined when it is none. Only the four-part form of IPv4 counts: short and
 * octal forms mean different hosts to different readers.
 */
export function findAddress(text: string): Address | undefined {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.process(text);
}

/** Makes a function that tells whether an address is in one of the networks. */
export function createNetworkMatcher(cidrs: readonly Cidr[]): (address: Address) => boolean {
  const networks = cidrs.map(({ address, prefixBits }) => ({ address: ipaddr.parse(address), prefixBits }));
  return (address) =>
    networks.some(
      (network) =>
        network.address.kind() === address.kind() && address.match(network.address, network.prefixBits),
    );
}

/** Makes a function that tells whether the text of an address is in one of the networks; what is no address is in none. */
export function createCidrMatcher(cidrs: readonly Cidr[]): (address: string) => boolean {
  const isInside = createNetworkMatcher(cidrs);
  return (text) => {
    const address = findAddress(text.replace(/%.*$/, ""));
    return address !== undefined && isInside(address);
  };
}
