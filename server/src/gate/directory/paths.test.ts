import { describe, expect, test } from "vitest";
import { createPathRule, isNormalPath } from "./paths.ts";

const exact = createPathRule({ publicPaths: ["/health", "/"], protectedPaths: [] });
const below = createPathRule({ publicPaths: ["/health", "/public/*"], protectedPaths: [] });

test.each(["/", "/a", "/a/", "/a.b/c~d", "/a%20b", "/caf%C3%A9", "/...", "/a*b|c", "/@x:y,z=1"])(
  "%s is in its normal form",
  (path) => {
    expect(isNormalPath(path)).toBe(true);
  },
);

const abnormal = [
  "/public/../admin",
  "/public/..",
  "/public/./x",
  "/public/.",
  "/public//x",
  "//public/x",
  "/public/%2e%2e/admin",
  "/public/%2E./admin",
  "/public/.%2e/admin",
  "/public/..%2fadmin",
  "/public%2Fx",
  "/public/%5c..%5Cadmin",
  "/public\\..\\admin",
  "/public/;/../admin",
  "/public;x=1/a",
  "/public/a%3Bb",
  "/public/a%3bb",
  "/public/%252e%252e/admin",
  "/public/%23/../admin",
  "/public#/../admin",
  "/public/%00",
  "/public/%0d%0a",
  "/public/%7F",
  "/public/a%",
  "/public/a%zz",
  "/public/a%2",
  "/public/caf\u00e9",
  "/public/%c0%ae%c0%ae/admin",
  "/public/%C0%AF",
  "/public/%e0%80%ae",
  "/public/%f0%80%80%af",
  "/public/caf%E9",
  "/public/%ed%a0%80",
  "/public/%C3x%A9",
  "/public/%80",
  "/public/%f8%80%80%80%ae",
  "/public/a b",
  "/public/a\tb",
];

test.each(abnormal)("%j is not, and no rule of paths lets it through", (path) => {
  expect(isNormalPath(path)).toBe(false);
  expect(below(path)).toBe("abnormal");
  expect(exact(path)).toBe("protected");
});

test.each([
  ["/health", "public"],
  ["/health/", "protected"],
  ["/Health", "protected"],
  ["/healthy", "protected"],
  ["/%68ealth", "protected"],
  ["/public/x", "public"],
  ["/public/", "public"],
  ["/public", "protected"],
  ["/publicity", "protected"],
  ["/PUBLIC/x", "protected"],
  ["/x/public/a", "protected"],
])("%s is %s: compared byte for byte", (path, verdict) => {
  expect(below(path)).toBe(verdict);
});

test("all below / is everything, and without paths nothing is public", () => {
  expect(createPathRule({ publicPaths: ["/*"], protectedPaths: [] })("/any/path")).toBe("public");
  expect(createPathRule({ publicPaths: [], protectedPaths: [] })("/a/../b")).toBe("protected");
});

describe("where paths are protected", () => {
  const rule = createPathRule({
    publicPaths: [],
    protectedPaths: ["/admin/*", "/me", "/keys", "/caf%c3%a9/*"],
  });

  test.each([
    "/admin/x",
    "/admin/",
    "/admin",
    "/ADMIN/x",
    "/%61dmin/x",
    "/%61%64min",
    "/me",
    "/me/",
    "/ME",
    "/caf%C3%A9/x",
    "/caf%c3%a9",
    "/CAF%C3%89/x",
    "/cafe%CC%81/x",
    "/%EF%BC%A1dmin/x",
    "/admin%EF%BC%8Fx",
    "/%e2%84%aaeys",
  ])("%s is: doubt protects", (path) => {
    expect(rule(path)).toBe("protected");
  });

  test.each(["/", "/administrator", "/x/admin/", "/me/x", "/mexico", "/public/a%20b"])(
    "%s is not",
    (path) => {
      expect(rule(path)).toBe("public");
    },
  );

  test.each(abnormal)("%j is nobody's", (path) => {
    expect(rule(path)).toBe("abnormal");
  });
});
