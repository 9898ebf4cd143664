import { expect, it } from "vitest";
import { getCallbackUrl, isOwnRoute } from "./redirects.ts";

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
