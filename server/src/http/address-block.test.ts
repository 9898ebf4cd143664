import { describe, expect, it } from "vitest";
import { toAddressBlock } from "./address-block.ts";

describe("toAddressBlock", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
    ["2001:db8:1:3::1", "2001:db8:1:3::/64"],
    ["fe80::1%eth0", "fe80::/64"],
    ["::1", "::/64"],
    ["", ""],
    ["unix", "unix"],
  ])("%s counts as %s", (address, block) => {
    expect(toAddressBlock(address)).toBe(block);
  });
});
