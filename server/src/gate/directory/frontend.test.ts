import { expect, it } from "vitest";
import { defaultPolicy, type FrontendAtHost } from "../../frontdoor/frontends/frontend.ts";
import { createProviderTypes } from "../../frontdoor/provider-types/provider-types.ts";
import { createTestContext } from "../../frontdoor/provider-types/test-support.ts";
import { frontdoorId, host, orgId } from "../test-support.ts";
import { toGateFrontend } from "./frontend.ts";

it("knows the headers of keys of a disabled provider, and asks only those that are enabled", () => {
  const read: FrontendAtHost = {
    id: "f",
    frontdoorId,
    orgId,
    isOpen: true,
    isActive: true,
    hostname: host,
    policy: defaultPolicy,
    authorization: "JUDGE",
    scheme: "https",
    assertionHeader: "",
    providerIds: ["a", "b"],
    providers: [
      { id: "a", type: "API_KEY", enabled: true, revision: 1, data: {} },
      { id: "b", type: "API_KEY", enabled: false, revision: 1, data: { header: "X-Team-Key" } },
    ],
  };
  const { keyHeaders, byKeyHeader } = toGateFrontend(read, "1", createProviderTypes(createTestContext()));
  expect(keyHeaders).toEqual(["x-api-key", "x-team-key"]);
  expect([...byKeyHeader.keys()]).toEqual(["x-api-key"]);
});
