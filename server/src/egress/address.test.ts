import { expect, test } from "vitest";
import { classifyAddress, toEffectiveAddress } from "./address.ts";

test.each([
  "8.8.8.8",
  "1.1.1.1",
  "100.63.255.255",
  "100.128.0.0",
  "172.15.255.255",
  "172.32.0.0",
  "192.167.255.255",
  "2606:4700::1111",
  "2a00:1450:4001:80b::200e",
  // NAT64 of a public host: the only way there is from a network without IPv4.
  "64:ff9b::808:808",
  "::ffff:8.8.8.8",
])("%s is public", (address) => {
  expect(classifyAddress(address)).toBe("public");
});

test.each([
  ["loopback", "127.0.0.1"],
  ["loopback, its end", "127.255.255.255"],
  ["private 10/8", "10.0.0.1"],
  ["private 172.16/12, its start", "172.16.0.0"],
  ["private 172.16/12, its end", "172.31.255.255"],
  ["private 192.168/16", "192.168.1.1"],
  ["link-local", "169.254.0.1"],
  ["CGNAT, its start", "100.64.0.0"],
  ["CGNAT, its end", "100.127.255.255"],
  ["protocol assignments", "192.0.0.8"],
  ["documentation", "192.0.2.1"],
  ["documentation 2", "198.51.100.1"],
  ["documentation 3", "203.0.113.1"],
  ["benchmarks", "198.18.0.1"],
  ["benchmarks, its end", "198.19.255.255"],
  ["6to4 relay", "192.88.99.1"],
  ["reserved", "240.0.0.1"],
  ["IPv6 loopback", "::1"],
  ["mapped loopback", "::ffff:127.0.0.1"],
  ["mapped private, in hex", "::ffff:a00:1"],
  ["IPv4-compatible", "::7f00:1"],
  ["translated (SIIT)", "::ffff:0:7f00:1"],
  ["NAT64 of a private host", "64:ff9b::a00:1"],
  ["NAT64 for local use", "64:ff9b:1::808:808"],
  ["6to4", "2002:7f00:1::"],
  ["6to4 of a public host", "2002:808:808::1"],
  ["Teredo", "2001:0:808:808::1"],
  ["unique local", "fd12:3456::1"],
  ["link-local IPv6", "fe80::1"],
  ["link-local with a zone", "fe80::1%eth0"],
  ["site-local", "fec0::1"],
  ["documentation IPv6", "2001:db8::1"],
  ["ORCHID", "2001:20::1"],
  ["discard", "100::1"],
  ["ISATAP of a private host", "2606:4700::5efe:10.0.0.1"],
  ["outside global unicast", "4000::1"],
])("%s is internal", (_, address) => {
  expect(classifyAddress(address)).toBe("internal");
});

test.each([
  ["metadata", "169.254.169.254"],
  ["metadata, mapped", "::ffff:169.254.169.254"],
  ["metadata by NAT64", "64:ff9b::a9fe:a9fe"],
  ["metadata of containers", "169.254.170.2"],
  ["metadata on a public address", "168.63.129.16"],
  ["metadata within CGNAT", "100.100.100.200"],
  ["metadata of IPv6", "fd00:ec2::254"],
  ["unspecified", "0.0.0.0"],
  ["this network", "0.1.2.3"],
  ["unspecified IPv6", "::"],
  ["broadcast", "255.255.255.255"],
  ["multicast", "224.0.0.1"],
  ["multicast IPv6", "ff02::1"],
  ["a name", "localhost"],
  ["nothing", ""],
  ["an octal spelling", "0177.0.0.1"],
  ["a short spelling", "127.1"],
])("%s is never reached, whatever is allowed", (_, address) => {
  expect(classifyAddress(address)).toBe("never");
});

test("takes the IPv4 address out of an IPv6 one", () => {
  expect(toEffectiveAddress("::ffff:10.0.0.1")).toBe("10.0.0.1");
  expect(toEffectiveAddress("64:ff9b::a00:1")).toBe("10.0.0.1");
  expect(toEffectiveAddress("2606:4700::1")).toBe("2606:4700::1");
  expect(toEffectiveAddress("nothing")).toBeUndefined();
});
