import { expect, it } from "vitest";
import { openRedirects } from "../../../test/parts/open-redirects.ts";
import { findReturnTo, getCallbackUrl, isOwnRoute } from "./redirects.ts";

const plain = "https://id.example.org/auth/callback";
const own = `${plain}/acme`;
const page = "https://app.example.org/callback";
const refused = "refused";

it.each([
  // What is configured, what is asked for, then what a provider's flow and any other come back to.
  [[], "", own, plain],
  [[], own, own, refused],
  [[], plain, refused, plain],
  [[], page, refused, refused],
  [[page], "", page, page],
  [[page], own, own, refused],
  [[page], page, page, page],
  [[page], plain, refused, plain],
  [[plain, page], "", own, plain],
  [[plain, page], plain, own, plain],
  [[plain, page], `${plain}/other`, refused, refused],
  [[plain, page], `${own}/`, refused, refused],
  [[plain, page], `${page}?x=1`, refused, refused],
])(
  "with %j configured, %j leads a provider's flow to %s and another to %s",
  (callbackUrls, asked, atOwn, other) => {
    const rules = { plainCallbackUrl: plain, callbackUrls, authorizedRedirectUrls: [] };
    const find = (provider?: string) => {
      try {
        return getCallbackUrl(rules, asked, provider);
      } catch (error) {
        expect(error).toMatchObject({ reason: "REDIRECT_NOT_ALLOWED" });
        return refused;
      }
    };
    expect([find(own), find()]).toEqual([atOwn, other]);
    // A provider whose URL is the plain one.
    expect(find(plain)).toBe(other);
  },
);

it.each([
  [plain, true],
  [own, true],
  [`${plain}s`, false],
  [page, false],
])("%s is a route of ours: %s", (url, isOwn) => {
  const rules = { plainCallbackUrl: plain, callbackUrls: [], authorizedRedirectUrls: [] };
  expect(isOwnRoute(rules, url)).toBe(isOwn);
});

const home = "https://app.example.org/home";
const publicUrl = "https://id.example.org";
const login = `${publicUrl}/gate/login`;
const rules = { plainCallbackUrl: plain, callbackUrls: [], authorizedRedirectUrls: [home] };

it.each([
  home,
  `${login}?state=AZaz09-_.&with=0191e0a4-7c1b-7d3e-9f20-5a6b7c8d9e0f`,
  `${publicUrl}/invitation?token=x`,
])("a sign-in may lead to %s", (url) => {
  expect(findReturnTo(rules, url)).toBe(url);
});

it.each([
  ...openRedirects,
  // As of our own pages.
  login,
  `${login}?`,
  `${login}/?state=x`,
  `${login}/../../auth/callback?state=x`,
  `${login}x?state=x`,
  `${login}?state=%0d%0aSet-Cookie`,
  `${login}?state=x#y`,
  `${login}?state=x/y`,
  `${login}?rt=https://evil.example`,
  `${login}?state=x y`,
  `${login}?state=x\n`,
  `${login}?a?b`,
  `${login}?ü`,
  `${publicUrl}/invitation`,
  `${publicUrl}/account?x=1`,
  `${publicUrl}/login?again=1`,
  `${publicUrl}/auth/callback?state=x&code=y`,
  "http://id.example.org/gate/login?state=x",
  "https://id.example.org.evil.example/gate/login?state=x",
  "https://ID.example.org/gate/login?state=x",
  "/gate/login?state=x",
])("a sign-in must not lead to %j", (url) => {
  expect(() => findReturnTo(rules, url)).toThrow(expect.objectContaining({ reason: "REDIRECT_NOT_ALLOWED" }));
});
