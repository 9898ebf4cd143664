import { expect, test } from "vitest";
import { findPreset, githubSite, toGithubEndpoints, toProviderLabel } from "./well-known-providers.ts";

test("knows where GitHub and an Enterprise Server answer", () => {
  expect(toGithubEndpoints(githubSite)).toEqual({
    authorizationUrl: "https://github.com/login/oauth/authorize",
    tokenUrl: "https://github.com/login/oauth/access_token",
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
  ["github", "github"],
  ["gitlab", undefined],
  ["constructor", undefined],
])("speaks to %s by %s", (name, kind) => {
  expect(findPreset(name)?.kind).toBe(kind);
});
