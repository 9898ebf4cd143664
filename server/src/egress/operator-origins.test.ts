import { expect, test } from "vitest";
import type { OidcProviderConfig } from "../config/config.ts";
import { toOperatorOrigins } from "./operator-origins.ts";

const provider = (urls: Partial<OidcProviderConfig>) => urls as OidcProviderConfig;

test("answers the origin of each configured provider once", () => {
  const origins = toOperatorOrigins([
    provider({ issuerUrl: "https://idp.internal:8443/realms/a" }),
    provider({ issuerUrl: "https://idp.internal:8443/realms/b" }),
    provider({
      issuerUrl: "https://who.example",
      oauth: {
        authorizationUrl: "https://git.internal/a",
        tokenUrl: "https://git.internal/t",
        userinfoUrl: "https://api.internal/u",
        emailsUrl: undefined,
        claims: { subject: ["id"] },
      },
    }),
    provider({}),
  ]);
  expect(origins).toEqual(["https://idp.internal:8443", "https://git.internal", "https://api.internal"]);
});
