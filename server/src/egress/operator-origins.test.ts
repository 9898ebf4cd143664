import { expect, test } from "vitest";
import type { OidcProviderConfig } from "../config/config.ts";
import { toOperatorOrigins } from "./operator-origins.ts";

const provider = (urls: Partial<OidcProviderConfig>) => urls as OidcProviderConfig;

test("answers the origin of each configured provider once", () => {
  const origins = toOperatorOrigins([
    provider({ issuerUrl: "https://idp.internal:8443/realms/a" }),
    provider({ issuerUrl: "https://idp.internal:8443/realms/b" }),
    provider({ baseUrl: "https://git.internal" }),
    provider({}),
  ]);
  expect(origins).toEqual(["https://idp.internal:8443", "https://git.internal"]);
});
