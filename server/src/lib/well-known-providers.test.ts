import { expect, test } from "vitest";
import {
  findPreset,
  githubSite,
  type ProviderPreset,
  toGithubEndpoints,
  toProviderLabel,
  wellKnownProviders,
} from "./well-known-providers.ts";

test("knows where GitHub and an Enterprise Server answer", () => {
  expect(toGithubEndpoints(githubSite)).toEqual({
    authorizationUrl: "https://github.com/login/oauth/authorize",
    tokenUrl: "https://github.com/login/oauth/access_token",
    userinfoUrl: "https://api.github.com/user",
    emailsUrl: "https://api.github.com/user/emails",
    apiUrl: "https://api.github.com",
  });
  expect(toGithubEndpoints("https://git.example.com").apiUrl).toBe("https://git.example.com/api/v3");
});

test.each([
  ["google", "Google"],
  ["gitlab", "GitLab"],
  ["acme-sso", "Acme sso"],
  ["constructor", "Constructor"],
  ["-", "-"],
])("calls %s %s", (name, label) => {
  expect(toProviderLabel(name)).toBe(label);
});

test.each([
  ["google", "oidc"],
  ["github", "oauth"],
  ["acme", undefined],
  ["constructor", undefined],
])("speaks to %s by %s", (name, kind) => {
  expect(findPreset(name)?.kind).toBe(kind);
});

const presets = Object.entries<{ readonly preset: ProviderPreset }>(wellKnownProviders);

test("the table has a row for each provider that is asked for", () => {
  expect(presets.map(([name]) => name)).toEqual([
    "google",
    "microsoft",
    "apple",
    "github",
    "gitlab",
    "slack",
    "linkedin",
    "discord",
    "facebook",
  ]);
});

test.each(presets)("the row of %s can be spoken to", (_name, { preset }) => {
  expect(new Set(preset.scopes).size).toBe(preset.scopes.length);
  const urls =
    preset.kind === "oidc"
      ? [preset.issuerUrl]
      : [preset.issuerUrl, preset.authorizationUrl, preset.tokenUrl, preset.userinfoUrl];
  for (const url of urls) expect(new URL(url).protocol, url).toBe("https:");
  if (preset.kind === "oidc") {
    expect(preset.scopes).toContain("openid");
    expect([preset.nonce, preset.pkce]).not.toEqual([false, false]);
  } else {
    expect(preset.claims.subject).not.toEqual([]);
    expect(preset.emailsUrl ?? preset.claims.email).toBeDefined();
  }
});
