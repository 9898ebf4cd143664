import { describe, expect, it } from "vitest";
import { parseCidr } from "./cidr.ts";
import { createClientAddressRule } from "./client-address.ts";

const find = createClientAddressRule(
  ["10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48", "203.0.113.0/24"].map(parseCidr),
);
const hints = (peer: string, xForwardedFor?: string, forwarded?: string) => ({
  peer,
  xForwardedFor,
  forwarded,
});

describe("createClientAddressRule", () => {
  it.each([
    [
      "a stranger's headers are not believed",
      "198.51.100.1",
      "1.1.1.1",
      "for=1.1.1.1",
      "198.51.100.1",
      false,
    ],
    ["mapped IPv4 is written as IPv4", "::ffff:198.51.100.1", undefined, undefined, "198.51.100.1", false],
    ["IPv6 is written in its short form", "2001:DB8:0:0::1", undefined, undefined, "2001:db8::1", false],
    ["a proxy without headers is the client", "10.1.2.3", undefined, undefined, "10.1.2.3", true],
    ["a mapped proxy is the proxy", "::ffff:10.1.2.3", "1.1.1.1", undefined, "1.1.1.1", true],
    ["a single address is trusted alone", "192.0.2.8", "1.1.1.1", undefined, "192.0.2.8", false],
    ["a block given as mapped counts as IPv4", "203.0.113.9", "1.1.1.1", undefined, "1.1.1.1", true],
    [
      "the rightmost untrusted hop is the client",
      "10.0.0.1",
      "6.6.6.6, 1.1.1.1, 10.9.9.9",
      undefined,
      "1.1.1.1",
      true,
    ],
    ["with proxies only it is the outermost", "10.0.0.1", "10.0.0.3,10.0.0.2", undefined, "10.0.0.3", true],
    [
      "what cannot be read ends the search",
      "10.0.0.1",
      "1.1.1.1, garbage, 10.0.0.2",
      undefined,
      "10.0.0.2",
      true,
    ],
    ["short forms of IPv4 cannot be read", "10.0.0.1", "1.1", undefined, "10.0.0.1", true],
    ["octal forms of IPv4 cannot be read", "10.0.0.1", "0177.0.0.1", undefined, "10.0.0.1", true],
    ["an empty header names nobody", "10.0.0.1", "", undefined, "10.0.0.1", true],
    ["ports are left out", "10.0.0.1", "1.1.1.1:8080", undefined, "1.1.1.1", true],
    ["brackets are left out", "10.0.0.1", "[2001:db8:2::1]:443", undefined, "2001:db8:2::1", true],
    ["Forwarded is read", "10.0.0.1", undefined, "for=6.6.6.6, for=1.1.1.1;proto=https", "1.1.1.1", true],
    [
      "Forwarded may be quoted",
      "10.0.0.1",
      undefined,
      'By=10.0.0.1; For="[2001:db8:2::1]:443"',
      "2001:db8:2::1",
      true,
    ],
    ["Forwarded may hide", "10.0.0.1", undefined, "for=1.1.1.1, for=_hidden", "10.0.0.1", true],
    ["X-Forwarded-For wins", "10.0.0.1", "1.1.1.1", "for=6.6.6.6", "1.1.1.1", true],
    ["no address at all is kept as it is", "", undefined, undefined, "", false],
  ])("%s", (_, peer, xForwardedFor, forwarded, address, fromTrustedProxy) => {
    expect(find(hints(peer, xForwardedFor, forwarded))).toEqual({ address, fromTrustedProxy });
  });

  it("trusts nobody by default", () => {
    const answer = createClientAddressRule([])(hints("127.0.0.1", "1.1.1.1"));
    expect(answer).toEqual({ address: "127.0.0.1", fromTrustedProxy: false });
  });

  it.each([
    ["believes a peer of any address", "198.51.100.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"],
    ["passes the proxies in between", "198.51.100.1", "1.1.1.1, 10.0.0.2", "1.1.1.1"],
    ["believes a peer without an address", "", "1.1.1.1", "1.1.1.1"],
    ["has the peer itself where it names nobody", "198.51.100.1", undefined, "198.51.100.1"],
    [
      "has the peer itself where it names nobody that can be read",
      "198.51.100.1",
      "x".repeat(99),
      "198.51.100.1",
    ],
  ])("once it has proven to be a proxy, %s", (_, peer, xForwardedFor, address) => {
    const proven = { ...hints(peer, xForwardedFor), isProven: true };
    expect(find(proven)).toEqual({ address, fromTrustedProxy: true });
  });
});
