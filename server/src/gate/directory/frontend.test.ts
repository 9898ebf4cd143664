import { expect, it } from "vitest";
import { defaultPolicy, type FrontendAtHost } from "../../frontdoor/frontends/frontend.ts";
import { createProviderTypes } from "../../frontdoor/provider-types/provider-types.ts";
import { createTestContext } from "../../frontdoor/provider-types/test-support.ts";
import { frontdoorId, host, orgId } from "../test-support.ts";
import { toGateFrontend } from "./frontend.ts";

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
    { id: "a", name: "a", type: "API_KEY", enabled: true, revision: 1, sessionsFrom: 1, data: {} },
    {
      id: "b",
      name: "b",
      type: "API_KEY",
      enabled: false,
      revision: 1,
      sessionsFrom: 1,
      data: { header: "X-Team-Key" },
    },
  ],
};
const types = createProviderTypes(createTestContext());

it("knows the headers of keys of a disabled provider, and asks only those that are enabled", () => {
  const { keyHeaders, byKeyHeader } = toGateFrontend(read, "1", types);
  expect(keyHeaders).toEqual(["x-api-key", "x-team-key"]);
  expect([...byKeyHeader.keys()]).toEqual(["x-api-key"]);
});

it("reads no key from the header that carries its assertion, and never passes a visitor's on there", () => {
  const data = { header: "x-Jwt-assertion" };
  const keys = {
    id: "c",
    name: "c",
    type: "API_KEY",
    enabled: true,
    revision: 1,
    sessionsFrom: 1,
    data,
  } as const;
  const providers = [...read.providers, keys];
  const { keyHeaders, byKeyHeader } = toGateFrontend(
    { ...read, assertionHeader: "X-JWT-Assertion", providers },
    "1",
    types,
  );
  expect(keyHeaders).toEqual(["x-api-key", "x-team-key"]);
  expect([...byKeyHeader.keys()]).toEqual(["x-api-key"]);
});

it("knows where people can be sent: to those that are enabled, and have all that it takes", () => {
  const common = { name: "n", enabled: true, revision: 1, sessionsFrom: 1 };
  const google = { ...common, type: "GOOGLE" } as const;
  const providers = [
    ...read.providers,
    { ...google, id: "with a secret", data: { clientId: "a", clientSecret: "********" } },
    { ...google, id: "without one", data: { clientId: "a" } },
    { ...common, id: "own", type: "VESTIBULE", data: {} },
    { ...common, id: "disabled", type: "VESTIBULE", data: {}, enabled: false },
  ] as const;
  const { logins } = toGateFrontend({ ...read, providers }, "1", types);
  expect(logins.map(({ id }) => id)).toEqual(["with a secret", "own"]);
});
